"""The server rows of contract/http1.md on raw sockets, one test or more a row.

Each row runs against tests/support/http_echo and, when FAIRLEAD names a gateway, against that;
rows that need small limits or short times run against http_echo only. FAIRLEAD_SOAK=1 opens
100,000 connections where the usual run opens 5,000.
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from wire import SOAK, SANITIZER, Echo, Gateway

wire.raise_descriptor_limit()
CHUNKED = "Transfer-Encoding: chunked"
GOOD = (200, 204)


class Case(unittest.TestCase):
    """Starts one server a class; `make` says which."""

    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def fine(self, data, count=1, body=None):
        """Each of `count` requests is answered well and the connection lives on."""
        with self.server.connect() as client:
            client.send(data)
            for _ in range(count):
                answer = client.answer()
                self.assertIn(answer.status, GOOD, (data[:200], answer))
                if body is not None and not self.server.is_gateway:
                    self.assertEqual(answer.body, body)
            client.send(self.server.request(b"{}"))
            self.assertIn(client.answer().status, GOOD)

    def refused(self, data, *statuses):
        """One answer with one of the statuses, then the end: nothing of what follows is read as a
        request. The same whether the bytes come at once or one by one."""
        smuggled = self.server.request(b"{}", "X-Padding: " + "x" * 40)
        for step in (len(data) + len(smuggled), 1):
            shown = data if len(data) < 200 else data[:100] + b"..." + data[-100:]
            with self.subTest(data=shown, step=step), self.server.connect() as client:
                try:
                    client.drip(data + smuggled, step)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                answer = client.answer()
                self.assertIn(answer.status, statuses, answer)
                self.assertEqual(answer.field("connection"), "close")
                self.assertEqual(client.rest(), b"")


class Rows(Case):
    """What holds for every server on net/."""

    # chunked body, with trailers, with chunk extensions

    def test_chunked_body(self):
        head = self.server.head(CHUNKED)
        for step in (1, 1000):
            with self.server.connect() as client:
                client.drip(head + b"5\r\nhello\r\n00A\r\n, chunked!\r\n0\r\n\r\n", step)
                answer = client.answer()
                self.assertIn(answer.status, GOOD)
                if not self.server.is_gateway:
                    self.assertEqual(answer.body, b"hello, chunked!")

    def test_chunked_body_with_trailers(self):
        self.fine(self.server.head(CHUNKED) +
                  b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n", body=b"{}")

    def test_chunked_body_with_extensions(self):
        self.fine(self.server.head(CHUNKED) +
                  b"1;a=b\r\n{\r\n1;name=\"quoted; text\";flag\r\n}\r\n0;last\r\n\r\n", body=b"{}")

    def test_malformed_extensions(self):
        for extension in (b";", b";=a", b";a=", b";a b", b"; a", b";a ", b";a=b c", b";a=\"b",
                          b";a=\"b\"c", b";a=\x80", b";a=\"\x01\"", b";a,b", b";a;;b"):
            self.refused(self.server.head(CHUNKED) + b"2" + extension + b"\r\n{}\r\n0\r\n\r\n", 400)
        self.fine(self.server.head(CHUNKED) + b"2;a=\"\\\"\x80;\";b;c=d\r\n{}\r\n0\r\n\r\n")

    def test_trailers_and_extensions_are_bounded(self):
        head = self.server.head(CHUNKED)
        self.refused(head + b"1\r\n1\r\n0\r\n" + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n", 400)
        self.refused(head + b"1;" + b"x" * 5000 + b"\r\n1\r\n0\r\n\r\n", 400)
        self.refused(head + b"0" * 5000 + b"1\r\n1\r\n0\r\n\r\n", 400)

    def test_an_empty_chunked_body(self):
        self.fine(self.server.head(CHUNKED) + b"0\r\n\r\n", body=b"")

    # Expect

    def test_expect_100_continue(self):
        for fields in (["Content-Length: 2"], [CHUNKED]):
            with self.server.connect() as client:
                client.send(self.server.head("Expect: 100-Continue", *fields))
                interim = client.answer()
                self.assertEqual((interim.status, interim.fields), (100, []))
                client.send(b"{}" if len(fields[0]) < 20 else b"2\r\n{}\r\n0\r\n\r\n")
                self.assertIn(client.answer().status, GOOD)

    def test_expect_with_the_body_at_once(self):
        self.fine(self.server.request(b"{}", "Expect: 100-continue"))

    def test_unknown_expectation(self):
        self.refused(self.server.head("Expect: miracles", "Content-Length: 2"), 417)
        self.refused(self.server.head("Expect: 100-continue", "Expect: more",
                                      "Content-Length: 2"), 417)

    # limits of bodies

    def test_declared_length_over_the_limit(self):
        with self.server.connect() as client:
            client.send(self.server.head(f"Content-Length: {self.server.body_bytes + 1}"))
            answer = client.answer()
            self.assertEqual(answer.status // 100, 5 if self.server.is_gateway else 4)
            self.assertEqual(client.rest(), b"")

    def test_the_path_is_known_before_the_length_is_judged(self):
        path = "/v1.0/publish/unknown/t" if self.server.is_gateway else "/missing"
        with self.server.connect() as client:
            client.send(self.server.head(f"Content-Length: {self.server.body_bytes + 1}",
                                         path=path))
            self.assertIn(client.answer().status, (400, 404))
            self.assertEqual(client.rest(), b"")

    def test_chunked_body_growing_over_the_limit(self):
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with self.server.connect() as client:
            client.send(self.server.head(CHUNKED))
            try:
                for _ in range(self.server.body_bytes // 65536 + 2):
                    client.send(chunk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertIn(client.answer().status, (413, 500))
            self.assertEqual(client.rest(), b"")

    def test_a_body_of_the_limit(self):
        body = b'"' + b"x" * (self.server.body_bytes - 2) + b'"'
        self.fine(self.server.request(body), body=body)

    # pipelining

    def test_pipelined_requests(self):
        count = 200
        data = b"".join(self.server.request(b"%d" % i) for i in range(count))
        for step in (len(data), 7):
            with self.server.connect() as client:
                client.drip(data, step)
                for i in range(count):
                    answer = client.answer()
                    self.assertIn(answer.status, GOOD)
                    if not self.server.is_gateway:
                        self.assertEqual(answer.body, b"%d" % i)

    # lengths

    def test_content_length_with_transfer_encoding(self):
        self.refused(self.server.head("Content-Length: 5", CHUNKED) + b"0\r\n\r\n", 400)
        self.refused(self.server.head(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n", 400)

    def test_two_content_lengths(self):
        self.refused(self.server.head("Content-Length: 2", "Content-Length: 3") + b"{} ", 400)
        self.refused(self.server.head("Content-Length: 2", "content-length: 2") + b"{}", 400)

    def test_content_length_that_is_not_plain_digits(self):
        for value in ("2, 2", "2,3", "+2", "-2", "2 2", "0x2", "2.0", "", "2a", "1_0", "\"2\"",
                      "2\t", "9223372036854775808", "18446744073709551618", "9" * 40):
            self.refused(self.server.head("Content-Length: " + value) + b"{}", 400)

    # transfer codings

    def test_transfer_encoding_other_than_chunked(self):
        for value in ("gzip", "chunked, gzip", "gzip, chunked", "chunked, chunked", "identity",
                      "xchunked", "chunked x", "", ",chunked", "chunked;q=1", "\"chunked\"",
                      "chunked\x0b", "chunked\t", "chunked \t"):
            self.refused(self.server.head("Transfer-Encoding: " + value) + b"0\r\n\r\n", 400, 501)
        self.refused(self.server.head(CHUNKED, CHUNKED) + b"0\r\n\r\n", 400, 501)
        self.refused(self.server.head("Transfer-Encoding: gzip", CHUNKED) + b"0\r\n\r\n", 400, 501)

    # names

    def test_white_space_around_names(self):
        for line in ("Content-Length : 2", "X : y", "X\t: y", " X: y", "X Y: z"):
            self.refused(self.server.head(line), 400)
            self.refused(self.server.head("A: b", line), 400)
        head = self.server.head("A: b")
        self.refused(head.replace(b"\r\nHost", b"\r\n Host"), 400)

    def test_empty_names_and_bytes_outside_token(self):
        for name in ("", "a(", "a)", "a,", "a/", "a;", "a<", "a=", "a>", "a?", "a@", "a[", "a\\",
                     "a]", "a{", "a}", "a\"", "\x80", "a\x7f", "a\x01", "a\x00"):
            self.refused(self.server.head(name + ": b"), 400)
        self.refused(self.server.head("no colon"), 400)
        self.refused(self.server.head("nocolon"), 400)

    # line ends

    def test_bare_lf(self):
        good = self.server.head("A: b")
        for at in range(good.count(b"\r\n")):
            parts = good.split(b"\r\n")
            self.refused(b"\r\n".join(parts[:at + 1]) + b"\n" + b"\r\n".join(parts[at + 1:]), 400)
        self.refused(self.server.head(CHUNKED) + b"2\n{}\r\n0\r\n\r\n", 400)
        self.refused(self.server.head(CHUNKED) + b"2\r\n{}\n0\r\n\r\n", 400)
        self.refused(self.server.head(CHUNKED) + b"2\r\n{}\r\n0\n\r\n", 400)
        self.refused(self.server.head(CHUNKED) + b"2\r\n{}\r\n0\r\nA: b\n\r\n", 400)
        self.refused(self.server.head(CHUNKED) + b"2\r\n{}\r\n0\r\nA: b\r\n\n", 400)

    def test_bare_cr(self):
        good = self.server.head("A: b")
        for at in range(good.count(b"\r\n") - 1):
            parts = good.split(b"\r\n")
            self.refused(b"\r\n".join(parts[:at + 1]) + b"\r" + b"\r\n".join(parts[at + 1:]), 400)
        self.refused(self.server.head("A: b\rc"), 400)
        self.refused(self.server.head(CHUNKED) + b"2\r{}\r\n0\r\n\r\n", 400)
        self.refused(self.server.head(CHUNKED) + b"2;a\rb\r\n{}\r\n0\r\n\r\n", 400)

    def test_obsolete_folding(self):
        for line in ("A: b\r\n c", "A: b\r\n\tc", "A:\r\n b", "A: b\r\n "):
            self.refused(self.server.head(line), 400)
        self.refused(self.server.head("Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", 400, 501)

    def test_control_bytes_in_values_and_targets(self):
        for byte in [chr(c) for c in range(32) if chr(c) not in "\t\r\n"] + ["\x7f"]:
            self.refused(self.server.head(f"A: b{byte}c"), 400)
            self.refused(self.server.head(path=f"/a{byte}b"), 400)
        self.refused(self.server.head(path="/a\tb"), 400)

    def test_values_may_hold_tabs_and_bytes_over_127(self):
        self.fine(self.server.request(b"{}", "A: b\tc", "B: \x80\xff", "C:", "D:\t x \t"))

    def test_head_ended_by_cr_lf_cr_x(self):
        head = self.server.head("A: b")
        self.refused(head[:-1] + b"X", 400)
        self.refused(head[:-1] + b"\r\n", 400)

    # chunk sizes and data

    def test_chunk_sizes(self):
        for size in (b"0x7", b"+7", b"-7", b"", b" 7", b"7 ", b"7\t", b"7 ;a", b"g", b"\x007",
                     b"7,", b"10000000000000000", b"ffffffffffffffff0", b"FFFFFFFFFFFFFFFFF"):
            self.refused(self.server.head(CHUNKED) + size + b"\r\n1234567\r\n0\r\n\r\n", 400)

    def test_a_chunk_of_64_bits_is_too_large_not_malformed(self):
        with self.server.connect() as client:
            client.send(self.server.head(CHUNKED) + b"FFFFFFFFFFFFFFFF\r\n" + b"x" * 4096)
            try:
                for _ in range(self.server.body_bytes // 65536 + 1):
                    client.send(b"x" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertIn(client.answer().status, (413, 500))

    def test_chunk_data_not_followed_by_cr_lf(self):
        for end in (b"XX", b"\n\n", b"\rX", b"\r\r", b"0\r\n", b""):
            self.refused(self.server.head(CHUNKED) + b"2\r\n{}" + end + b"0\r\n\r\n", 400)

    def test_trailer_lines(self):
        for line in (b" a: b", b"\x00: b", b"a: b\x00", b"a: b\rc", b":b", b"a", b"a b: c"):
            self.refused(self.server.head(CHUNKED) + b"2\r\n{}\r\n0\r\n" + line + b"\r\n\r\n", 400)

    # versions, Host

    def test_versions(self):
        for version in ("HTTP/9.9", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/0.0"):
            self.refused(self.server.head(version=version), 505)
        for version in ("HTTP/1", "HTTP/1.", "HTTP/1.10", "HTTP/01.1", "http/1.1", "HTTP/1.1 ",
                        "HTTP 1.1", "HTTP/1,1", "HTTPS/1.1", "", "HTTP/a.b"):
            self.refused(self.server.head(version=version), 400)
        self.refused(b"POST " + self.server.path.encode() + b"\r\nHost: h\r\n\r\n", 400)

    def test_hosts(self):
        self.refused(self.server.head(host=False), 400)
        self.refused(self.server.head("Host: h"), 400)
        self.refused(self.server.head("Host: other"), 400)
        self.refused(self.server.head("Host: a/b", host=False), 400)
        self.refused(self.server.head("Host: a b", host=False), 400)
        self.refused(self.server.head("Host: user@h", host=False), 400)
        for host in ("h:80", "[::1]:80", "127.0.0.1", ""):
            data = self.server.head("Host: " + host, "Content-Length: 2", host=False) + b"{}"
            self.fine(data)

    def test_request_lines(self):
        path = self.server.path.encode()
        for line in (b"POST  " + path + b" HTTP/1.1", b" POST " + path + b" HTTP/1.1",
                     b"POST " + path + b"  HTTP/1.1", b"POST\t" + path + b" HTTP/1.1",
                     b"PO(ST " + path + b" HTTP/1.1", b"POST HTTP/1.1", b"POST", b"",
                     b"POST " + path + b" x HTTP/1.1", b"\xffPOST " + path + b" HTTP/1.1"):
            self.refused(line + b"\r\nHost: h\r\n\r\n", 400)

    def test_targets_of_no_form(self):
        for target in ("foo", "h:80", "*x", "/a#b#c", "http:/h/a", "http:///a", "://h/a",
                       "http://h h/a", "http://user@h/a", "1http://h/a"):
            self.refused(self.server.head(path=target), 400)
        self.refused(self.server.head(method="CONNECT", path="/a"), 400)

    def test_one_empty_line_before_the_request(self):
        self.fine(b"\r\n" + self.server.request(b"{}"))
        self.refused(b"\r\n\r\n" + self.server.request(b"{}"), 400)
        self.refused(b"\n" + self.server.request(b"{}"), 400)
        self.refused(b"\rX" + self.server.request(b"{}"), 400)

    # HTTP/1.0, Connection

    def test_http_1_0_closes(self):
        for fields in ([], ["Connection: close"], ["Connection: close, keep-alive"],
                       ["Connection: close", "Connection: keep-alive"]):
            with self.server.connect() as client:
                client.send(self.server.head("Content-Length: 2", *fields, version="HTTP/1.0",
                                             host=False) + b"{}")
                answer = client.answer()
                self.assertIn(answer.status, GOOD)
                self.assertEqual(answer.field("connection"), "close")
                self.assertEqual(client.rest(), b"")

    def test_http_1_0_with_keep_alive(self):
        with self.server.connect() as client:
            for _ in range(3):
                client.send(self.server.head("Content-Length: 2", "Connection: Keep-Alive",
                                             version="HTTP/1.0") + b"{}")
                answer = client.answer()
                self.assertIn(answer.status, GOOD)
                self.assertEqual(answer.field("connection").lower(), "keep-alive")

    def test_http_1_0_has_no_chunked_body(self):
        self.refused(self.server.head(CHUNKED, version="HTTP/1.0") + b"0\r\n\r\n", 400)

    def test_http_1_0_gets_no_100_continue(self):
        with self.server.connect() as client:
            client.send(self.server.head("Expect: 100-continue", "Content-Length: 2",
                                         version="HTTP/1.0"))
            self.assertTrue(client.is_silent(0.2))
            self.assertIn(client.send(b"{}").answer().status, GOOD)

    def test_connection_close(self):
        for value in ("close", "Close", "x, close", "close,x", " , close ,"):
            with self.server.connect() as client:
                client.send(self.server.request(b"{}", "Connection: " + value))
                answer = client.answer()
                self.assertIn(answer.status, GOOD)
                self.assertEqual(answer.field("connection"), "close")
                self.assertEqual(client.rest(), b"")
        self.fine(self.server.request(b"{}", "Connection: closed, keep-alive"))

    def test_nothing_behind_a_request_that_closes_is_read(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"{}", "Connection: close") +
                        self.server.request(b"{}"))
            self.assertIn(client.answer().status, GOOD)
            self.assertEqual(client.rest(), b"")

    # limits of heads

    def long_head(self, size, path=None):
        head = self.server.head("Content-Length: 0", "X-Long: ", path=path)
        return head[:-4] + b"x" * (size - len(head)) + b"\r\n\r\n"

    def test_a_head_of_the_limit(self):
        self.fine(self.long_head(self.server.head_bytes))

    def test_a_head_over_the_limit(self):
        self.refused(self.long_head(self.server.head_bytes + 1), 431)
        self.refused(self.long_head(self.server.head_bytes * 4), 431)

    def test_a_head_without_end(self):
        with self.server.connect() as client:
            client.send(self.server.head()[:-2] + b"X: " + b"x" * self.server.head_bytes)
            self.assertEqual(client.answer().status, 431)
            self.assertEqual(client.rest(), b"")

    def test_a_hundred_fields(self):
        # Host and Content-Length are two of them.
        self.fine(self.server.request(b"{}", *[f"X-{i}: y" for i in range(98)]))
        self.refused(self.server.head(*[f"X-{i}: y" for i in range(100)]), 431)

    # gone clients

    def test_reset_of_idle_and_half_sent(self):
        before = self.server.descriptor_count()
        for data in (b"", b"POST", self.server.head("Content-Length: 10"),
                     self.server.head(CHUNKED) + b"5\r\nab", self.server.request(b"{}")):
            for _ in range(20):
                self.server.connect().send(data).reset()
        self.server.wait_for(lambda: self.server.descriptor_count() <= before,
                             "no descriptor is left")

    def test_half_close_after_requests(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"{}") * 3).half_close()
            for _ in range(3):
                self.assertIn(client.answer().status, GOOD)
            self.assertEqual(client.rest(), b"")

    def test_half_close_inside_a_request(self):
        for data in (b"", b"POST", self.server.head("Content-Length: 10") + b"123",
                     self.server.head(CHUNKED) + b"5\r\nab"):
            with self.server.connect() as client:
                client.send(data).half_close()
                self.assertEqual(client.rest(), b"")

    # many connections

    def test_many_connections_opened_and_closed(self):
        count = 100000 if SOAK else 5000
        request = self.server.request(b"{}")

        def open_and_close(times):
            for i in range(times):
                with self.server.connect() as client:
                    if i % 5 == 0:
                        self.assertIn(client.send(request).answer().status, GOOD)
                    elif i % 5 == 1:
                        client.send(b"GET / HT")
                    elif i % 5 == 2:
                        client.send(request).reset()
        before = self.server.descriptor_count()
        open_and_close(1000)
        self.server.wait_for(lambda: self.server.descriptor_count() <= before, "all are closed")
        resident = self.server.resident_bytes()
        open_and_close(count)
        self.server.wait_for(lambda: self.server.descriptor_count() <= before, "all are closed")
        growth = self.server.resident_bytes() - resident
        print(f"figure: {count} connections opened and closed, resident memory grew by "
              f"{growth // 1024} KiB")
        if not SANITIZER:
            self.assertLess(growth, 512 * 1024)

    def test_idle_connections(self):
        # A fresh server: one that has worked has free memory in which connections would hide.
        count, clients, server = 5000, [], self.make()
        request = server.request(b"{}")
        try:
            with server.connect() as client:
                self.assertIn(client.send(request).answer().status, GOOD)
            resident = server.resident_bytes()
            for i in range(count):
                clients.append(server.connect())
                if i % 2:
                    self.assertIn(clients[-1].send(request).answer().status, GOOD)
            server.wait_for(lambda: server.descriptor_count() >= count, "all are in")
            each = (server.resident_bytes() - resident) / count
            print(f"figure: {count} idle connections of {each:.0f} bytes each")
            if not SANITIZER:
                self.assertLess(each, 2048)
            for client in clients[::50]:
                self.assertIn(client.send(request).answer().status, GOOD)
        finally:
            for client in clients:
                client.socket.close()
            server.stop()


class EchoRows(Rows):
    @classmethod
    def make(cls):
        return Echo()

    def test_targets_reach_the_handler_as_sent(self):
        for target in ("http://h/a?b", "*", "/a/../b//c/%2e%2F?x=%zz&y", "//", "/.", "?a=b",
                       "/\xe9", "/a#b", "HTTPS://[::1]:80?x",
                       "/" + "x" * 4000):
            with self.server.connect() as client:
                client.send(self.server.head(method="OPTIONS", path=target))
                self.assertEqual(client.answer().field("x-target"), target)

    def test_methods_are_any_token(self):
        for method in ("GET", "BREW", "m-search", "X" * 100):
            with self.server.connect() as client:
                client.send(self.server.head(method=method))
                self.assertEqual(client.answer().field("x-method"), method)

    def test_head_answers_have_no_body(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"abc", method="HEAD") + self.server.request(b"de"))
            answer = client.answer(is_head=True)
            self.assertEqual(answer.field("content-length"), "3")
            self.assertEqual(client.answer().body, b"de")

    def test_pipelined_requests_with_delayed_answers(self):
        delays = [120, 0, 60, 0, 90, 30, 0, 1]
        with self.server.connect() as client:
            client.send(b"".join(self.server.request(b"%d" % i, path=f"/delay/{delay}/{i}" if delay
                                                     else "/echo")
                                 for i, delay in enumerate(delays)))
            for i in range(len(delays)):
                self.assertEqual(client.answer().body, b"%d" % i)

    def test_answers_to_a_slow_reader(self):
        body = os.urandom(3 * 1024 * 1024)
        with self.server.connect(receive_bytes=4096) as client:
            client.send(self.server.request(body) + self.server.request(b"next"))
            time.sleep(0.1)
            self.assertEqual(client.answer().body, body)
            self.assertEqual(client.answer().body, b"next")

    def test_reset_while_its_answer_is_pending(self):
        gone = self.server.stats()[2]
        clients = [self.server.connect().send(self.server.request(b"{}", path="/delay/400"))
                   for _ in range(10)]
        self.server.wait_for(lambda: self.server.stats()[1] == 11, "they wait")
        for client in clients:
            client.reset()
        self.server.wait_for(lambda: self.server.stats()[:2] == [1, 1], "they are noticed", 0.3)
        self.server.wait_for(lambda: self.server.stats()[2] == gone + 10, "they go on")

    def test_half_close_while_answers_are_pending(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"a", path="/delay/150") +
                        self.server.request(b"b") +
                        self.server.request(b"c", path="/delay/50")).half_close()
            self.assertEqual([client.answer().body for _ in range(3)], [b"a", b"b", b"c"])
            self.assertEqual(client.rest(), b"")


class FewPipelined(Case):
    @classmethod
    def make(cls):
        return Echo(pipelined=3)

    def test_reading_pauses_while_too_many_wait(self):
        with self.server.connect() as client:
            client.send(b"".join(self.server.request(b"%d" % i, path="/delay/200")
                                 for i in range(9)))
            time.sleep(0.1)
            self.assertEqual(self.server.stats()[1], 4)
            for i in range(9):
                self.assertEqual(client.answer().body, b"%d" % i)

    def test_reset_while_reading_is_paused(self):
        client = self.server.connect()
        client.send(self.server.request(b"{}", path="/delay/400") * 9)
        self.server.wait_for(lambda: self.server.stats()[1] == 4, "three wait")
        client.reset()
        self.server.wait_for(lambda: self.server.stats()[:2] == [1, 1], "it is noticed", 0.3)
        self.server.wait_for(lambda: self.server.stats()[2] == 3, "what was asked goes on")

    def test_half_close_while_reading_is_paused(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"x", path="/delay/50") * 9).half_close()
            for _ in range(9):
                self.assertEqual(client.answer().body, b"x")
            self.assertEqual(client.rest(), b"")


class ShortTimes(Case):
    @classmethod
    def make(cls):
        return Echo(head_ms=500, body_ms=600, idle_ms=700, write_ms=300)

    def timed(self, work, least, most=None):
        began = time.monotonic()
        work()
        took = time.monotonic() - began
        self.assertGreater(took, least)
        self.assertLess(took, (most or least * 2) + (2 if SANITIZER else 0.5))

    def drip_until_ended(self, client, data, status):
        """Bytes come steadily, faster than any pause would be noticed."""
        def work():
            client.socket.settimeout(0.05)
            for byte in data:
                try:
                    client.send(bytes([byte]))
                    if not client.fill():
                        break
                except TimeoutError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    break
                if b"\r\n\r\n" in client.bytes:
                    break
            client.socket.settimeout(5)
        self.timed(work, 0.4, 0.8)
        self.assertEqual(client.answer().status, status)
        self.assertEqual(client.rest(), b"")

    def test_head_dripped(self):
        with self.server.connect() as client:
            self.drip_until_ended(client, self.server.head("X: " + "x" * 100), 408)

    def test_second_head_dripped(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"{}"))
            self.assertEqual(client.answer().status, 200)
            self.drip_until_ended(client, self.server.head("X: " + "x" * 100), 408)

    def test_body_dripped(self):
        with self.server.connect() as client:
            client.send(self.server.head("Content-Length: 100"))
            self.drip_until_ended(client, b"x" * 100, 408)

    def test_chunked_body_dripped(self):
        with self.server.connect() as client:
            client.send(self.server.head(CHUNKED))
            self.drip_until_ended(client, b"1\r\nx\r\n" * 20, 408)

    def test_silent(self):
        with self.server.connect() as client:
            self.timed(lambda: self.assertEqual(client.rest(), b""), 0.4)

    def test_stalled_in_the_head(self):
        with self.server.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHo")
            self.timed(lambda: self.assertEqual(client.answer().status, 408), 0.4)
            self.assertEqual(client.rest(), b"")

    def test_stalled_in_the_body(self):
        with self.server.connect() as client:
            client.send(self.server.head("Content-Length: 100") + b"123")
            self.timed(lambda: self.assertEqual(client.answer().status, 408), 0.5)
            self.assertEqual(client.rest(), b"")

    def test_idle_keep_alive(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"{}"))
            self.assertEqual(client.answer().status, 200)
            self.timed(lambda: self.assertEqual(client.rest(), b""), 0.6)

    def test_waiting_for_an_answer_is_not_idle(self):
        with self.server.connect() as client:
            client.send(self.server.request(b"late", path="/delay/1200"))
            self.assertEqual(client.answer().body, b"late")

    def test_a_client_that_takes_nothing(self):
        with self.server.connect(receive_bytes=4096) as client:
            client.send(self.server.request(b"x" * 4000000))
            self.server.wait_for(lambda: self.server.stats()[0] == 1, "it is dropped")


class LongTargets(Case):
    @classmethod
    def make(cls):
        return Echo(head_bytes=32 * 1024)

    def test_target_over_its_limit(self):
        self.server.head_bytes = 32 * 1024
        limit = 28 * 1024
        self.fine(self.server.request(b"{}", path="/" + "x" * (limit - 1)))
        self.refused(self.server.head(path="/" + "x" * limit), 414)

    def test_the_parser_never_takes_more_than_64_kib(self):
        server = Echo(head_bytes=1024 * 1024)
        try:
            with server.connect() as client:
                client.send(server.head("X: " + "x" * 60000, "Content-Length: 0"))
                self.assertEqual(client.answer().status, 200)
                client.send(server.head("X: " + "x" * 66000))
                self.assertEqual(client.answer().status, 431)
                self.assertEqual(client.rest(), b"")
        finally:
            server.stop()


class UsualTargetLimit(Case):
    @classmethod
    def make(cls):
        return Echo(head_bytes=10 * 1024)

    def test_target_over_8_kib(self):
        self.fine(self.server.request(b"{}", path="/" + "x" * 8191))
        self.refused(self.server.head(path="/" + "x" * 8192), 414)


class FewConnections(Case):
    @classmethod
    def make(cls):
        return Echo(connections=8)

    def test_at_the_bound_accepting_stops(self):
        clients = [self.server.connect() for _ in range(12)]
        for client in clients[:8]:
            self.assertEqual(client.send(self.server.request(b"{}")).answer().status, 200)
        for client in clients[8:]:
            client.send(self.server.request(b"{}"))
        self.assertTrue(clients[8].is_silent(0.2))
        for client in clients[:8]:
            client.socket.close()
        for client in clients[8:]:
            self.assertEqual(client.answer().status, 200)
            client.socket.close()


class SmallBudget(Case):
    """1 MiB, of which 15/16 are for bodies."""

    BUDGET = 1024 * 1024

    @classmethod
    def make(cls):
        return Echo(budget=cls.BUDGET, wait_ms=600, body_ms=20000)

    def test_slow_senders_stay_inside_the_budget(self):
        size, count = 200000, 40
        clients = [self.server.connect() for _ in range(count)]
        try:
            for client in clients:
                client.send(self.server.head(f"Content-Length: {size}") + b"x")
            self.server.wait_for(lambda: self.server.stats()[3] >= 4 * size, "four are let in")
            sent = [1] * count
            for _ in range(20):
                for i in range(4):
                    part = min(10000, size - sent[i])
                    clients[i].send(b"x" * part)
                    sent[i] += part
            for i in range(4):
                answer = clients[i].answer()
                self.assertEqual((answer.status, len(answer.body)), (200, size))
            # The next four are let in, in the order of arrival, and so on; who waits too long is
            # told to come again.
            refused = 0
            for i in range(4, count):
                try:
                    clients[i].send(b"x" * (size - 1))
                    answer = clients[i].answer()
                except (BrokenPipeError, ConnectionResetError, EOFError):
                    self.fail(f"client {i} was dropped without an answer")
                if i < 8:
                    self.assertEqual(answer.status, 200)
                if answer.status == 429:
                    self.assertEqual(answer.field("retry-after"), "1")
                    refused += 1
            stats = self.server.stats()
            self.assertLessEqual(stats[4], self.BUDGET)
            self.assertEqual(stats[3], 0)
            print(f"figure: 40 slow senders of 200,000 bytes: peak {stats[4]} of {self.BUDGET}, "
                  f"{refused} refused")
        finally:
            for client in clients:
                client.socket.close()

    def test_a_full_budget_answers_429_in_time(self):
        holders = [self.server.connect().send(self.server.head("Content-Length: 240000") + b"x")
                   for _ in range(4)]
        self.server.wait_for(lambda: self.server.stats()[3] > 700000, "it is full")
        with self.server.connect() as client:
            began = time.monotonic()
            client.send(self.server.head("Content-Length: 240000") + b"x")
            answer = client.answer()
            self.assertEqual((answer.status, answer.field("retry-after")), (429, "1"))
            self.assertGreater(time.monotonic() - began, 0.5)
            self.assertEqual(client.rest(), b"")
        for holder in holders:
            holder.reset()
        self.server.wait_for(lambda: self.server.stats()[3] == 0, "all is given back")

    def test_incomplete_heads_are_bounded_too(self):
        clients = [self.server.connect() for _ in range(40)]
        for client in clients:
            client.send(b"POST / HTTP/1.1\r\nX: " + b"x" * 7000)
        statuses = []
        self.server.wait_for(lambda: self.server.stats()[0] > 2, "they are in")
        for client in clients:
            if not client.is_silent(0.01):
                statuses.append(client.answer().status)
        self.assertTrue(statuses and set(statuses) == {503}, statuses)
        for client in clients:
            client.reset()
        self.fine(self.server.request(b"{}"))


@unittest.skipUnless(wire.FAIRLEAD and os.path.exists(wire.FAIRLEAD), "no gateway in FAIRLEAD")
class GatewayRows(Rows):
    @classmethod
    def make(cls):
        return Gateway()

    @unittest.skipUnless(SOAK, "ten seconds of waiting: only in the long form")
    def test_head_dripped(self):
        with self.server.connect(timeout=0.4) as client:
            began = time.monotonic()
            for byte in self.server.head("X: " + "x" * 100):
                try:
                    client.send(bytes([byte]))
                    if not client.fill() or client.bytes:
                        break
                except TimeoutError:
                    pass
            self.assertGreater(time.monotonic() - began, 9)
            self.assertEqual(client.answer().status, 408)


del Rows, Case

if __name__ == "__main__":
    unittest.main()
