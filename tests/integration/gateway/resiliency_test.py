"""Deliveries under resiliency policies: exactly how often an application is called.

Retries, time limits and circuit breakers meet what an application can do to a delivery, one event a
call and in bulk. What an open breaker refuses goes to the dead letter topic; without one it waits
and comes, in order where there is one, when the breaker lets it through.
"""
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from features_test import WithStory  # noqa: E402
from harness import (CLOSE, Cut, OK, Story, answer, component, figure, resiliency,  # noqa: E402
                     subscription, verdict)


class Calls(Story):
    """The table: each policy with each fault has a component of its own, since a component has one
    breaker. All events have a dead letter topic, so that nothing waits."""

    MESSAGES = 5
    POLICIES = """
      timeouts: {short: 200ms, long: 60s},
      retries: {two: {duration: 10ms, maxRetries: 2},
                some: {duration: 10ms, maxRetries: 2, matching: {httpStatusCodes: "501-599"}}},
      circuitBreakers: {second: {timeout: 60s, trip: consecutiveFailures >= 2},
                        fourth: {timeout: 60s, trip: consecutiveFailures >= 4}}"""
    # policy: (what the target names, calls in all when each of the messages fails every time)
    TARGETS = {
        "retries": ("retry: two", 15),
        "retries of others": ("retry: some", {"answers 500": 5}),
        "breaker": ("circuitBreaker: second", 2),
        "both": ("retry: two, circuitBreaker: second", 2),
        "late breaker": ("retry: two, circuitBreaker: fourth", 4),
        "all": ("timeout: %s, retry: two, circuitBreaker: second", 2),
        "time limit": ("timeout: %s", 5),
        "time limit and retries": ("timeout: %s, retry: two", 15),
    }
    FAULTS = ("answers 500", "says RETRY", "closes early", "half an answer", "is silent",
              "says DROP", "answers 404")
    ONCE = ("says DROP", "answers 404")

    @staticmethod
    def name_of(policy, fault):
        return f"{policy} {fault}".replace(" ", "-").lower()

    def rows(self):
        for policy, (target, _) in self.TARGETS.items():
            for fault in self.FAULTS:
                if fault != "is silent" or "timeout" in target:
                    yield policy, fault, self.name_of(policy, fault)

    def target(self, policy, fault):
        """Only who is silent meets the short limit: anybody may be slow on a busy machine."""
        return self.TARGETS[policy][0].replace("%s", "short" if fault == "is silent" else "long")

    def expected(self, policy, fault):
        count = self.TARGETS[policy][1]
        if fault in self.ONCE:
            return self.MESSAGES
        return count.get(fault, 15) if isinstance(count, dict) else count

    def answer(self, request, fault, is_bulk):
        """None: not an attempt."""
        if fault == "closes early":
            return CLOSE
        if fault == "half an answer":
            return Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        if fault == "is silent":
            self.silence.wait()
            return OK
        if fault.startswith("answers"):
            return answer(int(fault.split()[1]))
        word = fault.split()[1]
        if not is_bulk:
            return verdict(word)
        statuses = [{"entryId": e["entryId"], "status": word} for e in request.event["entries"]]
        return answer(200, json.dumps({"statuses": statuses}).encode())

    def check(self, is_bulk):
        self.silence, calls = self.hold(), {}
        faults = {f"/{name}": (fault, name) for _, fault, name in self.rows()}

        def on_event(request):
            fault, name = faults[request.path]
            if fault == "closes early" and request.place > 0:
                return CLOSE  # on a kept connection: sent once more on a fresh one
            calls[name] = calls.get(name, 0) + 1
            return self.answer(request, fault, is_bulk)

        bulk = {"bulkSubscribe": {"enabled": True, "maxMessagesCount": 1,
                                  "maxAwaitDurationMs": 10}} if is_bulk else {}
        app = self.app(*(subscription(name, pubsub=name, deadLetterTopic="dead", **bulk)
                         for _, _, name in self.rows()), on_event=on_event)
        targets = ", ".join(f"{name}: {{inbound: {{{self.target(policy, fault)}}}}}"
                            for policy, fault, name in self.rows())
        documents = [resiliency(self.POLICIES.replace("\n", " "), targets)]
        documents += [component(name) for _, _, name in self.rows()]
        gateway = self.gateway(app=app, documents=documents)
        for number in range(1, self.MESSAGES + 1):
            for _, _, name in self.rows():
                self.published(gateway, name, number, pubsub=name)
            self.wait_ended(gateway, number, is_bulk)
        wrong = {name: (calls[name], self.expected(policy, fault))
                 for policy, fault, name in self.rows()
                 if calls[name] != self.expected(policy, fault)}
        self.assertEqual(wrong, {}, "(found, expected)")
        figure("\nfigure: ".join(
            [f"calls for {self.MESSAGES} messages{', bulk' if is_bulk else '':6}"] +
            [f"{policy:24}" + " ".join(f"{fault} {calls[name]}" for p, fault, name in self.rows()
                                       if p == policy) for policy in self.TARGETS]))

    def wait_ended(self, gateway, number, is_bulk):
        def has_ended(metrics, fault, name):
            def of(metric):
                return sum(value for labels, value in metrics.get(metric, {}).items()
                           if ("topic", name) in labels)
            if fault in self.ONCE and of("fairlead_dropped_total") < number:
                return False
            # In bulk a path that the application does not have ends without a dead letter.
            return (fault == "answers 404" and is_bulk) or \
                of("fairlead_dead_lettered_total") >= number

        def have_all():
            metrics = gateway.metrics()
            return all(has_ended(metrics, fault, name) for _, fault, name in self.rows())
        gateway.wait_for(have_all, f"message {number} has ended everywhere")

    def test_one_event_a_call(self):
        self.check(is_bulk=False)

    def test_bulk(self):
        self.check(is_bulk=True)


class Application:
    """Fails, holds or takes what it gets, as the test says."""

    def __init__(self, story):
        self.is_failing = False
        self.held = None
        self.story = story
        self.calls = []  # the data of each call, in order; of a bulk call a list
        self.taken = []

    def hold(self):
        self.held = self.story.hold()
        return self.held

    def answer(self, request):
        event = request.event
        data = [e["event"]["data"] for e in event["entries"]] if "entries" in event \
            else event["data"]
        self.calls.append(data)
        held = self.held
        if held:
            held.wait()
        if self.is_failing:
            return answer(500)
        self.taken += data if isinstance(data, list) else [data]
        if "entries" not in event:
            return OK
        return answer(200, json.dumps({"statuses": [
            {"entryId": e["entryId"], "status": "SUCCESS"} for e in event["entries"]]}).encode())


FIRST = "circuitBreakers: {first: {timeout: 500ms, maxRequests: %d, trip: consecutiveFailures >= 1}}"


class Breaker(Story):
    def begin(self, *flags, policies=FIRST % 1, inbound="circuitBreaker: first", outbound="",
              more=None, documents=(), **metadata):
        self.application = Application(self)
        app = self.app(subscription("t", **(more or {})), on_event=self.application.answer)
        outbound = f", outbound: {{{outbound}}}" if outbound else ""
        gateway = self.gateway(*flags, app=app, documents=(component(**metadata), resiliency(
            policies, f"pubsub: {{inbound: {{{inbound}}}{outbound}}}")) + tuple(documents))
        return app, gateway

    def changes(self, gateway, text="changed state from"):
        return gateway.log().count(text)

    def open(self, gateway):
        """The first message fails, and opens it."""
        self.application.is_failing = True
        self.published(gateway, "t", "opens")
        gateway.wait_log("changed state from closed to open")
        self.application.is_failing = False

    def wait_waiting(self, gateway, count):
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") >= count,
                         f"{count} wait")

    def wait_taken(self, gateway, *data):
        gateway.wait_for(lambda: set(data) <= set(self.application.taken), f"{data} are taken")
        gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0 and
                         gateway.metric("fairlead_retry_waiting") == 0, "all are settled")

    def check_half_open(self, most):
        app, gateway = self.begin(policies=FIRST % most, concurrencyMode="parallel")
        self.open(gateway)
        held = self.application.hold()
        for number in range(10):
            self.published(gateway, "t", number)
        gateway.wait_log("changed state from open to half-open")
        gateway.wait_for(lambda: app.handling == most, f"{most} are called")
        # What comes now waits too, whatever asks meanwhile.
        for number in range(10, 20):
            self.published(gateway, "t", number)
        self.wait_waiting(gateway, 20 - most)
        self.assertEqual(len(self.application.calls), 1 + most)
        self.assertEqual(app.most_handling, most)
        held.set()
        self.application.held = None
        self.wait_taken(gateway, "opens", *range(20))
        self.assertEqual(self.changes(gateway), 3, gateway.log())
        self.assertEqual(sorted(map(str, self.application.taken)),
                         sorted(map(str, ["opens", *range(20)])))

    def test_half_open_lets_one_through(self):
        self.check_half_open(1)

    def test_half_open_lets_as_many_through_as_it_says(self):
        self.check_half_open(3)

    def test_each_time_it_half_opens_another_message_is_tried(self):
        _, gateway = self.begin(concurrencyMode="parallel", policies=FIRST.replace("500ms", "100ms")
                                % 1)
        self.application.is_failing = True
        for number in range(20):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: self.changes(gateway, "from half-open to open") >= 5,
                         "it half opens five times")
        calls = list(self.application.calls)
        tried = self.changes(gateway, "from open to half-open")
        self.assertLessEqual(len(calls), tried + 20)  # those before it opened, and one each time
        self.assertGreaterEqual(len(set(calls)), 5)
        self.application.is_failing = False
        self.wait_taken(gateway, *range(20))
        self.assertEqual(sorted(self.application.taken), list(range(20)))

    def test_waiting_is_no_attempt(self):
        """Ten failures would be minutes of back-off, and each refusal would be one."""
        _, gateway = self.begin(concurrencyMode="parallel", policies=FIRST.replace("500ms", "50ms")
                                % 1)
        self.open(gateway)
        held = self.application.hold()
        self.published(gateway, "t", "kept")
        gateway.wait_for(lambda: len(self.application.calls) == 2, "it is half open")
        for number in range(5):
            self.published(gateway, "t", number)
        self.wait_waiting(gateway, 5)
        self.application.held = None
        held.set()
        self.wait_taken(gateway, "opens", "kept", *range(5))
        self.assertEqual(gateway.metric("fairlead_retried_total", topic="t"), 1)
        self.assertEqual(gateway.metric("fairlead_delivered_total", topic="t"), 7)
        # One more of each that had to wait, however often it was looked at.
        self.assertEqual(gateway.metric("dapr_component_pubsub_ingress_count", topic="t",
                                        process_status="success"), 7)
        retries = gateway.metric("dapr_component_pubsub_ingress_count", topic="t",
                                 process_status="retry")
        self.assertTrue(2 + 5 <= retries <= 2 + 7, retries)

    def test_order_is_kept(self):
        _, gateway = self.begin(policies="retries: {often: {duration: 20ms}}, " + FIRST.replace(
            "500ms", "100ms") % 1, inbound="circuitBreaker: first, retry: often")
        self.application.is_failing = True
        for number in range(10):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: self.changes(gateway, "from half-open to open") >= 2,
                         "it opens again")
        self.application.is_failing = False
        self.wait_taken(gateway, *range(10))
        self.assertEqual(self.application.taken, list(range(10)))
        # Nobody but the first was called before it closed.
        failed = len(self.application.calls) - 10
        self.assertEqual(self.application.calls[:failed + 1], [0] * (failed + 1))
        self.assertEqual(failed, self.changes(gateway, "to open"))

    def test_bulk_waits_as_a_whole(self):
        _, gateway = self.begin(concurrencyMode="parallel", more={"bulkSubscribe": {
            "enabled": True, "maxMessagesCount": 10, "maxAwaitDurationMs": 20}})
        self.open(gateway)
        for number in range(10):
            self.published(gateway, "t", number)
        self.wait_taken(gateway, "opens", *range(10))
        self.assertEqual(self.changes(gateway), 3)
        # Once each, but for the one that failed.
        called = [data for batch in self.application.calls for data in batch]
        self.assertEqual(sorted(map(str, called)),
                         sorted(map(str, ["opens", "opens", *range(10)])))

    def test_bulk_in_order(self):
        _, gateway = self.begin(more={"bulkSubscribe": {
            "enabled": True, "maxMessagesCount": 3, "maxAwaitDurationMs": 20}})
        self.application.is_failing = True
        for number in range(10):
            self.published(gateway, "t", number)
        gateway.wait_log("changed state from closed to open")
        self.application.is_failing = False
        self.wait_taken(gateway, *range(10))
        self.assertEqual(self.application.taken, list(range(10)))

    def test_dead_letters_leave_at_once_while_it_is_open(self):
        app, gateway = self.begin(more={"deadLetterTopic": "dead"},
                                  policies=FIRST.replace("500ms", "60s") % 1)
        self.open(gateway)
        for number in range(5):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: gateway.metric("fairlead_dead_lettered_total", topic="t") == 6,
                         "all are dead letters")
        self.assertEqual(self.application.calls, ["opens"])
        self.assertEqual(gateway.metric("dapr_component_pubsub_ingress_count", topic="t",
                                        process_status="drop"), 6)

    def test_both_directions_share_it(self):
        _, gateway = self.begin(policies="circuitBreakers: {first: {timeout: 60s, trip: "
                                "consecutiveFailures >= 1}, other: {timeout: 1ms}}",
                                outbound="circuitBreaker: other")
        self.open(gateway)
        got = gateway.publish("t")
        self.assertEqual(got.status, 500)
        self.assertIn("circuit breaker is open", got.json["message"])
        gateway.wait_log(r'Circuit breaker \"first-pubsub\" changed state from closed to open')

    def test_the_end_of_the_process_does_not_wait_for_it(self):
        _, gateway = self.begin(policies=FIRST.replace("500ms", "60s") % 1)
        self.open(gateway)
        for number in range(5):
            self.published(gateway, "t", number)
        self.wait_waiting(gateway, 1)
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertNotIn("exceeded", gateway.log())

    def test_an_unhealthy_application_is_not_tried(self):
        app, gateway = self.begin("--enable-app-health-check", "--app-health-probe-interval", "1",
                                  "--app-health-threshold", "1", concurrencyMode="parallel",
                                  policies=FIRST.replace("500ms", "2s") % 1)
        gateway.wait_log("App entered healthy status")
        gateway.wait_log("app is subscribed to the following topics")
        self.open(gateway)
        app.on_health = lambda: 500
        for number in range(5):
            self.published(gateway, "t", number)
        gateway.wait_log("App entered un-healthy status")
        calls, probes = len(self.application.calls), len(app.got("/healthz", "GET"))
        # Longer than it stays open.
        gateway.wait_for(lambda: len(app.got("/healthz", "GET")) >= probes + 3, "three probes")
        self.assertEqual(len(self.application.calls), calls)
        app.on_health = lambda: 200
        self.wait_taken(gateway, "opens", *range(5))

    def test_metrics_count_subscriptions_and_changes(self):
        app = self.app(subscription("a"), subscription("b"))
        gateway = self.gateway(app=app, documents=(component(), resiliency(
            FIRST % 1 + ", retries: {two: {duration: 1ms, maxRetries: 2}}, timeouts: {long: 9s}",
            "pubsub: {inbound: {circuitBreaker: first, retry: two, timeout: long}}")))
        for number in range(5):
            self.published(gateway, "a", number)
        app.wait_got("/a", 5)
        for policy, status in (("timeout", ""), ("retry", ""), ("circuitbreaker", "closed")):
            self.assertEqual(gateway.metric(
                "dapr_resiliency_count", policy=policy, status=status, target="Pubsub_pubsub",
                flow_direction="inbound"), 2, policy)
        self.assertEqual(gateway.metric("dapr_resiliency_cb_state", status="closed"), 1)
        self.assertEqual(gateway.metric("dapr_resiliency_cb_state", status="open"), 0)
        app.on_event = lambda request: answer(500)
        self.published(gateway, "b", 0)
        gateway.wait_log("from closed to open")
        app.on_event = lambda request: OK
        gateway.wait_log("from half-open to closed")
        opened = gateway.log().count(" to open")
        self.assertEqual(gateway.metric("dapr_resiliency_activations_total", status="open"), opened)
        self.assertEqual(gateway.metric("dapr_resiliency_activations_total", status="closed"), 1)
        self.assertEqual(gateway.metric("dapr_resiliency_activations_total", status="half-open"), 0)


class Names(Story):
    def test_default_names(self):
        """The first that exists, from the most particular one; a component that is listed at all
        gets none."""
        pubsubs = {"plain": 3, "listed": 1, "named": 2, "misspelt": 1}
        app = self.app(*(subscription(f"t-{name}", pubsub=name, deadLetterTopic="dead")
                         for name in pubsubs), on_event=lambda request: answer(500))
        gateway = self.gateway(app=app, documents=[component(name) for name in pubsubs] + [resiliency(
            "retries: {DefaultPubsubComponentInboundRetryPolicy: {duration: 1ms, maxRetries: 2}, "
            "DefaultComponentInboundRetryPolicy: {duration: 1ms, maxRetries: 7}, "
            "DefaultRetryPolicy: {duration: 1ms, maxRetries: 8}, "
            "defaultPubsubComponentInboundRetryPolicy: {duration: 1ms, maxRetries: 9}, "
            "once: {duration: 1ms, maxRetries: 1}}",
            "listed: {outbound: {retry: once}}, named: {inbound: {retry: once}}, "
            "misspelt: {inbound: {retry: onze}}")])
        for name in pubsubs:
            self.published(gateway, f"t-{name}", pubsub=name)
        gateway.wait_for(lambda: gateway.metric("fairlead_dead_lettered_total") == len(pubsubs),
                         "all are dead letters")
        self.assertEqual({name: len(app.got(f"/t-{name}")) for name in pubsubs}, pubsubs)
        self.assertIn('misspelt: retry \\"onze\\" is not defined by any policy; the nearest is '
                      '\\"once\\"', gateway.log())

    def test_less_particular_defaults(self):
        pubsubs = {"DefaultComponentInboundRetryPolicy": 2, "DefaultComponentRetryPolicy": 2,
                   "DefaultRetryPolicy": 2, "DefaultComponentOutboundRetryPolicy": 1,
                   "DefaultBindingComponentInboundRetryPolicy": 1, "defaultretrypolicy": 1}
        for name, calls in pubsubs.items():
            app = self.app(subscription("t", deadLetterTopic="dead"),
                           on_event=lambda request: answer(500))
            gateway = self.gateway(app=app, documents=(component(), resiliency(
                f"retries: {{{name}: {{duration: 1ms, maxRetries: 1}}}}", "")))
            self.published(gateway, "t")
            gateway.wait_for(lambda g=gateway: g.metric("fairlead_dead_lettered_total") == 1,
                             "it is a dead letter")
            self.assertEqual(len(app.got("/t")), calls, name)


class Lost(WithStory):
    """The connection to the broker goes while the breaker keeps things waiting."""

    def begin(self, timeout, **more):
        self.application = Application(self)
        app = self.app(subscription("t", **more), on_event=self.application.answer)
        gateway = self.story(app=app, more=(resiliency(
            FIRST.replace("500ms", timeout) % 1, "pubsub: {inbound: {circuitBreaker: first}}"),))
        self.application.is_failing = True
        self.published(gateway, "t", "opens")
        gateway.wait_log("changed state from closed to open")
        self.application.is_failing = False
        return app, gateway

    def test_what_waits_is_forgotten_and_comes_again(self):
        _, gateway = self.begin("4s")
        for number in range(3):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 4, "all wait")
        self.order(gateway, "down 700")
        gateway.wait_for(lambda: gateway.metric("fairlead_retry_waiting") == 0, "none waits")
        gateway.wait_for(lambda: len(self.application.taken) == 4, "all are taken")
        self.assertEqual(sorted(map(str, self.application.taken)), ["0", "1", "2", "opens"])

    def lose_the_call_of_half_open(self, is_failing, **more):
        """The verdict comes too late for the broker, not for the breaker."""
        app, gateway = self.begin("500ms", **more)
        held = self.application.hold()
        gateway.wait_for(lambda: app.handling == 1, "it is half open")
        self.order(gateway, "down 1500")
        gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 0, "it is down")
        self.application.held = None
        self.application.is_failing = is_failing
        held.set()
        changes = gateway.wait_for(lambda: (lambda all: len(all) > 2 and all)(
            re.findall("changed state from ([a-z-]+ to [a-z-]+)", gateway.log())), "a verdict")
        self.assertEqual(changes[2], "half-open to " + ("open" if is_failing else "closed"))
        self.application.is_failing = False
        return gateway

    def test_a_success_that_comes_too_late_still_closes_it(self):
        gateway = self.lose_the_call_of_half_open(False)
        gateway.wait_for(lambda: self.application.taken == ["opens"] * 2, "it comes again")

    def test_a_failure_that_comes_too_late_still_opens_it(self):
        for bulk in ({}, {"bulkSubscribe": {"enabled": True, "maxMessagesCount": 1}}):
            gateway = self.lose_the_call_of_half_open(True, **bulk)
            gateway.wait_for(lambda: self.application.taken == ["opens"], "it comes again")
            gateway.wait_log("from half-open to closed")


if __name__ == "__main__":
    unittest.main()
