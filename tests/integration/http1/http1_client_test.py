"""The client rows of contract/http1.md: tests/support/http_call, which is the pool of net/ alone,
against a server whose every byte is scripted here."""
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One accepted connection of the scripted server."""

    def __init__(self, accepted):
        self.socket = accepted
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""

    def fill(self):
        data = self.socket.recv(65536)
        self.bytes += data
        return bool(data)

    def request(self):
        """Reads one request; its body, or None at the end of the connection."""
        while b"\r\n\r\n" not in self.bytes:
            if not self.fill():
                return None
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(self.bytes) < length:
            if not self.fill():
                return None
        body, self.bytes = self.bytes[:length], self.bytes[length:]
        return body

    def send(self, data, step=None):
        step = step or len(data) or 1
        pause = 0.005 if len(data) < 200 else 0.0005
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])
            if at + step < len(data):
                time.sleep(pause)

    def is_closed_by_client(self):
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


class Script:
    """Accepts as many connections as there are functions and plays each on a thread of its own."""

    def __init__(self, *plays):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.port = self.listener.getsockname()[1]
        self.plays, self.failures, self.threads, self.accepted = plays, [], [], 0
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        for play in self.plays:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.threads.append(threading.Thread(target=self.play, args=(play, accepted),
                                                 daemon=True))
            self.threads[-1].start()

    def play(self, play, accepted):
        peer = Peer(accepted)
        try:
            play(peer)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The client may hang up whenever it has seen enough.
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(repr(failure))
        finally:
            peer.socket.close()

    def end(self):
        self.acceptor.join(timeout=10)
        for thread in self.threads:
            thread.join(timeout=10)
        self.listener.close()


def plays(data, step=None):
    """Answers one request with the bytes, then closes."""
    def play(peer):
        assert peer.request() is not None
        peer.send(data, step)
    return play


class Client(unittest.TestCase):
    def call(self, *script, **switches):
        """Lines of http_call as (name, status, milliseconds, text)."""
        server = Script(*script)
        words = [str(server.port)]
        for name, value in switches.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        done = subprocess.run([wire.support_program("http_call")] + words, text=True, timeout=60,
                              stdout=subprocess.PIPE, errors="replace", check=False)
        server.end()
        self.accepted = server.accepted
        self.assertEqual(server.failures, [])
        self.assertEqual(done.returncode, 0, done.stdout)
        lines = [line.split("|", 3) for line in done.stdout.splitlines()]
        return [(name, int(status), int(took), text) for name, status, took, text in lines]

    def one(self, *script, **switches):
        results = self.call(*script, **switches)
        self.assertEqual(len(results), 1)
        return results[0]

    def answered(self, data, status, body, **switches):
        """The bytes give that answer, at once and in pieces of any size."""
        for step in (None, 1, 7):
            with self.subTest(step=step):
                name, got_status, _, text = self.one(plays(data, step), **switches)
                self.assertEqual((name, got_status, text), ("ok", status, body))

    def fails(self, data, *names, **switches):
        for step in (None, 3):
            with self.subTest(data=data[:200], step=step):
                result = self.one(plays(data, step), **switches)
                self.assertIn(result[0], names, result)

    def test_plain_answers(self):
        self.answered(OK, 200, "ok")
        self.answered(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500, "")
        self.answered(b"HTTP/1.1 404\r\ncontent-length:3\r\n\r\nnot", 404, "not")

    def test_answer_without_length(self):
        self.answered(b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end")
        self.answered(b"HTTP/1.0 200 OK\r\n\r\n", 200, "")

    def test_answer_without_length_that_is_reset(self):
        def play(peer):
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")
            time.sleep(0.1)
            peer.reset()
        self.assertEqual(self.one(play)[0], "closed")

    def test_interim_answers_before_the_answer(self):
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        self.answered(interim + OK, 200, "ok")
        self.answered(interim + b"HTTP/1.1 204 No Content\r\n\r\n", 204, "")

    def test_interim_answer_in_pieces_before_a_gathered_answer(self):
        def play(peer):
            peer.request()
            peer.send(b"HTTP/1.1 100 Con")
            time.sleep(0.05)
            peer.send(b"tinue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
            time.sleep(0.05)
            peer.send(b"56789")
        self.assertEqual(self.one(play)[:2] + self.one(play)[3:], ("ok", 200, "0123456789"))

    def test_interim_answers_without_end(self):
        self.fails(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "invalid")
        self.fails(b"HTTP/1.1 101 Switching\r\n\r\n", "invalid")

    def test_204_and_304(self):
        self.answered(b"HTTP/1.1 204 No Content\r\n\r\n", 204, "")
        self.answered(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, "")

    def test_204_with_a_body_does_not_spoil_the_next_answer(self):
        late = threading.Event()

        def first(peer):
            peer.request()
            peer.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
            late.wait(0.1)
            try:
                peer.send(b"extra")
                assert peer.is_closed_by_client()
            except (BrokenPipeError, ConnectionResetError):
                pass

        def second(peer):
            peer.request()
            peer.send(OK)
        results = self.call(first, second, calls=2)
        self.assertEqual([result[:2] for result in results], [("ok", 204), ("ok", 200)])

    def test_chunked_with_trailers(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.answered(head + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n", 200, "hello!")
        self.answered(head + b"0\r\n\r\n", 200, "")

    def test_answer_before_the_request_is_written(self):
        def play(peer):
            peer.fill()
            peer.send(b"HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig")
            peer.socket.shutdown(socket.SHUT_WR)
            time.sleep(0.2)
            while peer.fill():
                pass
        self.assertEqual(self.one(play, request_bytes=50000000)[:2], ("ok", 413))

    def test_answer_before_the_request_is_written_and_then_a_reset(self):
        def play(peer):
            peer.fill()
            peer.send(b"HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig")
            time.sleep(0.05)
            peer.reset()
        self.assertEqual(self.one(play, request_bytes=50000000)[:2], ("ok", 413))

    def test_answer_and_reset_at_once(self):
        def play(peer):
            peer.fill()
            peer.send(b"HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig")
            peer.reset()
        # A reset may destroy what is on its way; an answer that arrived is not lost to it.
        self.assertIn(self.one(play, request_bytes=50000000)[:2], [("ok", 413), ("closed", 0)])

    def test_connection_closed_between_requests(self):
        def once(peer):
            peer.request()
            peer.send(OK)
        results = self.call(once, once, once, calls=3, pause_ms=50)
        self.assertEqual([result[:2] for result in results], [("ok", 200)] * 3)
        self.assertEqual(self.accepted, 3)

    def test_kept_connections_are_used_again(self):
        def play(peer):
            while peer.request() is not None:
                peer.send(OK)
        results = self.call(play, calls=20)
        self.assertEqual([result[:2] for result in results], [("ok", 200)] * 20)

    def test_repeated_once_on_a_fresh_connection_when_no_byte_was_seen(self):
        seen = []

        def first(peer):
            seen.append(peer.request())
            peer.send(OK)
            seen.append(peer.request())

        def second(peer):
            seen.append(peer.request())
            peer.send(OK)
        results = self.call(first, second, calls=2, request_bytes=3)
        self.assertEqual([result[:2] for result in results], [("ok", 200)] * 2)
        self.assertEqual(seen, [b"xxx"] * 3)

    def test_not_repeated_when_a_byte_was_seen(self):
        def first(peer):
            peer.request()
            peer.send(OK)
            peer.request()
            peer.send(b"H")
        results = self.call(first, calls=2)
        self.assertEqual([result[0] for result in results], ["ok", "closed"])
        self.assertEqual(self.accepted, 1)

    def test_not_repeated_on_a_fresh_connection(self):
        seen = []

        def play(peer):
            seen.append(peer.request())
        self.assertEqual(self.one(play)[0], "closed")
        self.assertEqual(len(seen), 1)

    def test_not_repeated_twice(self):
        seen = []

        def first(peer):
            peer.request()
            peer.send(OK)
            seen.append(peer.request())

        def second(peer):
            seen.append(peer.request())
        results = self.call(first, second, calls=2)
        self.assertEqual([result[0] for result in results], ["ok", "closed"])
        self.assertEqual(len(seen), 2)

    def test_connection_close_and_http_1_0_are_not_kept(self):
        for answer in (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                       b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"):
            def play(peer, answer=answer):
                peer.request()
                peer.send(answer)
                assert peer.is_closed_by_client()
            self.assertEqual([result[0] for result in self.call(play, play, calls=2)],
                             ["ok", "ok"])

    def test_bytes_behind_an_answer_end_the_connection(self):
        def first(peer):
            peer.request()
            peer.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nspoof")
            assert peer.is_closed_by_client()

        def second(peer):
            peer.request()
            peer.send(OK)
        self.assertEqual([result[3] for result in self.call(first, second, calls=2)], ["ok", "ok"])

    def test_answer_head_over_its_limit(self):
        self.fails(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000 + b"\r\n\r\n", "too large",
                   head_bytes=1000)
        self.fails(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000, "too large", head_bytes=1000)
        self.fails(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", "too large")

    def test_answer_body_over_its_limit(self):
        def too_long(peer):
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
            assert peer.is_closed_by_client()
        self.assertEqual(self.one(too_long, body_bytes=1000)[0], "too large")
        self.fails(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, "too large", body_bytes=1000)
        self.fails(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" + b"x" * 1001 +
                   b"\r\n0\r\n\r\n", "too large", body_bytes=1000)
        self.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, 200,
                      "1000 bytes", body_bytes=1000)

    def test_large_answers_arrive_whole(self):
        size = 3000000
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size,
                     b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size):
            self.assertEqual(self.one(plays(data))[3], f"{size} bytes")

    def drip(self, start, drop):
        def play(peer):
            peer.request()
            try:
                peer.send(start)
                for _ in range(200):
                    time.sleep(0.02)
                    peer.send(drop)
            except (BrokenPipeError, ConnectionResetError):
                return
            raise AssertionError("the client never hung up")
        name, _, took, _ = self.one(play, timeout_ms=400)
        self.assertEqual(name, "timed out")
        self.assertTrue(350 <= took < 1500, took)

    def test_answer_dripped_or_never_ending(self):
        self.drip(b"HTTP/1.1 200 OK\r\nX: ", b"x")
        self.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x")
        self.drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")
        self.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")

    def test_no_answer(self):
        def play(peer):
            peer.request()
            assert peer.is_closed_by_client()
        name, _, took, _ = self.one(play, timeout_ms=300)
        self.assertEqual(name, "timed out")
        self.assertTrue(250 <= took < 1300, took)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        done = subprocess.run([wire.support_program("http_call"), str(port), "--calls", "3",
                               "--at-once", "2"], text=True, stdout=subprocess.PIPE, timeout=30,
                              check=False)
        self.assertEqual([line.split("|")[0] for line in done.stdout.splitlines()],
                         ["refused"] * 3)

    def test_malformed_answers(self):
        for data in (b"garbage\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
                     b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"):
            self.fails(data, "invalid")

    def test_answers_cut_short(self):
        for data in (b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
            self.fails(data, "closed")

    def test_calls_beyond_the_most_connections_wait_in_line(self):
        def play(peer):
            while peer.request() is not None:
                time.sleep(0.02)
                peer.send(OK)
        results = self.call(play, play, calls=12, at_once=12, connections=2)
        self.assertEqual([result[:2] for result in results], [("ok", 200)] * 12)
        self.assertEqual(self.accepted, 2)

    def test_a_call_that_waits_in_line_has_its_time_limit(self):
        def play(peer):
            peer.request()
            time.sleep(0.6)
        results = self.call(play, calls=3, at_once=3, connections=1, timeout_ms=300)
        self.assertEqual([result[0] for result in results], ["timed out"] * 3)

    def test_idle_connections_are_closed(self):
        def first(peer):
            peer.request()
            peer.send(OK)
            assert peer.is_closed_by_client()

        def second(peer):
            peer.request()
            peer.send(OK)
        self.assertEqual([result[0] for result in self.call(first, second, calls=2, idle_ms=50,
                                                            pause_ms=200)], ["ok", "ok"])


if __name__ == "__main__":
    unittest.main()
