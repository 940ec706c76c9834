"""Deliveries while the application, the broker or the process is on its way out: what was not
settled is given back or held, and only what really failed becomes a dead letter.
"""
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from features_test import WithStory  # noqa: E402
from harness import OK, Client, Story, answer, component, subscription, wait_for  # noqa: E402
from resiliency_test import resiliency  # noqa: E402

RETRIES = "retries: {ever: {duration: 10ms}, once: {duration: 10ms, maxRetries: 1}}"
BULK = {"bulkSubscribe": {"enabled": True, "maxMessagesCount": 1, "maxAwaitDurationMs": 10}}
HEALTH = ("--enable-app-health-check", "--app-health-probe-interval", "1",
          "--app-health-threshold", "1")


class Unhealthy(WithStory):
    def test_what_is_behind_a_failed_one_is_not_tried(self):
        """Else a whole lane would become dead letters of an application that is away."""
        held = self.hold()
        status = [500]
        app = self.app(subscription("t", deadLetterTopic="dead"), subscription("dead"),
                       on_event=lambda r: held.wait() and answer(status[0]))
        gateway = self.story(*HEALTH, app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        for number in range(5):
            self.published(gateway, "t", number, query="?metadata.partitionKey=7")
        app.wait_got("/t", 1)
        app.on_health = lambda: 500
        gateway.wait_log("App entered un-healthy status")
        for number in range(5, 8):
            self.published(gateway, "t", number, query="?metadata.partitionKey=7")
        held.set()
        gateway.wait_for(lambda: gateway.metric("fairlead_dead_lettered_total", topic="t") == 1,
                         "the first has failed")
        probes = len(app.got("/healthz", "GET"))
        wait_for(lambda: len(app.got("/healthz", "GET")) > probes + 1, "two more probes")
        self.assertEqual([r.data for r in app.got("/t")], [0])
        status[0] = 200
        app.on_health = lambda: 200
        app.wait_got("/t", 8)
        self.assertEqual([r.data for r in app.got("/t")], list(range(8)))
        self.assertEqual(gateway.metric("fairlead_dead_lettered_total", topic="t"), 1)


    def held_in_line(self, partition, **more):
        """With a limit of concurrent calls most stand in its line."""
        held = self.hold()
        status = [500]
        app = self.app(subscription("t", deadLetterTopic="dead", **more), subscription("dead"),
                       on_event=lambda r: held.wait() and answer(status[0]))
        gateway = self.story(*HEALTH, "--app-max-concurrency", "1", app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        for number in range(6):
            self.published(gateway, "t", number, query=partition and f"{partition}{number % 2}")
        app.wait_got("/t", 1)
        app.on_health = lambda: 500
        gateway.wait_log("App entered un-healthy status")
        held.set()
        gateway.wait_for(lambda: gateway.metric("fairlead_dead_lettered_total", topic="t") == 1,
                         "the first has failed")
        probes = len(app.got("/healthz", "GET"))
        wait_for(lambda: len(app.got("/healthz", "GET")) > probes + 1, "two more probes")
        self.assertEqual(len(app.got("/t")), 1)
        return app, gateway, status

    def test_what_stands_in_the_line_of_calls_is_not_tried(self):
        for partition in ("", "?metadata.partitionKey="):
            app, gateway, status = self.held_in_line(partition)
            status[0] = 200
            app.on_health = lambda: 200
            app.wait_got("/t", 6)
            got = [r.data for r in app.got("/t")]
            self.assertEqual(sorted(got), list(range(6)))
            if partition:
                for lane in (0, 1):
                    self.assertEqual([n for n in got if n % 2 == lane], list(range(lane, 6, 2)))
            gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0, "all are settled")
            self.assertEqual(gateway.metric("fairlead_dead_lettered_total", topic="t"), 1)

    def test_bulk_calls_in_the_line_are_not_tried(self):
        app, gateway, status = self.held_in_line("", **BULK)
        app.on_event = lambda r: answer(200, json.dumps({"statuses": [
            {"entryId": e["entryId"], "status": "SUCCESS"} for e in r.event["entries"]]}).encode()
            if r.path == "/t" else b"")
        app.on_health = lambda: 200
        app.wait_got("/t", 6)
        gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0, "all are settled")
        self.assertEqual(gateway.metric("fairlead_dead_lettered_total", topic="t"), 1)


class Ending(WithStory):
    """A process that ends gives back what fails now: nobody had the time to mend it."""

    def failing(self, inbound, number=signal.SIGTERM, **more):
        held = self.hold()
        app = self.app(subscription("t", deadLetterTopic="dead", **more),
                       on_event=lambda r: held.wait() and answer(503))
        documents = (resiliency(RETRIES, f"pubsub: {{inbound: {{{inbound}}}}}"),) if inbound else ()
        gateway = self.story("--dapr-graceful-shutdown-seconds", "60", app=app, more=documents)
        self.published(gateway, "t")
        app.wait_got("/t", 1)
        gateway.signal(number)
        gateway.wait_log("Dapr is shutting down")
        held.set()
        return app, gateway

    def test_a_failure_is_no_dead_letter(self):
        for inbound in ("retry: ever", "retry: once", ""):
            for more in ({}, BULK):
                app, gateway = self.failing(inbound, **more)
                self.assertEqual(gateway.wait_end(), 0)
                self.assertEqual(self.heard(gateway, "publish dead .*"), [], inbound)
                self.assertEqual(len(self.heard(gateway, "settle .* modified")), 1,
                                 gateway.log())
                self.assertEqual(len(app.got("/t")), 1)

    def test_what_stands_in_the_line_of_calls_is_given_back(self):
        for partition, more in (("", {}), ("?metadata.partitionKey=1", {}), ("", BULK)):
            held = self.hold()
            app = self.app(subscription("t", **more), on_event=lambda r: held.wait() and OK)
            gateway = self.story("--dapr-graceful-shutdown-seconds", "60",
                                 "--app-max-concurrency", "1", app=app)
            self.wait_heard(gateway, "subscribe t .*")
            for number in range(5):
                self.published(gateway, "t", number, query=partition)
            app.wait_got("/t", 1)
            gateway.signal()
            self.wait_heard(gateway, "settle .* released", 4)
            held.set()
            self.assertEqual(gateway.wait_end(), 0)
            self.assertEqual(len(app.got("/t")), 1)

    def test_a_dead_letter_does_not_wait_for_a_broker_that_is_away(self):
        held = self.hold()
        app = self.app(subscription("t", deadLetterTopic="dead"),
                       on_event=lambda r: held.wait() and answer(500))
        gateway = self.story("--dapr-graceful-shutdown-seconds", "60", app=app, more=(resiliency(
            RETRIES, "pubsub: {outbound: {retry: ever}}"),))
        self.published(gateway, "t")
        app.wait_got("/t", 1)
        # The dead letter fails when the connection is lost already.
        self.order(gateway, "fail 1")
        self.order(gateway, "later 1 1500")
        held.set()
        self.wait_heard(gateway, "publish dead .*")
        self.order(gateway, "down 600000")
        gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 0, "it is down")
        gateway.wait_log("Retrying in")

        def is_forgotten():
            gateway.signal(signal.SIGUSR1)
            return "unsettled=0" in gateway.log()
        gateway.wait_for(is_forgotten, "nobody waits for it")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)


class Flapping(WithStory):
    def test_the_window_bounds_what_a_hanging_application_works_on(self):
        """Each connection offers everything anew; the calls of former ones are under way still."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda r: held.wait() and OK)
        gateway = self.story(app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        for number in range(200):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: app.handling == 64, "a window is under way")
        for _ in range(4):
            self.order(gateway, "down 10")
            gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 0, "it is down")
            gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 1, "it is up")
            self.assertEqual(gateway.health(), 204)
        self.assertEqual(app.handling, 64)
        held.set()
        gateway.wait_for(lambda: len({r.data for r in app.got("/t")}) == 200, "all come")
        self.assertEqual(app.most_handling, 64)
        gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0, "all are settled")


class Restarting(Story):
    def test_a_shutdown_by_the_api_is_the_last_word(self):
        """Also where a hangup came before it, whose block period is under way."""
        gateway = self.gateway("--dapr-block-shutdown-duration", "10m")
        gateway.signal(signal.SIGHUP)
        gateway.wait_log("Blocking graceful shutdown for")
        with Client(gateway.address) as client:
            self.assertEqual(client.exchange("POST", "/v1.0/shutdown").status, 204)
        self.assertEqual(gateway.wait_end(), 0)
        self.assertNotIn("exceeded", gateway.log())

    def test_asking_for_the_state_is_harmless_at_any_time(self):
        gateway = self.gateway()
        for _ in range(5):
            starts = gateway.log().count("Starting Dapr Runtime")
            gateway.signal(signal.SIGHUP)

            def has_restarted():
                gateway.signal(signal.SIGUSR1)
                return gateway.log().count("Starting Dapr Runtime") > starts
            gateway.wait_for(has_restarted, "it starts anew")
            gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")


class SharedBreaker(Story):
    def test_a_lone_message_that_always_fails_becomes_a_dead_letter(self):
        """Its breaker is the dead letter's too: the dead letter is what closes it."""
        app = self.app(subscription("t", deadLetterTopic="dead"), subscription("dead"),
                       on_event=lambda r: OK if r.path == "/dead" else answer(500))
        gateway = self.gateway(app=app, documents=(component(), resiliency(
            "circuitBreakers: {first: {timeout: 300ms, trip: consecutiveFailures >= 1}}",
            "pubsub: {inbound: {circuitBreaker: first}, outbound: {circuitBreaker: first}}")))
        self.published(gateway, "t", "poison")
        self.assertEqual(app.wait_got("/dead", 1)[0].data, "poison")
        self.assertEqual(len(app.got("/t")), 1)

    def test_a_dead_letter_that_waits_for_it_is_given_back_at_the_end(self):
        app = self.app(subscription("t", deadLetterTopic="dead"), on_event=lambda r: answer(500))
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60", app=app,
                               documents=(component(concurrencyMode="parallel"), resiliency(
            "circuitBreakers: {first: {timeout: 10m, trip: consecutiveFailures >= 1}}",
            "pubsub: {inbound: {circuitBreaker: first}, outbound: {circuitBreaker: first}}")))
        self.published(gateway, "t", 1)
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 1, "it waits")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)


if __name__ == "__main__":
    unittest.main()
