"""What the gateway makes of what a connector offers beyond publishing and subscribing: where a
group starts, figures, messages taken back, leases, lost connections, lanes that go elsewhere,
metadata that is checked.

Most stories have a connector of their own (story_connector.c), which is compiled into a module
beside a copy of the gateway, does what a test orders and logs what it hears. Without a C compiler
they are skipped; so are those of `pubsub.sqlite` while the build does not have it.
"""
import json
import os
import shutil
import tempfile
import time
import unittest

from compiled_story import CompiledStory
from harness import (OK, Client, Gateway, Story, answer, component, parse_metrics, resiliency,
                     subscription, verdict, wait_for)

RAW = "?metadata.rawPayload=true"
EVERY_10_S = resiliency("retries: {often: {policy: constant, duration: 10s, maxRetries: 100}}",
                        "pubsub: {inbound: {retry: often}}")


def story_component(**metadata):
    return component(kind="pubsub.story", **metadata)


class WithStory(CompiledStory):
    """The gateway has the story's connector beside it."""

    source = "gateway/story_connector.c"

    def story(self, *flags, app=None, metadata=None, more=(), **others):
        documents = (story_component(**(metadata or {})),) + tuple(more)
        return self.gateway(*flags, app=app, documents=documents, executable=self.executable,
                            **others)

    def order(self, gateway, text):
        self.published(gateway, "control", text.encode(), query=RAW,
                       Content_Type="application/octet-stream")


class Start(WithStory):
    def subscribed_as(self, given, **metadata):
        """What the connector was told of a subscription with this metadata."""
        app = self.app(subscription("t", metadata=given) if given else subscription("t"))
        gateway = self.story(app=app, metadata={"history": "true", **metadata})
        return self.wait_heard(gateway, "subscribe t .*")[0]

    def test_nothing_said_is_the_connectors_own(self):
        self.assertEqual(self.subscribed_as({}), "subscribe t mode 0 start 0 value ")

    def test_a_subscription_says_where_and_how(self):
        self.assertEqual(
            self.subscribed_as({"startFrom": "position:17-3", "consumerMode": "broadcast"}),
            "subscribe t mode 1 start 4 value 17-3")

    def test_a_time_arrives_as_it_was_written(self):
        self.assertEqual(self.subscribed_as({"startFrom": "2026-01-31T12:00:00+09:00"}),
                         "subscribe t mode 0 start 3 value 2026-01-31T12:00:00+09:00")

    def test_the_component_says_it_for_all(self):
        self.assertEqual(self.subscribed_as({}, startFrom="earliest", consumerMode="broadcast"),
                         "subscribe t mode 1 start 1 value ")

    def test_a_subscription_outweighs_its_component(self):
        self.assertEqual(self.subscribed_as({"startFrom": "latest"}, startFrom="earliest",
                                            consumerMode="broadcast"),
                         "subscribe t mode 1 start 2 value ")

    def refused(self, **metadata):
        gateway = self.story(metadata=metadata, awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("[INIT_COMPONENT_FAILURE]", gateway.log())
        return gateway.log()

    def test_a_component_that_starts_nowhere_is_refused(self):
        log = self.refused(history="true", startFrom="erliest")
        self.assertRegex(log, r"00.yaml:\d+: pubsub \(pubsub.story/v1\): startFrom: found")

    def test_a_component_without_history_is_refused(self):
        self.assertIn("keeps no history", self.refused(startFrom="earliest"))

    def test_an_unknown_mode_is_refused_with_the_nearest(self):
        log = self.refused(consumerMode="broadcsat")
        self.assertRegex(log, "the nearest is .{1,2}broadcast")

    def test_a_subscription_that_starts_nowhere_is_inert(self):
        app = self.app(subscription("bad", metadata={"startFrom": "yesterday"}),
                       subscription("good"))
        declared = """apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: declared}
spec:
  pubsubname: pubsub
  topic: declared
  routes: {default: /declared}
  metadata: {startFrom: "position:"}
"""
        gateway = self.story(app=app, metadata={"history": "true"}, more=(declared,))
        self.wait_heard(gateway, "subscribe good .*")
        self.assertEqual(self.heard(gateway, "subscribe (bad|declared) .*"), [])
        log = gateway.log()
        self.assertRegex(log, r"/dapr/subscribe: subscription to topic 'bad' on pubsub 'pubsub': "
                              r"startFrom: found .{1,2}yesterday")
        self.assertRegex(log, r"01.yaml:\d+: subscription to topic 'declared' on pubsub 'pubsub': ")
        self.assertNotIn("topics: [[bad", log)
        self.assertEqual(log.count("nothing is subscribed for it"), 2)

    def test_in_memory_has_no_history(self):
        app = self.app(subscription("t", metadata={"startFrom": "earliest"}),
                       subscription("u", metadata={"consumerMode": "compete"}))
        gateway = self.gateway(app=app)
        gateway.wait_log("nothing is subscribed for it")
        self.published(gateway, "u", 1)
        app.wait_got("/u", 1)


class Figures(WithStory):
    def test_what_a_connector_counts_is_scraped(self):
        app = self.app(subscription("t"))
        gateway = self.story(app=app, more=(component("other", kind="pubsub.story"),))
        self.wait_heard(gateway, "subscribe t .*")
        self.published(gateway, "t", 1)
        self.wait_heard(gateway, "settle 0 accepted")
        with Client(("127.0.0.1", gateway.metrics_port)) as client:
            text = client.exchange("GET", "/metrics").body.decode()
        self.assertIn("# TYPE fairlead_connector_settled_total counter\n", text)
        self.assertIn("# TYPE fairlead_connector_generation gauge\n", text)
        families = parse_metrics(text)
        labels = dict(list(families["fairlead_connector_settled_total"])[0])
        self.assertEqual(labels, {"app_id": "story", "component": "pubsub", "namespace": "",
                                  "type": "pubsub.story"})
        self.assertEqual(list(families["fairlead_connector_settled_total"].values()), [1])
        self.assertEqual(len(families["fairlead_connector_generation"]), 2)


class Cancel(WithStory):
    def cancel(self, gateway, rest, **fields):
        with Client(gateway.address) as client:
            return client.exchange("DELETE", "/v1.0/publish/" + rest, **fields)

    def error(self, got):
        return got.status, got.json["errorCode"]

    def test_a_message_is_taken_back(self):
        gateway = self.story()
        got = self.cancel(gateway, "pubsub/orders/known")
        self.assertEqual((got.status, got.body), (204, b""))
        self.assertEqual(self.heard(gateway, "cancel .*"), ["cancel known of orders"])

    def test_the_last_segment_is_the_id(self):
        gateway = self.story()
        for rest, heard in (("pubsub/a/b/c/d", "d of a/b/c"), ("pubsub/a/x%2Fy%20z", "x/y z of a"),
                            ("pubsub/a/1+1", "1+1 of a"), ("pubsub//a//b/", "b of a")):
            self.assertEqual(self.cancel(gateway, rest).status, 204)
            self.assertEqual(self.heard(gateway, "cancel .*")[-1], "cancel " + heard)
        for rest in ("pubsub/a", "pubsub"):
            self.assertEqual(self.error(self.cancel(gateway, rest)), (404, "ERR_DIRECT_INVOKE"))

    def test_what_is_not_there(self):
        gateway = self.story()
        got = self.cancel(gateway, "pubsub/orders/gone")
        self.assertEqual(self.error(got), (404, "ERR_PUBSUB_MESSAGE_NOT_FOUND"))
        self.assertEqual(got.json["details"][1]["metadata"], {"id": "gone", "topic": "orders"})
        self.assertEqual(self.error(self.cancel(gateway, "nobody/orders/x")),
                         (404, "ERR_PUBSUB_NOT_FOUND"))

    def test_connectors_that_take_nothing_back(self):
        gateway = self.story(more=(component("memory"),))
        for rest in ("pubsub/t/odd", "memory/t/x"):
            self.assertEqual(self.error(self.cancel(gateway, rest)),
                             (400, "ERR_PUBSUB_CANCEL_UNSUPPORTED"))

    def test_scopes_and_tokens_hold(self):
        gateway = self.story(metadata={"publishingScopes": "story=other"},
                             env={"DAPR_API_TOKEN": "secret"})
        self.assertEqual(self.cancel(gateway, "pubsub/t/x").status, 401)
        got = self.cancel(gateway, "pubsub/t/x", dapr_api_token="secret")
        self.assertEqual(self.error(got), (403, "ERR_PUBSUB_FORBIDDEN"))
        self.assertEqual(self.heard(gateway, "cancel .*"), [])

    def test_an_answer_that_does_not_come(self):
        gateway = self.story("--publish-timeout", "300ms")
        for word in ("silent", "late"):
            got = self.cancel(gateway, "pubsub/t/" + word)
            self.assertEqual(self.error(got), (504, "ERR_PUBSUB_CANCEL_MESSAGE"))
            self.assertIn("may have been taken back", got.json["message"])
        self.wait_heard(gateway, "late answer")
        self.assertEqual(self.cancel(gateway, "pubsub/t/known").status, 204)

    def test_a_client_that_leaves(self):
        gateway = self.story("--publish-timeout", "300ms")
        client = Client(gateway.address)
        client.send("DELETE", "/v1.0/publish/pubsub/t/silent")
        self.wait_heard(gateway, "cancel silent .*")
        client.reset()
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)

    def test_while_down_it_is_refused(self):
        gateway = self.story()
        self.order(gateway, "down 60000")
        gateway.wait_log("Component disconnected")
        got = self.cancel(gateway, "pubsub/t/x")
        self.assertEqual(self.error(got), (503, "ERR_PUBSUB_CANCEL_MESSAGE"))
        self.assertEqual(got.fields["retry-after"], "1")

    def test_the_id_is_no_label(self):
        gateway = self.story()
        for number in range(3):
            self.cancel(gateway, f"pubsub/t/known{number}")
        self.assertEqual(gateway.metric("dapr_http_server_request_count", method="DELETE",
                                        path="/v1.0/publish/pubsub/t", status="204"), 3)


class Leases(WithStory):
    def test_what_is_worked_on_is_extended_until_it_is_settled(self):
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.story(app=app, metadata={"leaseTime": "150"})
        self.wait_heard(gateway, "subscribe t .*")
        self.published(gateway, "t", 1)
        self.wait_heard(gateway, "extend 0", 3)
        held.set()
        self.wait_heard(gateway, "settle 0 accepted")
        held.clear()
        self.published(gateway, "t", 2)
        self.wait_heard(gateway, "extend 1", 3)
        self.assertNotIn("extend 0", self.heard(gateway, ".*")[
            self.heard(gateway, ".*").index("settle 0 accepted"):])
        held.set()

    def test_what_waits_for_its_next_try_is_extended(self):
        app = self.app(subscription("t"), on_event=lambda request: verdict("RETRY"))
        gateway = self.story(app=app, metadata={"leaseTime": "150"}, more=(EVERY_10_S,))
        self.wait_heard(gateway, "subscribe t .*")
        self.published(gateway, "t", 1)
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 1, "it waits")
        before = len(self.heard(gateway, "extend 0"))
        self.wait_heard(gateway, "extend 0", before + 3)
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(self.heard(gateway, "(settle|extend) .*|close .*")[-2:],
                         ["settle 0 modified", "close while up"])
        self.assertEqual(len(app.got("/t")), 1)


class Down(WithStory):
    def gateway_with(self, on_event, *flags, more=(), **metadata):
        app = self.app(subscription("t", deadLetterTopic="dead"), on_event=on_event)
        gateway = self.story(*flags, app=app, metadata=metadata, more=more)
        self.wait_heard(gateway, "subscribe t .*")
        return app, gateway

    def test_nothing_is_settled_or_counted_twice(self):
        held = self.hold()
        app, gateway = self.gateway_with(lambda request: held.wait() and OK, leaseTime="100")
        for number in (1, 2, 3):
            self.published(gateway, "t", number, query="?metadata.partitionKey=1")
        app.wait_got("/t", 1)
        self.order(gateway, "down 50")
        gateway.wait_log("Component connected")
        self.wait_heard(gateway, "extend 0", 2)
        self.assertEqual([r.data for r in app.got("/t")], [1], "the lane is busy all the time")
        held.set()
        self.wait_heard(gateway, "settle . accepted", 3)
        self.assertEqual([r.data for r in app.got("/t")], [1, 1, 2, 3])
        self.assertEqual(self.heard(gateway, ".* stale"), [])
        self.assertEqual(gateway.metric("fairlead_delivered_total"), 3)
        self.assertEqual(gateway.metric("fairlead_in_flight"), 0)

    def test_what_waits_for_its_next_try_comes_anew(self):
        answers = [verdict("RETRY")]
        app, gateway = self.gateway_with(lambda request: answers.pop() if answers else OK,
                                         more=(EVERY_10_S,))
        began = time.monotonic()
        self.published(gateway, "t", 1)
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 1, "it waits")
        self.order(gateway, "down 50")
        self.wait_heard(gateway, "settle 0 accepted")
        self.assertLess(time.monotonic() - began, 9)
        self.assertEqual(len(app.got("/t")), 2)
        self.assertEqual(gateway.metric("fairlead_retry_waiting"), 0)

    def test_what_fails_after_the_loss_is_no_dead_letter(self):
        held = self.hold()
        app, gateway = self.gateway_with(
            lambda request: held.wait() and (OK if len(app.got("/t")) > 1 else answer(500)))
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        self.order(gateway, "down 50")
        app.wait_got("/t", 2)
        held.set()
        self.wait_heard(gateway, "settle 0 accepted")
        self.assertEqual(self.heard(gateway, "publish dead .*|.* stale"), [])

    def test_a_dead_letter_in_line_does_not_hold_up_the_end(self):
        held = self.hold()
        app, gateway = self.gateway_with(lambda request: held.wait() and verdict("DROP"),
                                         "--dapr-graceful-shutdown-seconds", "20")
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)
        self.order(gateway, "stall 300 60000")
        held.set()
        gateway.wait_log("Component disconnected")
        self.assertEqual(self.heard(gateway, "publish dead .*"), [])
        began = time.monotonic()
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.heard(gateway, "(settle|close) .*"), ["close while down"])

    def test_publishes_wait_no_longer_than_they_may(self):
        _, gateway = self.gateway_with(lambda request: OK, "--publish-wait", "400ms")
        self.order(gateway, "down 60000")
        gateway.wait_log("Component disconnected")
        for _ in range(2):
            began = time.monotonic()
            got = gateway.publish("t", 1)
            self.assertEqual((got.status, got.fields["retry-after"]), (503, "1"))
            self.assertIn("the story says so", got.json["message"])
            self.assertTrue(0.35 < time.monotonic() - began < 5)
        self.assertEqual(gateway.metric("fairlead_publish_waiting"), 0)
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(self.heard(gateway, "close .*"), ["close while down"])

    def test_publishes_that_wait_for_the_connection_go_when_it_is_back(self):
        _, gateway = self.gateway_with(lambda request: OK, "--publish-wait", "30s")
        self.order(gateway, "down 300")
        gateway.wait_log("Component disconnected")
        clients = [Client(gateway.address) for _ in range(5)]
        for client in clients:
            client.send("POST", "/v1.0/publish/pubsub/t", b"1")
        gateway.wait_for(lambda: gateway.metric("fairlead_publish_waiting") == 5
                         or "Component connected" in gateway.log(), "they wait")
        for client in clients:
            self.assertEqual(client.read().status, 204)
            client.close()
        self.assertEqual(gateway.metric("fairlead_publish_waiting"), 0)


class Revoked(WithStory):
    def publish_lane(self, gateway, lane, number):
        self.published(gateway, "t", number, query=f"?metadata.partitionKey={lane}")

    def test_the_lane_goes_when_what_is_in_flight_is_settled(self):
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.story(app=app)
        self.wait_heard(gateway, "subscribe t .*")
        for number in (1, 2, 3):
            self.publish_lane(gateway, 1, number)
        app.wait_got("/t", 1)
        self.order(gateway, "revoke 1")
        held.set()
        self.wait_heard(gateway, "release 1 of t")
        self.publish_lane(gateway, 2, 4)
        app.wait_got("/t", 2)
        self.assertEqual([r.data for r in app.got("/t")], [1, 4])
        self.assertEqual(self.heard(gateway, "(settle|release) .*")[:2],
                         ["settle 0 accepted", "release 1 of t"])

    def test_what_waits_for_its_next_try_is_let_go_at_once(self):
        app = self.app(subscription("t"), on_event=lambda request: verdict("RETRY"))
        gateway = self.story(app=app, more=(EVERY_10_S,))
        self.wait_heard(gateway, "subscribe t .*")
        self.publish_lane(gateway, 1, 1)
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 1, "it waits")
        self.order(gateway, "revoke 1")
        self.wait_heard(gateway, "release 1 of t")
        self.assertEqual(self.heard(gateway, "settle .*"), [])
        self.assertEqual(gateway.metric("fairlead_retry_waiting"), 0)

    @staticmethod
    def entries(request):
        return [entry["event"]["data"] for entry in request.event["entries"]]

    def bulk(self, on_event, **settings):
        app = self.app(subscription("t", bulkSubscribe={"enabled": True, **settings}),
                       on_event=on_event)
        gateway = self.story(app=app)
        self.wait_heard(gateway, "subscribe t .*")
        return app, gateway

    @staticmethod
    def all_taken(request):
        return answer(200, json.dumps({"statuses": [
            {"entryId": entry["entryId"], "status": "SUCCESS"}
            for entry in request.event["entries"]]}).encode())

    def test_what_is_gathered_for_a_bulk_call_is_let_go(self):
        app, gateway = self.bulk(self.all_taken, maxMessagesCount=3, maxAwaitDurationMs=60000)
        self.publish_lane(gateway, 1, 1)
        self.publish_lane(gateway, 2, 2)
        self.order(gateway, "revoke 1")
        self.wait_heard(gateway, "release 1 of t")
        self.publish_lane(gateway, 2, 3)
        self.publish_lane(gateway, 2, 4)
        app.wait_got("/t", 1)
        self.assertEqual(self.entries(app.got("/t")[0]), [2, 3, 4])
        self.wait_heard(gateway, "settle . accepted", 3)
        self.assertNotIn("settle 0 accepted", self.heard(gateway, "settle .*"))

    def test_a_lane_in_a_bulk_call_goes_after_it(self):
        held = self.hold()
        app, gateway = self.bulk(lambda request: held.wait() and self.all_taken(request),
                                 maxMessagesCount=2, maxAwaitDurationMs=60000)
        self.publish_lane(gateway, 1, 1)
        self.publish_lane(gateway, 1, 2)
        app.wait_got("/t", 1)
        self.publish_lane(gateway, 1, 3)
        self.order(gateway, "revoke 1")
        self.published(gateway, "unheard")
        self.assertEqual(self.heard(gateway, "release .*"), [])
        held.set()
        self.wait_heard(gateway, "release 1 of t")
        self.assertEqual(self.heard(gateway, "(settle|release) .*"),
                         ["settle 0 accepted", "settle 1 accepted", "release 1 of t"])
        self.assertEqual(gateway.metric("fairlead_in_flight"), 0)

    def test_a_bulk_subscription_goes_on_after_the_connection_was_lost(self):
        held = self.hold()
        app, gateway = self.bulk(lambda request: held.wait() and self.all_taken(request),
                                 maxMessagesCount=2, maxAwaitDurationMs=200)
        for number in (1, 2, 3):
            self.publish_lane(gateway, number, number)
        app.wait_got("/t", 1)
        self.order(gateway, "down 50")
        gateway.wait_log("Component connected")
        held.set()
        self.wait_heard(gateway, "settle . accepted", 3)
        self.assertEqual(self.heard(gateway, ".* stale"), [])
        self.assertEqual(gateway.metric("fairlead_delivered_total"), 3)


class Metadata(WithStory):
    def refused(self, got, *texts):
        self.assertEqual((got.status, got.json["errorCode"]), (400, "ERR_PUBSUB_REQUEST_METADATA"))
        for text in texts:
            self.assertIn(text, got.json["message"])

    def bulk(self, gateway, entries, pubsub="pubsub", query=""):
        body = json.dumps([{"entryId": str(number), "event": number, "contentType":
                            "application/json", **entry} for number, entry in
                           enumerate(entries)]).encode()
        with Client(gateway.address) as client:
            return client.exchange("POST", f"/v1.0-alpha1/publish/bulk/{pubsub}/t{query}", body,
                                   Content_Type="application/json")

    def test_values_are_held_against_the_connectors_rows(self):
        gateway = self.story()
        for query in ("", "?metadata.delay=5", "?metadata.delay=1m30s&metadata.any=thing",
                      "?metadata.priority=HIGH"):
            self.published(gateway, "t", 1, query=query)
        got = gateway.publish("t", 1, query="?metadata.delay=soon&metadata.a=b")
        self.refused(got, "delay: found \"soon\"; accepted: a duration such as")
        self.assertEqual(got.json["details"][1]["metadata"], {"delay": "soon", "a": "b"})
        self.refused(gateway.publish("t", 1, query="?metadata.delay=2h"), "from 0s to 1h0m0s")
        self.refused(gateway.publish("t", 1, query="?metadata.priority=hihg"),
                     "the nearest is \"high\"")
        self.assertEqual(len(self.heard(gateway, "publish t .*")), 4)

    def test_a_delay_that_nobody_keeps_is_refused(self):
        gateway = self.story(more=(component("memory"),))
        self.published(gateway, "t", 1, pubsub="memory", query="?metadata.any=thing")
        for key in ("delay", "deliverAt", "DELAY"):
            self.refused(gateway.publish("t", 1, pubsub="memory", query=f"?metadata.{key}=5"),
                         key + " is not supported by pubsub.in-memory")
        self.refused(gateway.publish("t", 1, query="?metadata.deliverAt=2030-01-01T00:00:00Z"),
                     "deliverAt is not supported by pubsub.story")
        batch = json.dumps([{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}]).encode()
        self.refused(gateway.publish("t", batch, pubsub="memory", query="?metadata.delay=5",
                                     Content_Type="application/cloudevents-batch+json"), "delay")

    def test_entries_of_a_bulk_publish_are_checked_each(self):
        gateway = self.story(more=(component("memory"),))
        got = self.bulk(gateway, [{}, {"metadata": {"delay": "5s"}}])
        self.assertEqual(got.status, 204, got)
        self.refused(self.bulk(gateway, [{}, {"metadata": {"delay": "soon"}}]),
                     "entry 1: delay: found \"soon\"")
        self.refused(self.bulk(gateway, [{"metadata": {"delay": "5"}}], pubsub="memory"),
                     "entry 0: delay is not supported by pubsub.in-memory")
        self.assertEqual(len(self.heard(gateway, "publish t .*")), 2)

    def test_a_delay_in_the_query_of_a_bulk_publish_is_every_entrys(self):
        gateway = self.story(more=(component("memory"),))
        got = self.bulk(gateway, [{}, {"metadata": {"a": "b"}}], query="?metadata.delay=5")
        self.assertEqual(got.status, 204, got)
        self.assertEqual(self.heard(gateway, "publish t .*"),
                         ["publish t metadata 1", "publish t metadata 2"])
        self.refused(self.bulk(gateway, [{}], pubsub="memory", query="?metadata.delay=5"),
                     "entry 0: delay is not supported")


class Sqlite(Story):
    """The same, carried out by the broker that a build has: `pubsub.sqlite`."""

    @classmethod
    def setUpClass(cls):
        gateway = Gateway("--dapr-listen-addresses", "127.0.0.1", awaits=None,
                          documents=(component(kind="pubsub.sqlite",
                                               connectionString="/nonexistent/x.db"),))
        try:
            wait_for(lambda: gateway.process.poll() is not None or
                     "Component loaded" in gateway.log(), "it is known")
            is_there = "no connector serves" not in gateway.log()
        finally:
            gateway.end()
            shutil.rmtree(gateway.folder, ignore_errors=True)
        if not is_there:
            raise unittest.SkipTest("this build has no pubsub.sqlite")

    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(prefix="fairlead-file-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.file = os.path.join(folder, "broker.db")

    def broker(self, *flags, app=None, **metadata):
        return self.gateway(*flags, app=app, documents=(
            component(kind="pubsub.sqlite", connectionString=self.file, **metadata),))

    def cancel(self, gateway, rest):
        with Client(gateway.address) as client:
            return client.exchange("DELETE", "/v1.0/publish/pubsub/" + rest)

    def test_a_delayed_message_is_taken_back(self):
        app = self.app(subscription("a/b"))
        gateway = self.broker(app=app)
        for number in (1, 2):
            self.published(gateway, "a/b", number,
                           query=f"?metadata.delay=2&metadata.cloudevent.id=id-{number}")
        self.assertEqual(self.cancel(gateway, "a/b/id-1").status, 204)
        for rest in ("a/b/id-1", "a/b/never", "other/id-2"):
            got = self.cancel(gateway, rest)
            self.assertEqual((got.status, got.json["errorCode"]),
                             (404, "ERR_PUBSUB_MESSAGE_NOT_FOUND"))
        self.assertEqual([r.data for r in app.wait_got("/a/b", 1)], [2])
        self.assertEqual(self.cancel(gateway, "a/b/id-2").status, 404)
        self.assertEqual(len(app.got("/a/b")), 1)

    def test_a_delay_is_kept_and_a_bad_one_refused(self):
        app = self.app(subscription("t"))
        gateway = self.broker(app=app)
        began = time.monotonic()
        self.published(gateway, "t", 1, query="?metadata.delay=1s")
        for query in ("?metadata.delay=soon", "?metadata.deliverAt=soon"):
            self.assertEqual(gateway.publish("t", 2, query=query).status, 400)
        app.wait_got("/t", 1)
        self.assertGreater(time.monotonic() - began, 0.95)
        self.assertEqual([r.data for r in app.got("/t")], [1])

    def test_a_dead_letter_of_a_delayed_message_is_not_delayed(self):
        app = self.app(subscription("t", deadLetterTopic="dead"), subscription("dead"),
                       on_event=lambda request: verdict("DROP") if request.path == "/t" else OK)
        gateway = self.broker(app=app)
        self.published(gateway, "t", 1, query="?metadata.delay=3")
        first = app.wait_got("/t", 1)[0]
        second = app.wait_got("/dead", 1)[0]
        self.assertLess(second.at - first.at, 2)

    def test_a_group_starts_where_it_is_told(self):
        gateway = self.broker()
        for number in (1, 2):
            self.published(gateway, "t", number)
        latest, earliest = self.app(subscription("t", metadata={"startFrom": "latest"})), self.app(
            subscription("t", metadata={"startFrom": "earliest"}))
        self.broker(app=latest, consumerID="latest")
        self.broker(app=earliest, consumerID="earliest")
        earliest.wait_got("/t", 2)
        self.published(gateway, "t", 3)
        self.assertEqual(sorted(r.data for r in earliest.wait_got("/t", 3)), [1, 2, 3])
        self.assertEqual([r.data for r in latest.wait_got("/t", 1)], [3])

    def test_a_broadcast_reaches_every_process(self):
        apps = [self.app(subscription("t", metadata={"consumerMode": "broadcast"}))
                for _ in range(2)]
        gateways = [self.broker(app=app) for app in apps]
        for gateway, app in zip(gateways, apps):
            gateway.wait_for(lambda g=gateway: g.metric("fairlead_window") > 0, "it is subscribed")
        self.published(gateways[0], "t", 1)
        for app in apps:
            self.assertEqual([r.data for r in app.wait_got("/t", 1)], [1])

    def test_what_it_counts_is_scraped(self):
        gateway = self.broker()
        self.published(gateway, "t", 1)
        names = [name for name in gateway.metrics() if name.startswith("fairlead_connector_")]
        self.assertGreater(len(names), 1, names)


if __name__ == "__main__":
    unittest.main()
