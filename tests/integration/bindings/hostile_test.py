"""bindings.http against a server that means harm: what it costs the gateway, and what it reaches.

Broken and slow servers are http_test.py's; here each answer is made to get something: memory that
nobody counted, a line of the log, somebody else's turn.
"""
import os
import sys
import threading
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from http_test import MIB, HttpStory
from upstream import CLOSE, call, chunked, closing, http_binding

from harness import IS_SANITIZED, answer, component, wait_for


def packed(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


class Heads(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()
        self.gate = self.web(self.up)

    def assert_refused(self, head, text):
        self.up.paths["/x"] = closing(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n2\r\nxx\r\n0\r\n\r\n")
        self.assert_fails(call(self.gate, "get", "/x"), text)

    def test_a_coding_that_nobody_asked_for_is_refused(self):
        for coding in (b"gzip, chunked", b"gzip", b"deflate", b"br, chunked", b"x\x1b[31m"):
            with self.subTest(coding=coding):
                self.assert_refused(b"Transfer-Encoding: " + coding + b"\r\n",
                                    "a transfer coding other than chunked")

    def test_lengths_that_differ_are_refused(self):
        self.assert_refused(b"Content-Length: 7\r\nContent-Length: 2\r\n", "two that differ")

    def test_a_length_beyond_all_numbers_is_refused(self):
        self.assert_refused(b"Content-Length: 99999999999999999999\r\n", "is no number")

    def test_a_line_of_a_head_that_is_too_long_says_so(self):
        self.up.paths["/x"] = answer(200, b"", "X-Long: " + "a" * 150_000)
        self.assert_fails(call(self.gate, "get", "/x"), "a line of the answer's head has more than")


class Settings(HttpStory):
    def test_a_token_cannot_take_the_place_of_what_frames_a_request(self):
        for name in ("Content-Length", "transfer-encoding", "Host"):
            with self.subTest(name=name):
                gate = self.gateway(documents=(http_binding(
                    url="http://127.0.0.1:1", securityToken="7", securityTokenHeader=name),),
                    awaits=None)
                self.assertNotEqual(gate.wait_end(), 0)
                self.assertIn("which every request sets by itself", gate.log())


class Turns(HttpStory):
    """Four answers of 12 MiB are announced, and 32 MiB have room for two; then nothing comes."""

    def setUp(self):
        super().setUp()
        up, self.held = self.upstream(), self.hold()

        def stall(_request, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % (12 * MIB))
            self.held.wait(60)
            return CLOSE
        up.paths["/x"] = stall
        self.gate = self.web(up, "--max-memory", "32Mi", "--publish-wait", "500ms",
                             documents=(component("pubsub", "pubsub.in-memory"),))
        self.callers = [threading.Thread(target=call, args=(self.gate, "get", "/x"))
                        for _ in range(4)]
        for caller in self.callers:
            caller.start()
        wait_for(lambda: len(up.at("/x")) == 4, "four calls at the server")

    def test_servers_that_announce_much_and_stall_hold_up_no_publish(self):
        for _ in range(20):
            self.assertEqual(self.gate.publish("orders").status, 204)
        self.held.set()
        for caller in self.callers:
            caller.join()


class Memory(HttpStory):
    @unittest.skipIf(IS_SANITIZED, "memory is other than usual under sanitizers")
    def test_a_packed_transfer_costs_no_memory_that_nobody_counted(self):
        """64 KiB a server, each of which would unpack to 64 MiB."""
        up = self.upstream()
        bomb = packed(bytes(64 * MIB))
        up.paths["/x"] = closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                                 + chunked(*pieces(bomb, 16000)))
        gate = self.web(up, "--max-memory", "32Mi", maxResponseBodySize="1Mi")
        callers = [threading.Thread(target=call, args=(gate, "get", "/x")) for _ in range(16)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        self.assertLess(gate.memory_bytes("VmHWM"), 64 * MIB)

    @unittest.skipIf(IS_SANITIZED, "memory is other than usual under sanitizers")
    def test_metadata_of_calls_count_like_their_data(self):
        up, held = self.upstream(), self.hold()
        up.paths["/x"] = lambda *_: held.wait(60) and CLOSE
        gate = self.web(up, "--max-memory", "16Mi", responseTimeout="1s")
        for key in ("X-Large", "x-not-sent"):
            callers = [threading.Thread(target=call, args=(gate, "get", "/x"),
                                        kwargs={key: "x" * 3 * MIB}) for _ in range(24)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
        self.assertLess(gate.memory_bytes("VmHWM"), 112 * MIB)

    @unittest.skipIf(IS_SANITIZED, "memory is other than usual under sanitizers")
    def test_heads_of_many_lines_cost_no_memory_that_nobody_counted(self):
        """62,000 lines a server, sent before it stalls; each is kept by libcurl."""
        heads = (b"HTTP/1.1 200 OK\r\n" + b"(:\r\n" * 62000,
                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A:\r\n" * 62000)
        up, held, stalled = self.upstream(), self.hold(), []

        def stall(request, connection):
            try:
                connection.sendall(heads[int(request.path[1:]) % 2])
            except OSError:
                return CLOSE
            finally:
                stalled.append(request)
            held.wait(60)
            return CLOSE
        for i in range(32):
            up.paths[f"/{i}"] = stall
        gate = self.web(up, "--max-memory", "32Mi", responseTimeout="2s")
        callers = [threading.Thread(target=call, args=(gate, "get", f"/{i}")) for i in range(32)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        self.assertEqual(len(stalled), 32)
        self.assertLess(gate.memory_bytes("VmHWM"), 64 * MIB)


if __name__ == "__main__":
    unittest.main()
