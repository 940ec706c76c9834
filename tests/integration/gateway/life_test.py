"""An application's life beside the gateway: late, away, unhealthy, busy; and what it subscribes."""
import base64
import json
import threading
import unittest

from harness import (CLOSE, OK, Client, Story, answer, component, subscription, verdict, wait_for)

DECLARED = """apiVersion: dapr.io/{version}
kind: Subscription
metadata: {{name: {name}}}
spec:
  pubsubname: pubsub
  topic: {topic}
  {routes}
"""


def declared(topic, path, version="v2alpha1"):
    routes = f"route: {path}" if version == "v1alpha1" else f"routes: {{default: {path}}}"
    return DECLARED.format(version=version, name=f"of-{topic}", topic=topic, routes=routes)


class Coming(Story):
    def test_application_that_starts_late(self):
        app = self.app(subscription("t"), start=False)
        gateway = self.gateway(app=app, awaits="healthz/outbound")
        unready = gateway.get("/v1.0/healthz")
        self.assertEqual((unready.status, unready.json["errorCode"]), (500, "ERR_HEALTH_NOT_READY"))
        self.assertIn("runtime", unready.json["message"])
        self.assertEqual(gateway.get("/v1.0/metadata").status, 200)
        self.published(gateway, "t", "for nobody yet")
        app.start()
        gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")
        asked = [r.path for r in app.got(method="GET")]
        self.assertEqual(asked, ["/dapr/config", "/dapr/subscribe"])
        self.assertEqual(app.got(method="GET")[1].fields["dapr-app-id"], "story")
        self.published(gateway, "t", 1)
        self.assertEqual([r.data for r in app.wait_got("/t", 1)], [1])

    def test_no_application(self):
        gateway = self.gateway(documents=(component(), declared("t", "/t")))
        self.published(gateway, "t")
        self.assertEqual(gateway.get("/v1.0/metadata").json["subscriptions"][0]["topic"], "t")

    def test_application_that_restarts(self):
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app)
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        app.stop()
        for number in (2, 3, 4):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: gateway.metric("fairlead_retried_total") >= 1, "a try has failed")
        app.start()
        self.assertEqual([r.data for r in app.wait_got("/t", 4)], [1, 2, 3, 4])
        self.published(gateway, "t", 5)
        app.wait_got("/t", 5)
        asked = [r.path for r in app.got(method="GET")]
        self.assertEqual(asked.count("/dapr/subscribe"), 1)

    def test_unhealthy_application_gets_nothing_and_loses_nothing(self):
        app = self.app(subscription("t"))
        app.on_health = lambda: 503
        gateway = self.gateway("--enable-app-health-check", "--app-health-probe-interval", "1",
                               "--app-health-threshold", "1", app=app)
        self.assertEqual(app.got("/dapr/subscribe", "GET"), [])
        app.on_health = lambda: 204
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        app.on_health = lambda: 503
        gateway.wait_log("App entered un-healthy status")
        for number in (2, 3):
            self.published(gateway, "t", number)
        probes = len(app.got("/healthz", "GET"))
        wait_for(lambda: len(app.got("/healthz", "GET")) > probes, "one more probe")
        self.assertEqual(len(app.got("/t")), 1)
        app.on_health = lambda: 204
        self.assertEqual([r.data for r in app.wait_got("/t", 3)], [1, 2, 3])
        self.assertEqual(len(app.got("/dapr/subscribe", "GET")), 1)
        self.assertEqual(gateway.metric("fairlead_retried_total"), 0)

    def test_unhealthy_while_a_delivery_is_under_way(self):
        """It is finished; what comes back for a retry waits until the application is healthy."""
        held = self.hold()
        verdicts = [verdict("RETRY"), OK]

        def first_retry(_):
            held.wait()
            return verdicts.pop(0)

        app = self.app(subscription("t"), on_event=first_retry)
        gateway = self.gateway("--enable-app-health-check", "--app-health-probe-interval", "1",
                               "--app-health-threshold", "1", app=app)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        app.on_health = lambda: 500
        gateway.wait_log("App entered un-healthy status")
        held.set()
        gateway.wait_for(lambda: gateway.metric("fairlead_retried_total") == 1, "it failed")
        probes = len(app.got("/healthz", "GET"))
        wait_for(lambda: len(app.got("/healthz", "GET")) > probes + 2, "two seconds of probes")
        self.assertEqual(len(app.got("/t")), 1)
        app.on_health = lambda: 200
        app.wait_got("/t", 2)
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 1, "delivered")

    def test_kept_connection_that_the_application_closes_while_idle(self):
        """No attempt is lost and no failure is counted, however the close and the next delivery
        meet."""
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app)
        with Client(gateway.address) as client:
            for number in range(50):
                self.assertEqual(gateway.publish_on(client, "t", number).status, 204)
                app.wait_got("/t", number + 1)
                app.close_idle()
        self.assertEqual([r.data for r in app.got("/t")], list(range(50)))
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 50, "all delivered")
        self.assertEqual(gateway.metric("fairlead_retried_total"), 0)
        self.assertEqual(gateway.metric("dapr_component_pubsub_ingress_count",
                                        process_status="retry"), 0)

    def test_kept_connection_that_breaks_under_a_request(self):
        """Before any byte of an answer: sent once more on a fresh connection, and no attempt. The
        fresh one breaking is an attempt that failed."""
        fates = []

        def meet(request):
            fates.append((request.data, "kept" if request.place else "fresh"))
            is_first = [f[0] for f in fates].count(request.data) == 1
            if request.place and is_first or request.data == 3 and len(fates) < 6:
                return CLOSE
            return OK

        app = self.app(subscription("t"), on_event=meet)
        gateway = self.gateway(app=app)
        for number in (1, 2, 3):
            self.published(gateway, "t", number)
            gateway.wait_for(lambda n=number: gateway.metric("fairlead_delivered_total") == n,
                             "delivered")
            if number < 3:
                self.assertEqual(gateway.metric("fairlead_retried_total"), 0)
        self.assertEqual(fates[:6], [(1, "kept"), (1, "fresh"), (2, "kept"), (2, "fresh"),
                                     (3, "kept"), (3, "fresh")])
        self.assertEqual(gateway.metric("fairlead_retried_total"), len(fates) - 6)


class Subscribing(Story):
    def test_declared_and_programmatic(self):
        app = self.app(subscription("both", "/programmatic"), subscription("mine"))
        documents = (component(), declared("both", "/declared"), declared("old", "/old", "v1alpha1"),
                     declared("new", "/new"))
        gateway = self.gateway(app=app, documents=documents)
        for topic in ("both", "mine", "old", "new"):
            self.published(gateway, topic, topic)
        for path in ("/programmatic", "/mine", "/old", "/new"):
            app.wait_got(path, 1)
        self.assertEqual(app.got("/declared"), [])
        listed = gateway.get("/v1.0/metadata").json["subscriptions"]
        self.assertEqual({s["topic"]: (s["type"], s["rules"][0]["path"]) for s in listed},
                         {"both": ("PROGRAMMATIC", "/programmatic"),
                          "mine": ("PROGRAMMATIC", "/mine"),
                          "old": ("DECLARATIVE", "/old"), "new": ("DECLARATIVE", "/new")})

    def test_declared_alone(self):
        app = self.app()
        gateway = self.gateway(app=app, documents=(component(), declared("t", "/t")))
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)

    def test_every_subscription_gets_each_message(self):
        app = self.app(subscription("orders", "/exact"), subscription("orders*", "/prefix"),
                       subscription("*", "/all"))
        gateway = self.gateway(app=app)
        for topic in ("orders", "orders/eu", "other"):
            self.published(gateway, topic, topic)
        app.wait_got("/all", 3)
        app.wait_got("/exact", 1)
        self.assertEqual([r.event["topic"] for r in app.wait_got("/prefix", 1)], ["orders/eu"])
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 5, "five deliveries")

    def test_raw_payload(self):
        """Published raw: the bytes as they are. Received raw: bytes in base64."""
        app = self.app(subscription("plain", metadata={"rawPayload": "true"}),
                       subscription("raw", metadata={"rawPayload": "true"}))
        gateway = self.gateway(app=app)
        body = b"\x00\xffnot json"
        self.published(gateway, "raw", body, query="?metadata.rawPayload=true")
        self.published(gateway, "plain", {"n": 1})
        event = app.wait_got("/raw", 1)[0].event
        self.assertEqual(base64.b64decode(event["data_base64"]), body)
        self.assertEqual((event["datacontenttype"], event["topic"]),
                         ("application/octet-stream", "raw"))
        inner = json.loads(base64.b64decode(app.wait_got("/plain", 1)[0].event["data_base64"]))
        self.assertEqual(inner["data"], {"n": 1})

    def test_dead_letter_topic(self):
        """The event arrives there as it was, once, and a wildcard sees it as well."""
        app = self.app(subscription("t", deadLetterTopic="dead"), subscription("dead"),
                       subscription("dea*", "/any"),
                       on_event=lambda request: answer(500) if request.path == "/t" else OK)
        gateway = self.gateway(app=app)
        self.published(gateway, "t", 7)
        first = app.wait_got("/t", 1)[0]
        dead = app.wait_got("/dead", 1)[0]
        app.wait_got("/any", 1)
        self.assertEqual(dead.body, first.body)
        self.assertEqual(dead.event["topic"], "t")
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 2, "both are taken")
        self.assertEqual(gateway.metric("fairlead_dead_lettered_total", topic="t"), 1)
        self.assertEqual((len(app.got("/t")), len(app.got("/dead"))), (1, 1))

    def test_one_at_a_time_and_in_order(self):
        """A message that fails comes again before any later one."""
        seen = []

        def second_fails_once(request):
            seen.append(request.data)
            return verdict("RETRY") if request.data == 2 and seen.count(2) == 1 else OK

        app = self.app(subscription("t"), on_event=second_fails_once)
        gateway = self.gateway(app=app)
        for number in (1, 2, 3, 4):
            self.published(gateway, "t", number)
        app.wait_got("/t", 5)
        self.assertEqual(seen, [1, 2, 2, 3, 4])
        self.assertEqual(app.most_handling, 1)

    def test_parallel(self):
        """All five are at the application at once."""
        together = threading.Barrier(5, timeout=60)
        app = self.app(subscription("t"), on_event=lambda request: together.wait() >= 0 and OK)
        gateway = self.gateway(app=app, documents=(component(concurrencyMode="parallel"),))
        for number in range(5):
            self.published(gateway, "t", number)
        app.wait_got("/t", 5)
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 5, "delivered")
        self.assertEqual(app.most_handling, 5)

    def test_app_max_concurrency(self):
        """A limit of calls over all subscriptions."""
        held = self.hold()
        app = self.app(subscription("a"), subscription("b"),
                       on_event=lambda request: held.wait() and OK)
        gateway = self.gateway("--app-max-concurrency", "3", app=app,
                               documents=(component(concurrencyMode="parallel"),))
        for number in range(10):
            self.published(gateway, "ab"[number % 2], number)
        gateway.wait_for(lambda: app.handling == 3, "three are called")
        self.published(gateway, "nobody")
        self.assertEqual(app.handling, 3)
        held.set()
        app.wait_got(None, 10)
        self.assertEqual(app.most_handling, 3)


if __name__ == "__main__":
    unittest.main()
