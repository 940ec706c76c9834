"""Publishes under a resiliency policy: time limits, retries, circuit breakers.

The connector of features_test fails, refuses and delays as it is told.
"""
import json
import os
import re
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from features_test import WithStory  # noqa: E402
from harness import OK, Client, component, subscription, verdict  # noqa: E402

POLICY = """apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: outbound}
spec:
  policies:
    timeouts: {short: 200ms}
    retries:
      three: {policy: constant, duration: 20ms, maxRetries: 3}
      long: {policy: constant, duration: 60s, maxRetries: 3}
      ever: {policy: constant, duration: 20ms}
    circuitBreakers:
      trips: {maxRequests: 1, timeout: 700ms, trip: consecutiveFailures >= 2}
  targets:
    components:
      pubsub: {outbound: {%s}}
"""


class Outbound(WithStory):
    def under(self, policy, app=None, **metadata):
        return self.story(app=app, more=(POLICY % policy,), metadata=metadata)

    def tries(self, gateway, topic="t"):
        return len(self.heard(gateway, f"publish {topic} .*"))

    def test_a_failure_is_tried_again(self):
        gateway = self.under("retry: three")
        self.order(gateway, "fail 2 0")
        self.published(gateway, "t")
        self.assertEqual(self.tries(gateway), 3)
        self.assertIn("Error processing operation component[pubsub] output. Retrying in 20ms",
                      gateway.log())

    def test_a_spent_policy_answers_with_the_last_failure(self):
        gateway = self.under("retry: three")
        self.order(gateway, "fail 4 0")
        got = gateway.publish("t")
        self.assertEqual(got.status, 500)
        self.assertIn("the story says no", got.json["message"])
        self.assertEqual(self.tries(gateway), 4)
        self.published(gateway, "t")

    def test_what_will_never_be_taken_is_tried_once(self):
        gateway = self.under("retry: three, circuitBreaker: trips")
        self.order(gateway, "no 5 0")
        for _ in range(5):
            self.assertEqual(gateway.publish("t").status, 500)
        self.assertEqual(self.tries(gateway), 5)
        self.published(gateway, "t")

    def test_a_time_limit_ends_the_attempt_and_its_answer_is_not_heard(self):
        gateway = self.under("retry: three, timeout: short")
        self.order(gateway, "later 1 600")
        self.published(gateway, "t")
        self.assertEqual(self.tries(gateway), 2)
        self.order(gateway, "later 4 600")
        got = gateway.publish("t")
        self.assertEqual(got.status, 504)
        self.assertIn("context deadline exceeded (the message may have been stored)",
                      got.json["message"])
        self.assertEqual(self.tries(gateway), 6)
        self.published(gateway, "t")

    def test_a_time_limit_while_the_component_is_away_is_503(self):
        gateway = self.under("timeout: short")
        self.order(gateway, "down 1500")
        self.assertEqual(gateway.publish("t").status, 503)
        self.assertEqual(self.tries(gateway), 0)

    def test_an_open_breaker_refuses_and_closes_again(self):
        gateway = self.under("circuitBreaker: trips")
        self.order(gateway, "fail 2 0")
        self.assertEqual(gateway.publish("t").status, 500)
        self.assertEqual(gateway.publish("t").status, 500)
        got = gateway.publish("t")
        self.assertEqual(got.status, 500)
        self.assertIn("circuit breaker is open", got.json["message"])
        self.assertEqual(self.tries(gateway), 2)
        gateway.wait_for(lambda: gateway.publish("t").status == 204, "the breaker half opens")
        self.published(gateway, "t")
        changes = re.findall(r'Circuit breaker \\"trips-pubsub\\" changed state from (\S+) to (\S+)"',
                             gateway.log())
        self.assertEqual(changes, [("closed", "open"), ("open", "half-open"),
                                   ("half-open", "closed")])

    def test_a_failure_while_half_open_opens_it_again(self):
        gateway = self.under("circuitBreaker: trips")
        self.order(gateway, "fail 3 0")
        gateway.wait_for(lambda: gateway.publish("t").status == 500 and self.tries(gateway) == 3,
                         "three failures reach the component")
        self.assertIn("circuit breaker is open", gateway.publish("t").json["message"])
        self.assertEqual(self.tries(gateway), 3)

    def test_entries_of_a_bulk_publish_are_tried_again_alone(self):
        gateway = self.under("retry: three")
        self.order(gateway, "fail 2 0")
        entries = [{"entryId": str(i), "event": "x", "contentType": "text/plain"}
                   for i in range(5)]
        with Client(gateway.address) as client:
            got = gateway.publish_on(client, "pubsub/t", entries, pubsub="bulk")
        self.assertEqual(got.status, 204, got)
        self.assertEqual(self.tries(gateway), 7)

    def test_a_dead_letter_is_tried_again(self):
        may_drop = threading.Event()

        def drop(request):
            may_drop.wait(10)
            return verdict("DROP")

        app = self.app(subscription("t", deadLetterTopic="dead"), on_event=drop)
        gateway = self.under("retry: three", app=app)
        self.wait_heard(gateway, "subscribe t .*")
        self.published(gateway, "t")
        app.wait_got("/t", 1)
        self.order(gateway, "fail 2 0")
        may_drop.set()
        self.wait_heard(gateway, "publish dead .*", 3)
        gateway.wait_for(lambda: gateway.metric("fairlead_dead_lettered_total") == 1,
                         "the dead letter is stored")

    def test_a_stop_does_not_wait_for_the_next_attempt(self):
        gateway = self.under("retry: long")
        self.order(gateway, "fail 1 0")
        with Client(gateway.address) as client:
            client.send("POST", "/v1.0/publish/pubsub/t", b"{}", Content_Type="application/json")
            self.wait_heard(gateway, "publish t .*")
            gateway.signal()
            got = client.read()
        self.assertEqual(got.status, 500)
        self.assertIn("the story says no", got.json["message"])
        self.assertEqual(gateway.wait_end(), 0)

    def test_nothing_is_tried_for_who_has_left(self):
        entries = json.dumps([{"entryId": str(i), "event": "x", "contentType": "text/plain"}
                              for i in range(5)]).encode()
        for target, body in (("/v1.0/publish/pubsub/t", b"{}"),
                             ("/v1.0-alpha1/publish/bulk/pubsub/t", entries)):
            gateway = self.under("retry: ever")
            self.order(gateway, "fail 1000000 0")
            with Client(gateway.address) as client:
                client.send("POST", target, body, Content_Type="application/json")
                self.wait_heard(gateway, "publish t .*", 3 * (5 if body == entries else 1))
            gateway.wait_for(lambda: gateway.metric("fairlead_refused_total") > 0 or
                             gateway.metric("dapr_component_pubsub_egress_bulk_count",
                                            success="false") > 0, "it has ended")

    def test_no_room_in_memory_is_no_failure_of_the_component(self):
        """Else bytes that nobody counts would wait for the next attempt."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.gateway("--max-memory", "1Mi", "--publish-wait", "600s", app=app, documents=(
            component(), POLICY % "retry: long, timeout: short"))
        body = b'"' + b"x" * 12000 + b'"'
        with Client(gateway.address) as client:
            statuses = []
            while statuses.count(429) < 3 and len(statuses) < 200:
                statuses.append(gateway.publish_on(client, "t", body).status)
        self.assertEqual(set(statuses), {204, 429})
        held.set()
        app.wait_got("/t", statuses.count(204))

    def test_policies_are_counted(self):
        gateway = self.under("retry: three, timeout: short, circuitBreaker: trips")
        self.published(gateway, "t")
        self.order(gateway, "fail 1 0")
        self.published(gateway, "t")
        labels = dict(flow_direction="outbound", target="Pubsub_pubsub")
        count = gateway.metric("dapr_resiliency_count", policy="retry", **labels)
        self.assertEqual(count, 3)
        self.assertEqual(gateway.metric("dapr_resiliency_activations_total", policy="retry",
                                        **labels), 1)
        self.assertEqual(gateway.metric("dapr_resiliency_cb_state", status="closed",
                                        policy="circuitbreaker", **labels), 1)


if __name__ == "__main__":
    unittest.main()
