"""How the gateway ends: what is in flight is finished, what is asked to stop stops, and the exit
status says how it went."""
import signal
import unittest

from harness import OK, Client, Story, subscription, wait_for


class Stop(Story):
    def with_one_in_flight(self, *flags):
        """A gateway whose application works on an event, and what lets it answer."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.gateway(*flags, app=app)
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        return app, gateway, held

    def is_refused(self, gateway):
        try:
            Client(gateway.address).close()
            return False
        except ConnectionError:
            return True

    def test_idle_ends_at_once(self):
        gateway = self.gateway()
        gateway.signal(signal.SIGINT)
        self.assertEqual(gateway.wait_end(), 0)
        log = gateway.log()
        for text in ("Received signal 'interrupt'; beginning shutdown", "Dapr is shutting down",
                     "Shutting down component pubsub (pubsub.in-memory/v1)",
                     "Daprd shutdown gracefully"):
            self.assertIn(text, log)

    def test_sigterm_drains_what_is_in_flight(self):
        app, gateway, held = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60")
        self.published(gateway, "t", 2)  # behind it: not begun any more
        gateway.signal()
        gateway.wait_for(lambda: self.is_refused(gateway), "no new connections")
        self.assertIsNone(gateway.process.poll())
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual([r.data for r in app.got("/t")], [1])
        self.assertIn("Daprd shutdown gracefully", gateway.log())

    def test_a_request_under_way_gets_its_answer(self):
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60")
        with Client(gateway.address) as client:
            client.socket.sendall(b"POST /v1.0/publish/pubsub/t HTTP/1.1\r\nHost: h\r\n"
                                  b"Content-Length: 2\r\n\r\n{")
            gateway.wait_for(lambda: gateway.metric("fairlead_connections") >= 1, "it is accepted")
            # Heard as soon as the head is read, which this answer to another connection comes after.
            self.assertEqual(gateway.health(), 204)
            gateway.signal()
            gateway.wait_for(lambda: self.is_refused(gateway), "no new connections")
            client.socket.sendall(b"}")
            answer = client.read()
            self.assertEqual((answer.status, answer.fields["connection"]), (204, "close"))
        self.assertEqual(gateway.wait_end(), 0)

    def test_second_signal_ends_at_once(self):
        _, gateway, _ = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60")
        gateway.signal()
        gateway.wait_log("beginning shutdown")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("Received signal 'terminated' during shutdown; exiting immediately",
                      gateway.log())

    def test_the_first_signal_after_a_shutdown_by_api_cuts_nothing_off(self):
        _, gateway, held = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60")
        with Client(gateway.address) as client:
            self.assertEqual(client.exchange("POST", "/v1.0/shutdown").status, 204)
        gateway.wait_log("Dapr is shutting down")
        gateway.signal()
        gateway.wait_log("already shutting down")
        held.set()
        self.assertEqual(gateway.wait_end(), 0)

    def test_grace_period_that_is_over(self):
        _, gateway, _ = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "1")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("Graceful shutdown timeout exceeded, forcing shutdown", gateway.log())

    def test_block_period_keeps_the_api_up_and_delivers_nothing(self):
        """It ends when the application says that it is unhealthy."""
        app = self.app(subscription("t"))
        gateway = self.gateway("--dapr-block-shutdown-duration", "10m", "--enable-app-health-check",
                               "--app-health-probe-interval", "1", "--app-health-threshold", "1",
                               app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        gateway.signal()
        gateway.wait_log("Blocking graceful shutdown for")
        unready = gateway.get("/v1.0/healthz")
        self.assertEqual((unready.status, unready.json["message"]),
                         (500, "dapr is not ready: [security-provider]"))
        self.assertEqual(gateway.health("healthz/outbound"), 204)
        self.published(gateway, "t", 2)
        self.assertEqual(gateway.get("/v1.0/metadata").status, 200)
        app.on_health = lambda: 500
        self.assertEqual(gateway.wait_end(), 0)
        self.assertIn("App reported unhealthy, entering shutdown...", gateway.log())
        self.assertEqual([r.data for r in app.got("/t")], [1])

    def test_block_period_that_is_over(self):
        """It begins when what is in flight is finished."""
        app, gateway, held = self.with_one_in_flight("--dapr-block-shutdown-duration", "200ms",
                                                     "--dapr-graceful-shutdown-seconds", "60")
        gateway.signal()
        gateway.wait_log("Blocking graceful shutdown for")
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertIn("Block shutdown period expired, entering shutdown...", gateway.log())
        self.assertEqual(len(app.got("/t")), 1)

    def test_shutdown_by_api(self):
        app, gateway, held = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60",
                                                     "--dapr-block-shutdown-duration", "10m")
        with Client(gateway.address) as client:
            self.assertEqual(client.exchange("GET", "/v1.0/shutdown").status, 404)
            self.assertEqual(client.exchange("POST", "/v1.0/shutdown").status, 204)
        gateway.wait_log("Dapr is shutting down")
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        log = gateway.log()
        self.assertIn("Shutdown requested via API", log)
        self.assertIn("Daprd shutdown gracefully", log)
        self.assertNotIn("Blocking graceful shutdown", log)
        self.assertEqual(len(app.got("/t")), 1)

    def test_forced_shutdown_by_api(self):
        _, gateway, _ = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60")
        with Client(gateway.address) as client:
            answer = client.exchange("POST", "/v1.0/shutdown", dapr_force_shutdown="TRUE")
            self.assertEqual(answer.status, 204)
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("Force shutdown requested, exiting immediately without graceful shutdown",
                      gateway.log())

    def test_hangup_starts_anew_in_the_same_process(self):
        """What is in flight is finished first; the application is asked again."""
        app, gateway, held = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "60")
        gateway.signal(signal.SIGHUP)
        gateway.wait_for(lambda: self.is_refused(gateway), "no new connections")
        app.subscriptions.append(subscription("more"))
        held.set()
        gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")
        self.published(gateway, "more", 2)
        app.wait_got("/more", 1)
        self.assertEqual(len(app.got("/dapr/subscribe", "GET")), 2)
        self.assertEqual(len(app.got("/t")), 1)

    def test_while_it_waits_for_the_application(self):
        app = self.app(start=False)
        gateway = self.gateway(app=app, awaits="healthz/outbound")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)

    def test_with_a_message_that_waits_for_its_next_try(self):
        app = self.app(subscription("t"), on_event=lambda request: b"HTTP/1.1 500 No\r\n"
                       b"Content-Length: 0\r\n\r\n")
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60", app=app)
        self.published(gateway, "t")
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 1, "it waits")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        wait_for(lambda: not app.handling, "the application is idle")


if __name__ == "__main__":
    unittest.main()
