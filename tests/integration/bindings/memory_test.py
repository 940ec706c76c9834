"""What bindings.http keeps: nothing. Three hundred calls of 3 MiB, there and back, in a row and side
by side, leave the resident memory where a warm-up had brought it.
"""
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upstream import Upstream, call, chunked, http_binding

from harness import IS_SANITIZED, Client, Story, answer, figure

MIB = 1024 * 1024
DATA = "d" * 3 * MIB


class Memory(Story):
    def start(self):
        up = Upstream()
        self.apps.append(up)
        up.start()
        up.paths["/known"] = answer(200, bytes(3 * MIB))
        up.paths["/chunks"] = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               chunked(*[bytes(65536)] * 48))
        up.paths["/cut"] = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                            chunked(*[bytes(65536)] * 80))
        self.up = up
        self.gate = self.gateway(documents=(http_binding(url=up.url, maxResponseBodySize="4Mi"),),
                                 env={"no_proxy": "*"})

    def ask(self, client, number):
        path, length = (("/known", 3), ("/chunks", 3), ("/cut", 4))[number % 3]
        got = call(self.gate, "post", path, DATA, client=client)
        self.assertEqual((got.status, len(got.body)), (200, length * MIB))

    def run_calls(self, first, count):
        with Client(self.gate.address) as client:
            for number in range(first, first + count):
                self.ask(client, number)
                del self.up.requests[:]

    def run_side_by_side(self, count, width):
        threads = [threading.Thread(target=self.run_calls, args=(i, count // width))
                   for i in range(width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def at_rest(self):
        """Resident bytes when what the last calls held was given back: the least of a second."""
        sizes = []
        for _ in range(20):
            sizes.append(self.gate.memory_bytes("VmRSS"))
            time.sleep(0.05)
        return min(sizes)

    def assert_steady(self, what, work):
        before = self.at_rest()
        work()
        after = self.at_rest()
        figure(f"bindings.http, {what}: {before / MIB:.1f} MiB resident after a warm-up, "
               f"{after / MIB:.1f} MiB after 300 calls of 3 MiB")
        if not IS_SANITIZED:
            self.assertLessEqual(abs(after - before), before * 0.1)

    def test_calls_in_a_row_leave_memory_as_it_was(self):
        self.start()
        self.run_calls(0, 30)
        self.assert_steady("one after the other", lambda: self.run_calls(0, 300))

    def test_calls_side_by_side_leave_memory_as_it_was(self):
        self.start()
        self.run_side_by_side(120, 4)
        self.assert_steady("four at once", lambda: self.run_side_by_side(300, 4))


if __name__ == "__main__":
    unittest.main()
