"""bindings.http against a server that redirects, is slow, sends too much, sends garbage, closes.

Each case says what the caller sees. Conversations that Dapr 1.18.0 was recorded in are compared
elsewhere; here stands what a recording cannot show: broken peers, hosts, secrets, limits, closing.
"""
import gzip
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upstream import BODY, CLOSE, Upstream, call, chunked, closing, http_binding, reset

from harness import Client, Story, answer, free_port, wait_for

MIB = 1024 * 1024


def redirect(status, where):
    return answer(status, b"moved", f"Location: {where}")


class HttpStory(Story):
    def upstream(self, **more):
        upstream = Upstream(**more)
        self.apps.append(upstream)
        return upstream.start()

    def web(self, upstream, *flags, documents=(), env=None, **metadata):
        """A gateway whose binding `web` leads to the server."""
        if upstream:
            metadata.setdefault("url", upstream.url)
        return self.gateway(*flags, documents=(http_binding(**metadata), *documents),
                            env={"no_proxy": "*", **(env or {})})

    def assert_fails(self, got, text, status=500):
        self.assertEqual(got.status, status, got)
        self.assertIn(text, got.error)
        self.assertTrue(got.error.startswith("error invoking output binding web: "), got.error)


class Answers(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()

    def ask(self, reply, *flags, operation="get", **metadata):
        self.up.paths["/x"] = reply
        gateway = self.web(self.up, *flags, **metadata)
        return call(gateway, operation, "/x")

    def test_chunks_are_one_body(self):
        got = self.ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n" +
                       b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-End: 1\r\n\r\n")
        self.assertEqual((got.status, got.body), (200, b"abcdefg"))
        for name in ("transfer-encoding", "trailer", "x-end", "content-length"):
            self.assertNotIn("metadata." + name, got.fields)

    def test_a_body_may_end_with_the_connection(self):
        got = self.ask(closing(b"HTTP/1.0 200 OK\r\nX-Up: 1\r\n\r\n" + b"z" * 100000))
        self.assertEqual((got.status, got.body), (200, b"z" * 100000))
        self.assertEqual(got.fields["metadata.x-up"], "1")

    def test_heads_before_the_last_one_are_left_out(self):
        got = self.ask(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
                       b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(201, b"made"))
        self.assertEqual((got.status, got.body), (200, b"made"))
        self.assertEqual(got.fields["metadata.statuscode"], "201")
        self.assertNotIn("metadata.x-early", got.fields)
        self.assertNotIn("metadata.link", got.fields)

    def test_equal_fields_are_joined_and_odd_ones_made_harmless(self):
        got = self.ask(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-MANY: a\r\nX-Many: b\r\n"
                       b"X-Folded: a\r\n  b\r\nX-Tab: a\tb\r\nBad Name: 1\r\n\r\n")
        self.assertEqual(got.fields["metadata.x-many"], "a, b")
        self.assertEqual(got.fields["metadata.x-folded"], "a b")
        self.assertEqual(got.fields["metadata.x-tab"], "a\tb")
        self.assertNotIn("metadata.bad name", got.fields)

    def test_gzip_is_undone_for_who_did_not_ask(self):
        packed = gzip.compress(b"hello " * 50000)
        self.up.paths["/x"] = answer(200, packed, "Content-Encoding: gzip")
        gateway = self.web(self.up)
        got = call(gateway, path="/x")
        self.assertEqual(got.body, b"hello " * 50000)
        self.assertNotIn("metadata.content-encoding", got.fields)
        self.assertNotIn("metadata.content-length", got.fields)
        got = call(gateway, path="/x", **{"Accept-Encoding": "gzip"})
        self.assertEqual(got.body, packed)
        self.assertEqual(got.fields["metadata.content-encoding"], "gzip")

    def test_another_encoding_is_passed_on(self):
        got = self.ask(answer(200, b"abc", "Content-Encoding: utf-8"))
        self.assertEqual((got.status, got.body), (200, b"abc"))
        self.assertEqual(got.fields["metadata.content-encoding"], "utf-8")

    def test_what_is_no_gzip_fails(self):
        got = self.ask(answer(200, b"not gzip at all", "Content-Encoding: gzip"))
        self.assert_fails(got, "is not the gzip that it says it is")

    def test_gzip_that_breaks_off_fails(self):
        packed = gzip.compress(os.urandom(5000))[:-100]
        self.assert_fails(self.ask(answer(200, packed, "Content-Encoding: gzip")), "breaks off")

    def test_a_packed_bomb_is_cut(self):
        bomb = gzip.compress(bytes(200 * MIB), 1)
        got = self.ask(answer(200, bomb, "Content-Encoding: gzip"), maxResponseBodySize="1Mi")
        self.assertEqual((got.status, len(got.body)), (200, MIB))

    def test_a_long_answer_is_cut_and_that_is_told_once(self):
        self.up.paths["/x"] = answer(200, b"z" * 3 * MIB)
        self.up.paths["/c"] = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               chunked(*[b"y" * 65536] * 48))
        gateway = self.web(self.up, maxResponseBodySize="1Mi")
        for path, byte in ("/x", b"z"), ("/c", b"y"), ("/x", b"z"):
            got = call(gateway, path=path)
            self.assertEqual((got.status, got.body), (200, byte * MIB))
        self.assertEqual(gateway.log().count("longer than maxResponseBodySize"), 1)
        self.assertEqual(call(gateway, path="/ok").body, BODY)

    def test_an_answer_of_just_the_limit_is_whole(self):
        self.up.paths["/x"] = answer(200, b"z" * MIB)
        self.up.paths["/g"] = answer(200, gzip.compress(b"z" * MIB), "Content-Encoding: gzip")
        gateway = self.web(self.up, maxResponseBodySize="1Mi")
        self.assertEqual(call(gateway, path="/x").body, b"z" * MIB)
        self.assertEqual(call(gateway, path="/g").body, b"z" * MIB)
        self.assertNotIn("maxResponseBodySize", gateway.log())

    def test_a_hundred_mebibytes_come_whole(self):
        body = os.urandom(MIB) * 100
        got = self.ask(answer(200, body), "--max-memory", "512Mi")
        self.assertEqual(got.status, 200)
        self.assertTrue(got.body == body)

    def test_no_content_and_not_modified_are_empty(self):
        self.up.paths["/n"] = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.up.paths["/m"] = b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n"
        gateway = self.web(self.up)
        got = call(gateway, path="/n")
        self.assertEqual((got.status, got.body), (200, b""))
        self.assert_fails(call(gateway, path="/m"), "received status code 304")


class BrokenPeers(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()
        self.gate = self.web(self.up)

    def ask(self, reply, operation="get", **more):
        self.up.paths["/x"] = reply
        got = call(self.gate, operation, "/x", **more)
        # Whatever it was, the next call is as good as any.
        self.assertEqual(call(self.gate, path="/ok").body, BODY)
        return got

    def test_closed_without_an_answer(self):
        self.assert_fails(self.ask(lambda *_: CLOSE), "closed before an answer came")

    def test_reset_without_an_answer(self):
        self.assert_fails(self.ask(reset), "the connection broke before the answer was complete")

    def test_closed_within_the_head(self):
        for head in b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n":
            self.assert_fails(self.ask(closing(head)), "closed within the head")

    def test_closed_within_the_body(self):
        got = self.ask(closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
        self.assert_fails(got, "closed within the answer")
        self.assertNotIn("metadata.statuscode", got.fields)

    def test_closed_within_the_chunks(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assert_fails(self.ask(closing(head + b"5\r\nab")), "closed within the answer")
        self.assertEqual(self.ask(closing(head + b"zz\r\nabc\r\n")).status, 500)

    def test_garbage(self):
        for garbage in (b"\0\1\2\3" * 100, b"SSH-2.0-OpenSSH\r\n", b"HTTP/9.9 hello\r\n\r\n",
                        b"<html>no head</html>"):
            with self.subTest(garbage[:20]):
                self.assertEqual(self.ask(closing(garbage)).status, 500)
        self.assert_fails(self.ask(closing(b"<html>no head</html>")), "the answer is not HTTP/1")

    def test_a_flood_of_fields(self):
        many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(2000))
        self.assert_fails(self.ask(closing(many + b"\r\n")), "more than 1000 header fields")
        long = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 400000 + b"\r\n\r\n"
        self.assertEqual(self.ask(closing(long)).status, 500)
        early = b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" * 20000
        self.assert_fails(self.ask(closing(early)), "of them")

    def test_endless_early_heads_end(self):
        def flood(_request, connection):
            try:
                while True:
                    connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
            except OSError:
                return CLOSE
        self.assert_fails(self.ask(flood), "of them")

    def test_an_answer_before_the_body_was_sent(self):
        def early(_request, connection):
            connection.sendall(answer(413, b"too large", "Connection: close"))
            return CLOSE
        got = self.ask(early, "post", data="d" * 1000)
        self.assert_fails(got, "received status code 413")

    def test_nobody_listens(self):
        self.up.stop()
        got = call(self.gate, path="/x")
        self.assert_fails(got, "cannot connect: Connection refused")
        self.up.start()
        self.assertEqual(call(self.gate).status, 200)


class KeptConnections(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()
        self.gate = self.web(self.up)

    def once_then_close(self, _request, _connection):
        """Only a connection's first request is answered."""
        return answer(200, b"first") if _request.place == 0 else CLOSE

    def test_calls_share_a_connection(self):
        for _ in range(20):
            call(self.gate, "post", data="x")
        self.assertEqual(self.up.connection_count, 1)

    def test_a_get_on_a_closed_connection_is_sent_again(self):
        self.up.paths["/x"] = self.once_then_close
        self.assertEqual(call(self.gate, path="/x").body, b"first")
        self.assertEqual(call(self.gate, path="/x").body, b"first")
        self.assertEqual(len(self.up.at("/x")), 3)

    def test_a_post_on_a_closed_connection_is_not_sent_again(self):
        self.up.paths["/x"] = self.once_then_close
        for operation in ("post", "put", "patch", "create"):
            del self.up.requests[:]
            self.assertEqual(call(self.gate, operation, "/x", data="1").body, b"first")
            self.assert_fails(call(self.gate, operation, "/x", data="2"),
                              "closed before an answer came")
            self.assertEqual([r.body for r in self.up.at("/x")], [b'"1"', b'"2"'])

    def test_a_server_that_restarted_is_found_again(self):
        self.assertEqual(call(self.gate, "post", data="1").status, 200)
        self.up.stop()
        self.up.start()
        wait_for(lambda: call(self.gate, "post", data="2").status == 200, "it goes on")


class Redirects(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()

    def follow(self, status, operation="post", where="/hello", **metadata):
        self.up.paths["/x"] = redirect(status, where)
        gateway = self.web(self.up)
        got = call(gateway, operation, "/x", data="d", **metadata)
        return got, self.up.requests

    def test_three_statuses_become_get_without_a_body(self):
        for status in (301, 302, 303):
            for operation in ("post", "put", "patch", "delete", "get"):
                with self.subTest(f"{status} {operation}"):
                    del self.up.requests[:]
                    got, (_, second) = self.follow(status, operation)
                    self.assertEqual((got.status, second.method, second.body), (200, "GET", b""))
                    self.assertNotIn("content-type", second.fields)

    def test_two_statuses_keep_method_and_body(self):
        for status in (307, 308):
            for operation, method in ("post", "POST"), ("put", "PUT"), ("delete", "DELETE"):
                with self.subTest(f"{status} {operation}"):
                    del self.up.requests[:]
                    got, (first, second) = self.follow(status, operation)
                    self.assertEqual((got.status, second.method), (200, method))
                    self.assertEqual(second.body, first.body)

    def test_head_stays_head(self):
        _, (_, second) = self.follow(302, "head")
        self.assertEqual(second.method, "HEAD")

    def test_ten_requests_are_the_most(self):
        self.up.paths["/loop"] = redirect(302, "/loop")
        got = call(self.web(self.up), path="/loop")
        self.assert_fails(got, "stopped after 10 redirects")
        self.assertNotIn("metadata.statuscode", got.fields)
        self.assertEqual(len(self.up.requests), 10)

    def test_nine_redirects_are_followed(self):
        for i in range(9):
            self.up.paths[f"/{i}"] = redirect(302, f"/{i + 1}")
        got = call(self.web(self.up), path="/0")
        self.assertEqual((got.status, got.body), (200, BODY))

    def test_a_redirect_without_a_location_is_an_answer(self):
        self.up.paths["/x"] = answer(302, b"where?")
        got = call(self.web(self.up, errorIfNot2XX="false"), path="/x")
        self.assertEqual((got.status, got.body), (200, b"where?"))
        self.assertEqual(got.fields["metadata.statuscode"], "302")

    def test_locations_that_are_no_http_are_refused(self):
        gateway = self.web(self.up)
        for where in ("ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1:1/_x",
                      "javascript:alert(1)", "http://", "http://[bad"):
            with self.subTest(where):
                self.up.paths["/x"] = redirect(302, where)
                self.assert_fails(call(gateway, path="/x"), "no http or https URL")

    def test_relative_locations_are_resolved(self):
        self.up.paths["/a/b"] = redirect(302, "../c?q=1#part")
        got = call(self.web(self.up), path="/a/b")
        self.assertEqual((got.status, self.up.requests[-1].target), (200, "/c?q=1"))

    def secrets(self, where, operation="get"):
        """What a server is sent after a redirect there."""
        up = self.up
        up.paths["/x"] = redirect(307, where)
        gateway = self.web(up, securityToken="s3cret", securityTokenHeader="X-Token")
        got = call(gateway, operation, "/x", data="d", Authorization="Bearer b", Cookie="c=1",
                   **{"X-Own": "o"})
        self.assertEqual(got.status, 200, got)
        return up.requests[-1].fields

    def test_secrets_stay_with_their_host(self):
        fields = self.secrets(f"http://localhost:{self.up.port}/y?q=1", "post")
        for name in ("authorization", "cookie", "x-token"):
            self.assertNotIn(name, fields)
        self.assertEqual(fields["x-own"], "o")
        self.assertEqual(fields["referer"], self.up.url + "/")

    def test_secrets_follow_on_the_same_host(self):
        fields = self.secrets("/y")
        self.assertEqual((fields["authorization"], fields["cookie"], fields["x-token"]),
                         ("Bearer b", "c=1", "s3cret"))
        self.assertEqual(fields["referer"], self.up.url + "/x")

    def test_secrets_do_not_come_back(self):
        self.up.paths["/y"] = redirect(302, self.up.url + "/z")
        fields = self.secrets(f"http://localhost:{self.up.port}/y")
        self.assertNotIn("authorization", fields)
        self.assertNotIn("x-token", fields)

    def test_a_redirect_with_an_endless_body_is_followed(self):
        def endless(_request, connection):
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /hello\r\n\r\n")
            try:
                while True:
                    connection.sendall(bytes(65536))
            except OSError:
                return CLOSE
        self.up.paths["/x"] = endless
        got = call(self.web(self.up), path="/x")
        self.assertEqual((got.status, got.body), (200, BODY))


class Requests(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()
        self.gate = self.web(self.up, securityToken="s3cret", securityTokenHeader="X-Token")

    def test_a_value_cannot_begin_another_line(self):
        for name, value in (("X-A", "1\r\nX-B: 2"), ("X-A", "1\n2"), ("X-A", "1\0"),
                            ("X-A\r\nX-B", "1"), ("X A", "1"), ("X:A", "1")):
            with self.subTest(repr((name, value))):
                got = call(self.gate, **{name: value})
                self.assertEqual(got.status, 500, got)
        self.assertEqual(self.up.requests, [])

    def test_a_path_cannot_begin_another_line(self):
        self.assert_fails(call(self.gate, path="/a\r\nX-B: 1"), "control character")
        self.assert_fails(call(self.gate, path="/a%zz"), "hexadecimal")
        self.assertEqual(self.up.requests, [])

    def test_a_path_cannot_leave_the_host(self):
        for path in ("//evil.example/x", "@evil.example/x", "\\\\evil.example", ".evil.example"):
            self.assertEqual(call(self.gate, path=path).status, 200)
        self.assertEqual(len(self.up.requests), 4)

    def test_framing_is_not_the_callers(self):
        got = call(self.gate, "post", "/x", data="d", Host="evil.example",
                   **{"Content-Length": "1", "Transfer-Encoding": "chunked", "Trailer": "X"})
        self.assertEqual(got.status, 200)
        fields = self.up.requests[0].fields
        self.assertEqual(fields["host"], f"127.0.0.1:{self.up.port}")
        self.assertEqual(fields["content-length"], "3")
        self.assertNotIn("transfer-encoding", fields)
        self.assertNotIn("expect", fields)

    def test_a_caller_cannot_replace_the_token(self):
        call(self.gate, **{"X-Token": "mine", "X-TOKEN": "mine"})
        self.assertEqual(self.up.requests[0].fields["x-token"], "s3cret")

    def test_dots_and_escapes_are_sent_as_they_are(self):
        for path, sent in (("/a/../b/./c", "/a/../b/./c"), ("/a%2Fb", "/a%2Fb"),
                           ("/é", "/%C3%A9"), ("/a b%2Fc", "/a%20b/c"), ("/x?a=b c&d=é#f",
                                                                       "/x?a=b%20c&d=%C3%A9")):
            call(self.gate, path=path)
            self.assertEqual(self.up.requests[-1].target, sent)

    def test_three_mebibytes_are_sent_without_a_delay(self):
        got = call(self.gate, "post", data="d" * 3 * MIB)
        self.assertEqual(got.status, 200)
        self.assertEqual(len(self.up.requests[-1].body), 3 * MIB + 2)

    def test_a_proxy_of_the_environment_is_used(self):
        gateway = self.web(self.up, url="http://host.invalid/a",
                           env={"http_proxy": self.up.url, "no_proxy": ""})
        self.assertEqual(call(gateway, path="b").status, 200)
        self.assertEqual(self.up.requests[-1].target, "http://host.invalid/a/b")

    def test_schemes_that_are_not_http_are_refused(self):
        for url, text in (("ftp://h/x", 'unsupported protocol scheme "ftp"'),
                          ("h/x", 'Get "h/x": unsupported protocol scheme ""'),
                          ("file:///etc/passwd", 'unsupported protocol scheme "file"'),
                          ("http:///x", "names no host"), ("http://h:99999/", "cannot be read")):
            with self.subTest(url):
                self.assert_fails(call(self.web(self.up, url=url)), text)

    def test_secrets_are_in_no_text(self):
        gateway = self.web(self.up, "--log-level", "debug", url="http://me:pa55@127.0.0.1:1/x?key=k3y",
                           securityToken="s3cret", securityTokenHeader="X-Token")
        got = call(gateway)
        self.assert_fails(got, 'Get "http://127.0.0.1:1/x": ')
        for word in ("pa55", "k3y", "s3cret"):
            self.assertNotIn(word, got.error)
            self.assertNotIn(word, gateway.log())

    def test_a_token_with_a_line_break_is_refused_at_the_start(self):
        gateway = self.gateway(documents=(http_binding(
            url=self.up.url, securityToken="a\nb", securityTokenHeader="X-Token"),), awaits=None)
        self.assertNotEqual(gateway.wait_end(), 0)
        self.assertIn("securityToken", gateway.log())


class Time(HttpStory):
    def setUp(self):
        super().setUp()
        self.up = self.upstream()

    def stuck(self, sends=b""):
        held = self.hold()

        def handler(_request, connection):
            connection.sendall(sends)
            held.wait(60)
            return CLOSE
        return handler

    def test_a_slow_answer_ends_at_the_components_limit(self):
        gateway = self.web(self.up, responseTimeout="200ms")
        for sends in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"):
            with self.subTest(sends):
                self.up.paths["/x"] = self.stuck(sends)
                self.assert_fails(call(gateway, path="/x"), "context deadline exceeded")
        self.assertEqual(call(gateway).status, 200)

    def test_redirects_share_the_limit(self):
        self.up.paths["/x"] = redirect(302, "/y")
        self.up.paths["/y"] = self.stuck()
        got = call(self.web(self.up, responseTimeout="200ms"), path="/x")
        self.assert_fails(got, "context deadline exceeded")

    def test_a_slow_call_holds_up_no_other(self):
        self.up.paths["/x"] = self.stuck()
        gateway = self.web(self.up)
        with Client(gateway.address) as slow:
            slow.send("POST", "/v1.0/bindings/web",
                      b'{"operation":"get","metadata":{"path":"/x"}}')
            self.up_has("/x")
            for _ in range(20):
                self.assertEqual(call(gateway).status, 200)

    def up_has(self, path, count=1):
        wait_for(lambda: len(self.up.at(path)) >= count, f"a request at {path}")

    def test_a_limit_ends_the_connection_too(self):
        ended = threading.Event()

        def handler(_request, connection):
            connection.settimeout(60)
            if connection.recv(1) == b"":
                ended.set()
            return CLOSE
        self.up.paths["/x"] = handler
        self.assert_fails(call(self.web(self.up, responseTimeout="100ms"), path="/x"), "deadline")
        wait_for(ended.is_set, "the server sees the end")

    def test_stopping_waits_for_an_answer(self):
        held, up = self.hold(), self.up
        up.paths["/x"] = lambda *_: held.wait(60) and answer(200, b"late")
        gateway = self.web(up)
        with Client(gateway.address) as client:
            client.send("POST", "/v1.0/bindings/web",
                        b'{"operation":"get","metadata":{"path":"/x"}}')
            self.up_has("/x")
            gateway.signal()
            gateway.wait_log("shutdown", 60)
            held.set()
            self.assertEqual(client.read().body, b"late")
        self.assertEqual(gateway.wait_end(), 0)

    def test_stopping_ends_an_answer_that_does_not_come(self):
        self.up.paths["/x"] = self.stuck()
        gateway = self.web(self.up, "--dapr-graceful-shutdown-seconds", "1")
        with Client(gateway.address) as client:
            client.send("POST", "/v1.0/bindings/web",
                        b'{"operation":"get","metadata":{"path":"/x"}}')
            self.up_has("/x")
            gateway.signal()
            # The status that daprd ends with when the time is up.
            self.assertEqual(gateway.wait_end(), 1)


class Many(HttpStory):
    def test_a_hundred_calls_at_once(self):
        up = self.upstream()
        gate = threading.Barrier(100, timeout=60)

        def together(_request, _connection):
            gate.wait()
            return answer(200, b"ok")
        up.paths["/x"] = together
        gateway = self.web(up)
        results = []
        threads = [threading.Thread(target=lambda: results.append(call(gateway, path="/x").body))
                   for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [b"ok"] * 100)
        self.assertEqual(gateway.metric("fairlead_connector_http_in_flight", component="web"), 0)
        self.assertEqual(gateway.metric("fairlead_connector_http_requests_total"), 100)

    def test_ten_large_answers_stay_within_the_bound(self):
        """Each is 100 MiB, the bound 256 MiB: some wait, none is lost, memory stays."""
        self.large(answer(200, bytes(100 * MIB)))

    def test_ten_answers_of_unknown_length_stay_within_the_bound(self):
        """They cannot wait for each other: who has no room is told so."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.large(head + chunked(*[bytes(MIB)] * 100), is_known=False)

    def large(self, reply, is_known=True):
        up = self.upstream()
        up.paths["/x"] = reply
        gateway = self.web(up, "--max-memory", "256Mi")
        results, texts = [], []

        def ask():
            got = call(gateway, path="/x")
            results.append((got.status, len(got.body) if got.status == 200 else 0))
            texts.append(got.error)
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        most = gateway.memory_bytes("VmHWM")
        self.assertTrue(set(results) <= {(200, 100 * MIB), (429, 0)}, results)
        self.assertIn((200, 100 * MIB), results)
        if is_known:
            self.assertNotIn((429, 0), results)
        for text in texts:
            self.assertTrue(not text or "--max-memory" in text, text)
        self.assertLess(most, 600 * MIB)
        self.assertEqual(call(gateway).status, 200)

    def test_an_answer_beyond_the_bound_says_so(self):
        up = self.upstream()
        up.paths["/x"] = answer(200, bytes(100 * MIB))
        gateway = self.web(up, "--max-memory", "64Mi")
        got = call(gateway, path="/x")
        self.assert_fails(got, "--max-memory", 429)
        self.assertLess(gateway.memory_bytes("VmHWM"), 64 * MIB)


def is_listening(port):
    """Whether somebody listens, found out without connecting."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


class Authority:
    """Certificates for a test: a root of its own, and whom it vouches for."""

    def __init__(self, folder):
        self.folder = folder
        self.run("req", "-x509", *self.key("root"), "-nodes", "-days", "2", "-subj", "/CN=root",
                 "-out", self.path("root.pem"))

    @staticmethod
    def run(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout",
                self.path(name + ".key"))

    def text(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def vouch(self, name, names):
        with open(self.path("names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=" + names)
        self.run("req", *self.key(name), "-nodes", "-subj", "/CN=" + name, "-out",
                 self.path("request"))
        self.run("x509", "-req", "-in", self.path("request"), "-CA", self.path("root.pem"),
                 "-CAkey", self.path("root.key"), "-CAcreateserial", "-days", "2", "-extfile",
                 self.path("names"), "-out", self.path(name + ".pem"))

    def server(self, wants_client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        if wants_client:
            context.load_verify_locations(self.path("root.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Tls(HttpStory):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.ca = Authority(cls.folder.name)
        cls.ca.vouch("server", "IP:127.0.0.1")
        cls.ca.vouch("client", "DNS:client")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def secure(self, wants_client=False):
        return self.upstream(context=self.ca.server(wants_client))

    def refused_start(self, text, **metadata):
        gateway = self.gateway(documents=(http_binding(**metadata),), awaits=None)
        self.assertNotEqual(gateway.wait_end(), 0)
        self.assertIn(text, gateway.log())

    def test_a_server_that_nobody_vouches_for_is_refused(self):
        self.assert_fails(call(self.web(self.secure())), "TLS: ")

    def test_a_root_may_be_text_a_path_or_of_the_environment(self):
        up, path = self.secure(), self.ca.path("root.pem")
        for more in ({"MTLSRootCA": self.ca.text("root.pem")}, {"MTLSRootCA": path},
                     {"env": {"SSL_CERT_FILE": path}}):
            self.assertEqual(call(self.web(up, **more)).body, BODY)

    def test_a_server_of_another_name_is_refused(self):
        up = self.secure()
        gateway = self.web(up, url=f"https://localhost:{up.port}",
                           MTLSRootCA=self.ca.path("root.pem"))
        self.assert_fails(call(gateway), "TLS: ")

    def test_a_client_shows_who_it_is(self):
        up, ca = self.secure(wants_client=True), self.ca
        root = ca.path("root.pem")
        self.assertEqual(call(self.web(up, MTLSRootCA=root)).status, 500)
        for given in ca.path, ca.text:
            gateway = self.web(up, MTLSRootCA=root, MTLSClientCert=given("client.pem"),
                               MTLSClientKey=given("client.key"))
            self.assertEqual(call(gateway).body, BODY)
            self.assertEqual(call(gateway, "post", data=1).body, BODY)

    def test_an_old_version_is_refused(self):
        context = self.ca.server()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        up = self.upstream(context=context)
        got = call(self.web(up, MTLSRootCA=self.ca.path("root.pem")))
        self.assert_fails(got, "TLS: ")

    def test_a_redirect_away_from_tls_takes_no_secrets_along(self):
        plain, up = self.upstream(), self.secure()
        up.paths["/x"] = redirect(302, plain.url + "/y")
        gateway = self.web(up, MTLSRootCA=self.ca.path("root.pem"), securityToken="s3cret",
                           securityTokenHeader="X-Token")
        self.assertEqual(call(gateway, path="/x", Authorization="b").status, 200)
        fields = plain.requests[0].fields
        for name in "authorization", "x-token", "referer":
            self.assertNotIn(name, fields)
        self.assertEqual(up.requests[0].fields["x-token"], "s3cret")

    def renegotiating(self, port):
        """OpenSSL's own server, which asks for a new handshake before it answers."""
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_2", "-crlf", "-naccept",
             "1", "-cert", self.ca.path("server.pem"), "-key", self.ca.path("server.key")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

        def read_until(start):
            while True:
                line = server.stdout.readline()
                if not line or line.startswith(start):
                    return

        def answer_late():
            try:
                read_until(b"GET")
                server.stdin.write(b"R\n")
                server.stdin.flush()
                # The command is read alone: what comes with it is taken for a part of it.
                read_until(b"SSL_do_handshake")
                server.stdin.write(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\n")
                server.stdin.flush()
            except OSError:
                pass
        thread = threading.Thread(target=answer_late)
        thread.start()

        def end():
            server.kill()
            server.wait()
            thread.join()
            server.stdout.close()
            try:
                server.stdin.close()
            except OSError:
                pass
        return end

    def test_a_server_may_renegotiate_only_where_that_is_said(self):
        for word, status in ("RenegotiateNever", 500), ("RenegotiateFreelyAsClient", 200):
            port = free_port()
            end = self.renegotiating(port)
            try:
                gateway = self.web(None, url=f"https://127.0.0.1:{port}",
                                   MTLSRootCA=self.ca.path("root.pem"), MTLSRenegotiation=word,
                                   responseTimeout="30s")
                wait_for(lambda: is_listening(port), "the server listens")
                got = call(gateway)
            finally:
                end()
            self.assertEqual(got.status, status, got)

    def test_what_is_wrong_with_certificates_stops_the_start(self):
        ca, url = self.ca, "https://127.0.0.1:1"
        self.refused_start("MTLSRootCA: the file /no/such cannot be read: No such file",
                           url=url, MTLSRootCA="/no/such")
        self.refused_start("MTLSClientCert: is set without MTLSClientKey", url=url,
                           MTLSClientCert=ca.path("client.pem"))
        self.refused_start("MTLSRootCA: found no certificate in it", url=url,
                           MTLSRootCA=ca.path("client.key"))
        broken = ca.text("client.key").replace("M", "!", 1)
        self.refused_start("MTLSClientKey: found no private key", url=url,
                           MTLSClientCert=ca.text("client.pem"), MTLSClientKey=broken)
        self.refused_start("MTLSClientKey: is not the key of MTLSClientCert", url=url,
                           MTLSClientCert=ca.path("client.pem"),
                           MTLSClientKey=ca.path("server.key"))


if __name__ == "__main__":
    unittest.main()
