"""A message's life in the file: over restarts, retries, delays, expiry, slow applications."""
import json
import os
import signal
import subprocess
import time
import unittest

from broker_file import FileStory
from harness import FAIRLEAD, OK, SOAK, Client, answer, subscription, wait_for

LEASE_S, SLOW_S = (2, 10) if SOAK else (0.6, 3)


def later(seconds):
    """An RFC 3339 time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class LifeStory(FileStory):
    def stop(self, gateway):
        self.assertEqual(gateway.end(), 0)

    def datas(self, app, path="/t"):
        return [r.data for r in app.got(path)]

    def publish_all(self, gateway, topic, datas, **more):
        with Client(gateway.address) as client:
            for data in datas:
                got = gateway.publish_on(client, topic, data, **more)
                self.assertEqual(got.status, 204, got)

    def wait_settled(self):
        wait_for(self.has_settled, "the group has settled everything")


class Start(LifeStory):
    def test_a_connection_string_that_is_no_file_is_refused_by_name(self):
        gateway = self.on_file(connectionString="file::memory:", awaits=None)
        self.assertEqual(gateway.wait_end(20), 1)
        self.assertIn('connectionString: found \\"file::memory:\\": ', gateway.log())
        self.assertIn("pubsub.in-memory", gateway.log())

    def test_the_window_is_what_the_connector_asks_for(self):
        app = self.app(subscription("t"))
        gateway = self.on_file(app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") == 256, "the window of 256")
        self.stop(gateway)


class Restarts(LifeStory):
    def test_published_before_anybody_subscribes(self):
        gateway = self.on_file()
        self.publish_all(gateway, "t", range(100))
        self.stop(gateway)
        app = self.app(subscription("t"))
        gateway = self.on_file(app=app)
        app.wait_got("/t", 100)
        self.wait_settled()
        self.stop(gateway)
        self.assertEqual(sorted(self.datas(app)), list(range(100)))
        self.check_file()

    def test_retry_and_its_count_survive_a_restart(self):
        app = self.app(subscription("t"), on_event=lambda request: answer(500))
        gateway = self.on_file(app=app)
        self.publish_all(gateway, "t", ["again"])
        app.wait_got("/t", 2)
        gateway.wait_for(lambda: self.ask("SELECT attempt FROM waiting") == [(3,)], "two failed")
        self.stop(gateway)
        self.assertEqual(self.ask("SELECT attempt FROM waiting"), [(3,)])
        tries = len(app.got("/t"))
        gateway = self.on_file(app=app)
        # The back-off goes on as well: 2 s ± 20 % after the second failure, 4 s after the third.
        app.wait_got("/t", 3)
        gaps = [b.at - a.at for a, b in zip(app.got("/t"), app.got("/t")[1:])]
        self.assertEqual(tries, 2)
        self.assertTrue(0.7 < gaps[0] < 2 and 1.5 < gaps[1] < 4, gaps)
        gateway.wait_for(lambda: self.ask("SELECT attempt FROM waiting") == [(4,)], "three failed")
        app.on_event = lambda request: OK
        app.wait_got("/t", 4)
        self.wait_settled()
        self.stop(gateway)
        self.check_file()

    def test_kill_counts_as_an_attempt(self):
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait(60) and OK)
        gateway = self.on_file(app=app)
        self.publish_all(gateway, "t", [1])
        app.wait_got("/t", 1)
        gateway.signal(signal.SIGKILL)
        gateway.wait_end()
        gateway = self.on_file(app=app)
        app.wait_got("/t", 2)
        self.assertEqual(self.ask("SELECT attempt FROM claim"), [(2,)])
        held.set()
        self.wait_settled()
        self.stop(gateway)

    def test_restart_in_process(self):
        held = self.hold()
        app = self.app(subscription("t"))
        gateway = self.on_file(app=app)
        self.publish_all(gateway, "t", range(50))
        app.wait_got("/t", 50)
        app.on_event = lambda request: held.wait(60) and OK
        self.publish_all(gateway, "t", range(50, 55))
        app.wait_got("/t", 55)
        gateway.signal(signal.SIGHUP)
        held.set()
        gateway.wait_for(lambda: gateway.log().count("dapr initialized") == 2 and
                         gateway.health() == 204, "it runs again")
        self.publish_all(gateway, "t", range(55, 60))
        app.wait_got("/t", 60)
        self.wait_settled()
        self.stop(gateway)
        self.assertEqual(sorted(self.datas(app)), list(range(60)))
        self.check_file()

    def test_what_is_in_flight_at_the_end(self):
        """Answered in time: settled. Not answered: it comes again after the start."""
        first, second = self.hold(), self.hold()
        app = self.app(subscription("t"), on_event=lambda request: (
            first if request.data < 5 else second).wait(60) and OK)
        gateway = self.on_file("--dapr-graceful-shutdown-seconds", "1", app=app)
        self.publish_all(gateway, "t", range(10))
        app.wait_got("/t", 10)
        gateway.signal()
        gateway.wait_log("shutting down")
        first.set()
        gateway.wait_end()
        second.set()
        gateway = self.on_file(app=app)
        app.wait_got("/t", 15)
        self.wait_settled()
        self.stop(gateway)
        self.assertEqual(sorted(self.datas(app)[10:]), [5, 6, 7, 8, 9])
        self.check_file()

    def test_slow_application_is_called_once(self):
        """Its lease is extended as long as it works."""
        slow = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: slow.wait(SLOW_S) or OK)
        gateway = self.on_file(app=app, leaseTime=f"{int(LEASE_S * 1000)}ms")
        beside = self.on_file(leaseTime=f"{int(LEASE_S * 1000)}ms",
                              app=self.app(subscription("t")))
        beside_app = self.apps[-1]
        self.publish_all(gateway, "t", range(3))
        wait_for(lambda: len(app.got("/t")) + len(beside_app.got("/t")) == 3, "all are delivered")
        self.assertTrue(app.got("/t"), "those who publish claim first")
        started = time.monotonic()
        self.wait_settled()
        self.assertGreater(time.monotonic() - started, SLOW_S / 2)
        self.assertEqual(sorted(self.datas(app) + self.datas(beside_app)), [0, 1, 2])
        self.assertEqual(gateway.metric("fairlead_connector_lapsed_total"), 0)
        self.assertEqual(beside.metric("fairlead_connector_lapsed_total"), 0)


class Times(LifeStory):
    def take_back(self, gateway, rest):
        with Client(gateway.address) as client:
            return client.exchange("DELETE", "/v1.0/publish/pubsub/" + rest).status

    def event(self, number):
        return json.dumps({"specversion": "1.0", "id": f"id-{number}", "source": "test",
                           "type": "t", "data": number}).encode()

    def publish_event(self, gateway, number, query):
        got = gateway.publish("t", self.event(number), query=query,
                              Content_Type="application/cloudevents+json")
        self.assertEqual(got.status, 204, got)

    def test_delayed_messages_over_a_restart(self):
        app = self.app(subscription("t"))
        gateway = self.on_file(app=app)
        started = time.monotonic()
        self.publish_event(gateway, 1, "?metadata.delay=2s")
        self.publish_event(gateway, 2, f"?metadata.deliverAt={later(3)}")
        self.publish_event(gateway, 3, "?metadata.delay=1h")
        self.publish_event(gateway, 4, f"?metadata.deliverAt={later(-5)}")
        app.wait_got("/t", 1)
        self.assertEqual(self.take_back(gateway, "t/id-3"), 204)
        self.assertEqual(self.take_back(gateway, "t/id-3"), 404)
        self.assertEqual(self.take_back(gateway, "other/id-1"), 404)
        self.assertEqual(self.take_back(gateway, "t/id-4"), 404, "it was published at once")
        self.stop(gateway)
        gateway = self.on_file(app=app)
        got = app.wait_got("/t", 3)
        self.assertEqual([r.data for r in got], [4, 1, 2])
        self.assertGreaterEqual(got[1].at - started, 1.99)
        self.assertLess(got[1].at - started, 3)
        self.assertGreaterEqual(got[2].at - started, 1.9)
        self.wait_settled()
        self.stop(gateway)
        self.assertEqual(self.ask("SELECT count(*) FROM delayed"), [(0,)])
        self.check_file()

    def test_delayed_message_of_one_is_published_by_the_other(self):
        app = self.app(subscription("t"))
        one, two = self.on_file(), self.on_file(app=app)
        self.publish_event(one, 1, "?metadata.delay=1s")
        one.signal(signal.SIGKILL)
        app.wait_got("/t", 1)
        self.stop(two)

    def test_expired_messages_are_not_delivered(self):
        gateway = self.on_file()
        self.publish_all(gateway, "t", ["soon"], query="?metadata.ttlInSeconds=1")
        self.publish_all(gateway, "t", ["in time"], query="?metadata.ttlInSeconds=60")
        self.publish_all(gateway, "t", ["for ever"])
        stored = time.monotonic()
        self.stop(gateway)
        wait_for(lambda: time.monotonic() > stored + 1.1, "one has expired")
        app = self.app(subscription("t"))
        gateway = self.on_file(app=app)
        app.wait_got("/t", 2)
        self.wait_settled()
        self.assertEqual(sorted(self.datas(app)), ["for ever", "in time"])
        self.stop(gateway)

    def test_where_a_new_group_starts(self):
        gateway = self.on_file()
        self.publish_all(gateway, "t", range(5))
        now_ms = int(time.time() * 1000) + 2
        wait_for(lambda: time.time() * 1000 > now_ms, "the clock has moved on")
        between = (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms // 1000)) +
                   f".{now_ms % 1000:03}Z")
        self.publish_all(gateway, "t", range(5, 10))
        expected = {"earliest": range(10), "position:8": range(7, 10), between: range(5, 10),
                    "latest": []}
        apps = {}
        for number, start in enumerate(expected):
            apps[start] = self.app(subscription("t", metadata={"startFrom": start}))
            self.on_file("--app-id", f"app{number}", app=apps[start])
        wait_for(lambda: self.ask("SELECT count(*) FROM consumer") == [(4,)], "all have begun")
        self.publish_all(gateway, "t", ["new"])
        for start, app in apps.items():
            app.wait_got("/t", len(expected[start]) + 1)
        self.wait_settled()
        for start, app in apps.items():
            got = self.datas(app)
            self.assertEqual((got[-1], sorted(got[:-1])), ("new", list(expected[start])), start)


class Shapes(LifeStory):
    def test_wildcards(self):
        app = self.app(subscription("orders.*", route="/orders"), subscription("*", route="/all"))
        gateway = self.on_file()
        self.publish_all(gateway, "orders.old", ["old"])
        self.stop(gateway)
        gateway, other = self.on_file(app=app), self.on_file()
        self.publish_all(gateway, "orders.new", ["new"])
        self.publish_all(other, "orders.others", ["others"])  # a topic that another process makes
        self.publish_all(other, "bills", ["bill"])
        app.wait_got("/orders", 3)
        app.wait_got("/all", 4)
        self.wait_settled()
        self.assertEqual(sorted(self.datas(app, "/orders")), ["new", "old", "others"])
        self.assertEqual(sorted(self.datas(app, "/all")), ["bill", "new", "old", "others"])
        topics = {r.event["topic"] for r in app.got("/orders")}
        self.assertEqual(topics, {"orders.old", "orders.new", "orders.others"})

    def test_large_and_empty_messages(self):
        raw = {"rawPayload": "true"}
        app = self.app(subscription("t"), subscription("raw", metadata=raw))
        gateway = self.on_file()
        large = "x" * (3 * 1024 * 1024)
        self.publish_all(gateway, "t", [large, "", {"a": 1}])
        self.publish_all(gateway, "raw", [b"", large.encode(), b"\0\xff" * 1000],
                         query="?metadata.rawPayload=true", Content_Type="application/octet-stream")
        self.stop(gateway)
        gateway = self.on_file(app=app)
        app.wait_got("/t", 3)
        app.wait_got("/raw", 3)
        self.wait_settled()
        for data in (large, "", {"a": 1}):
            self.assertIn(data, self.datas(app))
        bodies = {bytes(r.body) for r in app.got("/raw")}
        self.assertEqual(len(bodies), 3)
        self.stop(gateway)
        self.check_file()

    def test_peek_while_it_runs(self):
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait(60) and OK)
        gateway = self.on_file(app=app)
        self.publish_all(gateway, "t", range(5))
        app.wait_got("/t", 5)
        self.assertEqual(self.peek(gateway, "t"), list(range(5)))
        self.assertEqual(self.peek(gateway, "t", "-n", "2"), [0, 1])
        self.assertEqual(self.peek(gateway, "t", "--group", "story"), list(range(5)))
        held.set()
        self.wait_settled()
        self.assertEqual(self.peek(gateway, "t", "--group", "story"), [])
        self.assertEqual(self.peek(gateway, "t"), list(range(5)))
        self.stop(gateway)
        self.assertEqual(len(app.got("/t")), 5, "to look is not to take")
        self.check_file()

    def peek(self, gateway, *arguments):
        done = subprocess.run([FAIRLEAD, "peek", *arguments, "--resources-path", gateway.resources],
                              capture_output=True, text=True, check=False, timeout=30,
                              env={"HOME": self.folder, "PATH": os.environ["PATH"]})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return [json.loads(line)["event"]["data"] for line in done.stdout.splitlines()]


if __name__ == "__main__":
    unittest.main()
