"""GET /v1.0/metadata: daprd's document, and the state of everything for those who ask for it."""
import unittest

from features_test import WithStory
from harness import OK, Client, Story, component, resiliency, subscription, verdict, wait_for

ENDPOINT = """apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {name: %s}
spec: %s
"""
NEVER = resiliency("retries: {later: {policy: constant, duration: 1000s, maxRetries: 100}}",
                   "pubsub: {inbound: {retry: later}}")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


def state_of(gateway):
    return gateway.get("/v1.0/metadata?state=true").json["fairlead"]


def one(gateway, kind, name):
    """The one element whose name, or topic, is that."""
    found = [e for e in state_of(gateway)[kind] if name in (e.get("topic"), e.get("name"))]
    assert len(found) == 1, found
    return found[0]


class Document(Story):
    def test_the_state_is_left_out_unless_it_is_asked_for(self):
        gateway = self.gateway()
        plain = gateway.get("/v1.0/metadata")
        self.assertNotIn("fairlead", plain.json)
        for query in ("?x=1", "?state=false", "?state=TRUE", "?xstate=true", "?state=true1", "?"):
            self.assertEqual(gateway.get("/v1.0/metadata" + query).body, plain.body, query)
        for query in ("?state=true", "?x=1&state=true", "?state=true&x=%zz", "?&&state=true"):
            asked = gateway.get("/v1.0/metadata" + query)
            self.assertTrue(asked.body.startswith(plain.body[:-2] + b',"fairlead":{'), query)
            self.assertTrue(asked.body.endswith(b"}}\n"), query)
            self.assertEqual(list(asked.json["fairlead"]),
                             ["components", "subscriptions", "inputBindings"])

    def test_an_http_endpoint_that_is_wrong_takes_no_neighbour_down(self):
        gateway = self.gateway(documents=(
            component(), ENDPOINT % ("good", "{baseUrl: 'http://127.0.0.1:1'}"),
            ENDPOINT % ("bad", "[1]"), ENDPOINT % ("a/b", "{baseUrl: 'http://127.0.0.1:1'}"),
            ENDPOINT % ("last", "{baseUrl: 'http://127.0.0.1:1', headers: [{name: a, value: b}]}")))
        self.assertEqual(gateway.get("/v1.0/metadata").json["httpEndpoints"],
                         [{"name": "good"}, {"name": "last"}])
        self.assertRegex(gateway.log(), r"02\.yaml:\d+: spec: found list; accepted: a map")

    def test_secret_stores_stand_before_the_components_that_need_them(self):
        store = component("zz", "secretstores.local.file", secretsFile="s.json", multiValued="true")
        gateway = self.gateway(documents=(component(), component("envs", "secretstores.local.env"),
                                          store.replace("s.json", "/dev/null")), awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        with open(gateway.folder + "/s.json", "w", encoding="ascii") as out:
            out.write("{}")
        gateway = self.gateway(documents=(
            component(), component("envs", "secretstores.local.env"),
            store.replace("s.json", gateway.folder + "/s.json")))
        self.assertEqual(gateway.get("/v1.0/metadata").json["components"], [
            {"name": "envs", "type": "secretstores.local.env", "version": "v1"},
            {"name": "zz", "type": "secretstores.local.file", "version": "v1",
             "capabilities": ["MULTIPLE_KEY_VALUES_PER_SECRET"]},
            {"name": "pubsub", "type": "pubsub.in-memory", "version": "v1",
             "capabilities": ["SUBSCRIBE_WILDCARDS"]}])
        self.assertEqual(gateway.metric("dapr_runtime_component_loaded"), 3)
        self.assertEqual(gateway.metric("dapr_runtime_component_init_total",
                                        component="secretstores.local.env"), 1)


class State(Story):
    def test_a_subscription_tells_what_is_under_way(self):
        hold = self.hold()

        def on_event(request):
            if request.path == "/fails":
                return verdict("RETRY")
            hold.wait()
            return OK

        app = self.app(subscription("slow"), subscription("fails"),
                       subscription("t", pubsub="nowhere"), on_event=on_event)
        gateway = self.gateway(app=app, documents=(component(), NEVER))
        for topic in ("slow", "fails"):
            self.published(gateway, topic)
        app.wait_got("/slow", 1)
        wait_for(lambda: one(gateway, "subscriptions", "fails")["waitingForRetry"] == 1,
                 "the failed one waits for its next attempt")
        slow = one(gateway, "subscriptions", "slow")
        self.assertRegex(slow.pop("since"), TIME)
        self.assertEqual(slow, {"pubsubname": "pubsub", "topic": "slow", "state": "active",
                                "unsettled": 1, "inFlight": 1, "waitingForRetry": 0})
        fails = one(gateway, "subscriptions", "fails")
        self.assertEqual((fails["unsettled"], fails["inFlight"]), (1, 0))
        nowhere = one(gateway, "subscriptions", "t")
        self.assertEqual(nowhere["state"], "inert")
        self.assertNotIn("since", nowhere)
        hold.set()
        wait_for(lambda: one(gateway, "subscriptions", "slow")["unsettled"] == 0, "settled")

    def test_a_component_that_cannot_be_had_says_why(self):
        lenient = component("other", "pubsub.nothing").replace("spec:", "spec:\n  ignoreErrors: true")
        gateway = self.gateway(documents=(component(), lenient))
        self.assertEqual([c["name"] for c in gateway.get("/v1.0/metadata").json["components"]],
                         ["pubsub"])
        other = one(gateway, "components", "other")
        self.assertEqual(other["state"], "absent")
        self.assertIn("couldn't find message bus pubsub.nothing/v1", other["lastError"])


class Connection(WithStory):
    def test_a_component_tells_since_when_it_is_connected_and_why_it_was_not(self):
        gateway = self.story(app=self.app(subscription("t")))
        up = one(gateway, "components", "pubsub")
        self.assertRegex(up.pop("since"), TIME)
        self.assertEqual(up, {"name": "pubsub", "state": "up", "waiting": 0, "inFlight": 0})
        self.order(gateway, "down 600000")
        wait_for(lambda: one(gateway, "components", "pubsub")["state"] == "down", "it is down")
        down = one(gateway, "components", "pubsub")
        self.assertNotIn("since", down)
        self.assertTrue(down["lastError"])
        self.assertIn(down["lastError"], gateway.log())

    def test_a_publish_that_is_not_answered_is_in_flight(self):
        gateway = self.story()
        self.order(gateway, "later 1 4000")
        with Client(gateway.address) as client:
            client.send("POST", "/v1.0/publish/pubsub/t", b"{}", Content_Type="application/json")
            wait_for(lambda: one(gateway, "components", "pubsub")["inFlight"] == 1, "in flight")
            self.assertEqual(client.read().status, 204)
        self.assertEqual(one(gateway, "components", "pubsub")["inFlight"], 0)


if __name__ == "__main__":
    unittest.main()
