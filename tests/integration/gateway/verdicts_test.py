"""What an application can do to a delivery, and how often it is tried then.

Each way to misbehave meets each policy, on topics of its own, two messages a topic: no policy (the
house's back-off, for ever; by the gateway where messages stay in order, by the broker in parallel),
a Resiliency with maxRetries 3, a dead letter topic, and both. The attempts are counted by the
application and held against the table below. Whatever happens, each message is settled once, and in
order unless in parallel, and topics on which the application behaves notice nothing.

A request that is closed without an answer on a kept connection is sent again on a fresh one and is
no attempt: the gateway cannot know whether the application ever saw it.
"""
import time
import unittest

from harness import (CLOSE, Cut, OK, SOAK, Story, answer, component, figure, metric_of, resiliency,
                     subscription, verdict)

RESILIENCY = resiliency("retries: {three: {policy: constant, duration: 50ms, maxRetries: 3}}",
                        "retried: {inbound: {retry: three}}")
DOCUMENTS = (component("plain"), component("retried"),
             component("parallel", concurrencyMode="parallel"), RESILIENCY)
PUBSUBS = ("plain", "retried", "parallel")
MESSAGES = 2
SLOW_S = 90
HALF = Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

# policy: (component, has a dead letter topic, attempts that fail before the application behaves)
POLICIES = {
    "none": ("plain", False, 2),
    "in parallel": ("parallel", False, 2),
    "maxRetries 3": ("retried", False, 4),
    "dead letter": ("plain", True, None),
    "both": ("retried", True, None),
}
FAILS = {"none": 3, "in parallel": 3, "maxRetries 3": 5, "dead letter": 1, "both": 4}
ONCE = dict.fromkeys(POLICIES, 1)

# what the application does: (bytes of its answer, attempts by policy, is it a failure)
FAULTS = {
    "answers 500": (answer(500), FAILS, True),
    "says RETRY": (verdict("RETRY"), FAILS, True),
    "closes early": (CLOSE, FAILS, True),
    "half an answer": (HALF, FAILS, True),
    "garbage": (Cut(b"\x16\x03\x01 what?\r\n\r\n"), FAILS, True),
    "after 90 s": (OK, ONCE, False),
    "says DROP": (verdict("DROP"), ONCE, True),
    "answers 404": (answer(404), ONCE, True),
}
DROPS = ("says DROP", "answers 404")


def topic_of(fault, policy):
    return f"{fault}.{policy}".replace(" ", "-")


class Misbehaving:
    """The application's side: what each topic has seen."""

    def __init__(self, slow):
        self.slow = slow
        self.faults = {"/" + topic_of(f, p): (f, p) for f in FAULTS for p in POLICIES}
        self.attempts = {}  # (path, number of the message) -> attempts
        self.settled = {}  # path -> numbers of the messages that were answered well, in order

    def answer(self, request):
        number = request.data
        if request.path not in self.faults:
            self.settled.setdefault(request.path, []).append(number)
            return OK
        fault, policy = self.faults[request.path]
        out, _, is_failure = FAULTS[fault]
        if out is CLOSE and request.place > 0:
            return CLOSE  # on a kept connection: no attempt
        count = self.attempts.get((request.path, number), 0) + 1
        self.attempts[request.path, number] = count
        if fault == "after 90 s":
            self.slow.wait()
        most = POLICIES[policy][2]
        if is_failure and (fault in DROPS or most is None or count <= most):
            return out
        self.settled.setdefault(request.path, []).append(number)
        return OK


class Verdicts(Story):
    def test_attempts(self):
        slow = self.hold()
        behaviour = Misbehaving(slow)
        subscriptions = [subscription("calm", pubsub=name, route=f"/calm-{name}")
                         for name in PUBSUBS]
        for fault in FAULTS:
            for policy, (pubsub, has_dead_letter, _) in POLICIES.items():
                topic = topic_of(fault, policy)
                more = {"deadLetterTopic": f"{topic}.dead"} if has_dead_letter else {}
                subscriptions.append(subscription(topic, pubsub=pubsub, **more))
                if has_dead_letter:
                    subscriptions.append(subscription(f"{topic}.dead", pubsub=pubsub))
        app = self.app(*subscriptions, on_event=behaviour.answer)
        gateway = self.gateway(app=app, documents=DOCUMENTS)
        began = time.monotonic()
        self.publish_all(gateway)
        self.check_calm(gateway, app, behaviour)
        self.check_table(gateway, behaviour, began, slow)
        self.check_settled(behaviour)
        self.check_counters(gateway, behaviour)

    def publish_all(self, gateway):
        for number in range(MESSAGES):
            for fault in FAULTS:
                for policy, (pubsub, _, _) in POLICIES.items():
                    self.published(gateway, topic_of(fault, policy), number, pubsub=pubsub)

    def check_calm(self, gateway, app, behaviour):
        """Nothing that fails or hangs keeps the others waiting."""
        for number in range(20):
            for pubsub in PUBSUBS:
                self.published(gateway, "calm", number, pubsub=pubsub)
        for pubsub in PUBSUBS:
            app.wait_got(f"/calm-{pubsub}", 20)
        for policy in POLICIES:
            path = "/" + topic_of("after 90 s", policy)
            gateway.wait_for(lambda p=path: behaviour.attempts.get((p, 0)), f"{path} is called")
            self.assertNotIn(path, behaviour.settled)

    def is_done(self, behaviour, fault, policy):
        path = "/" + topic_of(fault, policy)
        if POLICIES[policy][1] and FAULTS[fault][2]:
            path += ".dead"
        elif fault in DROPS:
            return all(behaviour.attempts.get((path, n)) for n in range(MESSAGES))
        return len(behaviour.settled.get(path, ())) >= MESSAGES

    def check_table(self, gateway, behaviour, began, slow):
        others = [(f, p) for f in FAULTS if f != "after 90 s" for p in POLICIES]
        gateway.wait_for(lambda: all(self.is_done(behaviour, *o) for o in others),
                         "everything but the slow ones is settled")
        while SOAK and time.monotonic() - began < SLOW_S:
            time.sleep(1)
        for policy in POLICIES:
            self.assertEqual(behaviour.attempts["/" + topic_of("after 90 s", policy), 0], 1)
        slow.set()
        gateway.wait_for(lambda: all(self.is_done(behaviour, "after 90 s", p) for p in POLICIES),
                         "the slow ones are settled")
        gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0, "nothing is in flight")
        rows, wrong = [f"{'attempts':16}" + "".join(f"{p:>16}" for p in POLICIES)], []
        for fault, (_, expected, _) in FAULTS.items():
            counts = {}
            for policy in POLICIES:
                path = "/" + topic_of(fault, policy)
                counts[policy] = {behaviour.attempts[path, n] for n in range(MESSAGES)}
                if counts[policy] != {expected[policy]}:
                    wrong.append((fault, policy, counts[policy], expected[policy]))
            rows.append(f"{fault:16}" + "".join(f"{'/'.join(map(str, c)):>16}"
                                                for c in counts.values()))
        figure("\nfigure: ".join(rows))
        self.assertEqual(wrong, [])

    def check_settled(self, behaviour):
        """Each message once and in order, at its own topic or its dead letter topic."""
        every = list(range(MESSAGES))
        for fault, (_, _, is_failure) in FAULTS.items():
            for policy, (_, has_dead_letter, _) in POLICIES.items():
                path = "/" + topic_of(fault, policy)
                is_dead = is_failure and has_dead_letter
                is_taken = not is_dead and fault not in DROPS
                settled = behaviour.settled
                if policy == "in parallel":
                    settled = {at: sorted(numbers) for at, numbers in settled.items()}
                self.assertEqual(settled.get(path, []), every if is_taken else [], path)
                self.assertEqual(settled.get(path + ".dead", []), every if is_dead else [], path)
        for pubsub in PUBSUBS:
            self.assertEqual(sorted(behaviour.settled[f"/calm-{pubsub}"]), list(range(20)))

    def check_counters(self, gateway, behaviour):
        """The gateway's own count agrees: retried, dead-lettered, dropped or delivered."""
        metrics = gateway.metrics()
        for fault in FAULTS:
            for policy, (_, has_dead_letter, _) in POLICIES.items():
                topic = topic_of(fault, policy)
                ends = ["retried", "dead_lettered", "delivered"]
                ends += [] if has_dead_letter else ["dropped"]
                counted = sum(metric_of(metrics, f"fairlead_{end}_total", topic=topic)
                              for end in ends)
                attempts = sum(behaviour.attempts["/" + topic, n] for n in range(MESSAGES))
                self.assertEqual(counted, attempts, topic)

    def test_application_that_is_not_there(self):
        """Refused connections are attempts like any other. Counted by the gateway, since nobody
        else is there to count."""
        topics = {policy: topic_of("gone", policy) for policy in POLICIES}
        subscriptions = [subscription("calm", pubsub="plain")]
        for policy, (pubsub, has_dead_letter, _) in POLICIES.items():
            more = {"deadLetterTopic": f"{topics[policy]}.dead"} if has_dead_letter else {}
            subscriptions.append(subscription(topics[policy], pubsub=pubsub, **more))
            if has_dead_letter:
                subscriptions.append(subscription(f"{topics[policy]}.dead", pubsub=pubsub))
        app = self.app(*subscriptions)
        gateway = self.gateway(app=app, documents=DOCUMENTS)
        app.stop()

        def count(what, policy):
            return gateway.metric(f"fairlead_{what}_total", topic=topics[policy])

        for policy, (pubsub, _, _) in POLICIES.items():
            self.published(gateway, topics[policy], policy, pubsub=pubsub)
        least = {"none": 2, "in parallel": 2, "maxRetries 3": 4}
        for policy in least:
            gateway.wait_for(lambda p=policy: count("retried", p) >= least[p], f"retries of {policy}")
        for policy in ("dead letter", "both"):
            gateway.wait_for(lambda p=policy: count("dead_lettered", p) == 1, f"{policy} is dead")
        app.start()
        for policy, (_, has_dead_letter, _) in POLICIES.items():
            path = "/" + topics[policy] + (".dead" if has_dead_letter else "")
            self.assertEqual([r.data for r in app.wait_got(path, 1)], [policy])
        gateway.wait_for(lambda: gateway.metric("fairlead_in_flight") == 0, "nothing is in flight")
        for policy in least:
            self.assertGreaterEqual(count("retried", policy), least[policy])
            self.assertEqual(count("delivered", policy), 1)
        self.assertEqual(count("retried", "dead letter"), 0)
        self.assertEqual(count("retried", "both"), 3)
        self.assertEqual(len([r for r in app.got() if r.path.startswith("/gone")]), len(POLICIES))


if __name__ == "__main__":
    unittest.main()
