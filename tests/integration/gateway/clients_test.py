"""Clients that do not wait politely for the answer to their publish."""
import socket
import unittest

from harness import OK, Client, Story, subscription

MIB = 1024 * 1024


class Clients(Story):
    def full(self):
        """A gateway whose budget is full, so that a publish waits; and what ends that."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.gateway("--max-memory", "4Mi", "--publish-wait", "300s", app=app)
        body = b'"' + b"x" * MIB + b'"'
        for _ in range(3):
            self.published(gateway, "t", body)
        # 3 MiB of 3.75 are taken: the next large one waits in line, and so does all behind it.
        last = Client(gateway.address)
        self.addCleanup(last.close)
        gateway.publish_later = last.send("POST", "/v1.0/publish/pubsub/t", body)
        return app, gateway, held

    def publish_and_wait(self, gateway, topic, data):
        """A publish that has to wait."""
        client = Client(gateway.address)
        before = gateway.metric("fairlead_publish_waiting")
        client.send("POST", f"/v1.0/publish/pubsub/{topic}", data, Content_Type="application/json")
        gateway.wait_for(lambda: gateway.metric("fairlead_publish_waiting") > before, "it waits")
        return client

    def test_client_that_resets_while_its_publish_is_pending(self):
        """What it asked for is done all the same."""
        app, gateway, held = self.full()
        client = self.publish_and_wait(gateway, "t", b'"from the one that is gone"')
        connections = gateway.metric("fairlead_connections")
        client.reset()
        gateway.wait_for(lambda: gateway.metric("fairlead_connections") < connections,
                         "the reset is noticed")
        held.set()
        self.assertIn("from the one that is gone", [r.data for r in app.wait_got("/t", 5)])
        self.assertEqual(gateway.publish_later.read().status, 204)

    def test_client_that_half_closes_gets_its_answer(self):
        app, gateway, held = self.full()
        client = self.publish_and_wait(gateway, "t", b'"half closed"')
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(gateway.health(), 204)
        held.set()
        self.assertEqual(client.read().status, 204)
        self.assertEqual(client.stream.read(), b"")
        client.close()
        self.assertIn("half closed", [r.data for r in app.wait_got("/t", 5)])

    def test_client_that_resets_while_its_body_waits_for_room(self):
        """Nothing was asked yet: nothing is published, and its place in the line is free."""
        app, gateway, held = self.full()
        client = Client(gateway.address)
        client.socket.sendall(b"POST /v1.0/publish/pubsub/t HTTP/1.1\r\nHost: h\r\n"
                              b"Content-Length: 100000\r\n\r\n" + b"x" * 50000)
        gateway.wait_for(lambda: gateway.metric("fairlead_connections") == 2, "it is there")
        client.reset()
        gateway.wait_for(lambda: gateway.metric("fairlead_connections") == 1, "it is gone")
        held.set()
        self.assertEqual(gateway.publish_later.read().status, 204)
        app.wait_got("/t", 4)
        gateway.wait_for(lambda: gateway.metric("fairlead_budget_used_bytes") < 65536,
                         "the budget is given back")
        self.assertEqual(len(app.got("/t")), 4)

    def test_pipelined_publishes_are_answered_in_order(self):
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app)
        with Client(gateway.address) as client:
            requests = b""
            for number in range(200):
                topic = "t" if number % 10 else "t%zz"  # every tenth is a bad request
                body = str(number).encode()
                requests += (f"POST /v1.0/publish/pubsub/{topic} HTTP/1.1\r\nHost: h\r\n"
                             f"Content-Type: application/json\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n").encode() + body
            client.socket.sendall(requests)
            statuses = [client.read().status for _ in range(200)]
        self.assertEqual(statuses, [204 if number % 10 else 400 for number in range(200)])
        self.assertEqual([r.data for r in app.wait_got("/t", 180)],
                         [number for number in range(200) if number % 10])


if __name__ == "__main__":
    unittest.main()
