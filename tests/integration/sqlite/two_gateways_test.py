"""Several gateways on one file: they share the work, take over from and wake each other.

A gateway that was killed is missed at once, since the kernel gives its locks back; one that hangs
keeps what it has until its lease is over.
"""
import collections
import signal
import statistics
import time
import unittest

from broker_file import FileStory
from flood import ACKNOWLEDGED
from harness import OK, SOAK, Client, answer, figure, resiliency, subscription, wait_for

LEASE_S = 5
WINDOW_S = 5
SHARE_S = 60 if SOAK else 8
SHARE_LEAST = 0.2
POLL_MS = 1000  # how often the other looks where the bell does not ring
RETRY_QUICKLY = resiliency("retries: {quickly: {policy: constant, duration: 30ms, maxRetries: 2}}",
                           "pubsub: {inbound: {retry: quickly}}")


def least_share(instants, others, start, end):
    """The least share of these instants in all of them, over every window, in steps of 0.5 s."""
    least = 1.0
    at = start
    while at + WINDOW_S <= end:
        ours = sum(at <= t < at + WINDOW_S for t in instants)
        theirs = sum(at <= t < at + WINDOW_S for t in others)
        least = min(least, ours / max(1, ours + theirs))
        at += 0.5
    return least


class TwoGateways(FileStory):
    def pair(self, verdict_one=None, verdict_two=None, **options):
        """Two applications, each with a gateway of its own, in one group."""
        self.one = self.application(subscription("ledger"), name="one", verdict=verdict_one)
        self.two = self.application(subscription("ledger"), name="two", verdict=verdict_two)
        options.setdefault("leaseTime", f"{LEASE_S}s")
        return self.on_file(app=self.one, **options), self.on_file(app=self.two, **options)

    def end_settled(self, *gateways):
        """Everything was delivered, and the file says so."""
        wait_for(self.has_settled, "the group has settled everything")
        for gateway in gateways:
            self.assertEqual(gateway.end(), 0)
        self.check_file()
        self.assertEqual(self.ledger.wrong, [])

    def wait_in_hand(self, app, count):
        wait_for(lambda: len(app.held) >= count, f"{count} deliveries in hand of {app.name}")

    def test_both_commit_and_deliver_their_share(self):
        one, two = self.pair()
        publishers = [self.publishers(gateway, 24) for gateway in (one, two)]
        wait_for(lambda: self.ledger.ok >= 500, "both work")
        start = time.monotonic()
        time.sleep(SHARE_S)  # a measurement
        end = time.monotonic()
        for group in publishers:
            group.stop()
        commits = [group.answered_at for group in publishers]
        deliveries = [self.one.delivered_at, self.two.delivered_at]
        shares = {"commits": min(least_share(commits[0], commits[1], start, end),
                                 least_share(commits[1], commits[0], start, end)),
                  "deliveries": min(least_share(deliveries[0], deliveries[1], start, end),
                                    least_share(deliveries[1], deliveries[0], start, end))}
        figure(f"two gateways, {SHARE_S} s: {self.ledger.ok} published, the least share of one "
               f"over {WINDOW_S} s: {shares['commits']:.0%} of commits, "
               f"{shares['deliveries']:.0%} of deliveries")
        for what, share in shares.items():
            self.assertGreaterEqual(share, SHARE_LEAST, what)
        self.ledger.wait_paid(120)
        self.assertEqual(self.ledger.twice(), {})
        self.end_settled(one, two)

    def hold_at_one(self, count=200, **options):
        """A gateway claims what was published through it as long as its window has room, so the one
        that holds gets a window full. Returns the gateways and the numbers it holds."""
        one, two = self.pair(verdict_one=lambda delivery: None, **options)
        publishers = self.publishers(one, 8)
        wait_for(lambda: self.ledger.ok >= count, f"{count} acknowledged")
        self.wait_in_hand(self.one, 10)
        publishers.stop()
        wait_for(lambda: not self.ledger.owed(), "each was delivered somewhere")
        return one, two, {d.number for d in self.one.held}

    def wait_taken_over(self, numbers, since):
        """Until the second application got them all; the seconds that took."""
        def are_with_two():
            return all(any(who == "two" for _, who in self.ledger.came[n]) for n in numbers)
        wait_for(are_with_two, "the other takes over", LEASE_S + 1)
        return max(min(at for at, who in self.ledger.came[n] if who == "two")
                   for n in numbers) - since

    def test_killed_one_is_taken_over_from(self):
        one, two, held = self.hold_at_one()
        killed_at = time.monotonic()
        one.signal(signal.SIGKILL)
        seconds = self.wait_taken_over(held, killed_at)
        figure(f"killed with {len(held)} in hand: the other had delivered them {seconds:.2f} s "
               f"later (lease {LEASE_S} s)")
        self.assertEqual(set(self.ledger.twice()), held)
        self.end_settled(two)

    def test_hung_one_is_taken_over_from_and_its_late_settlements_are_ignored(self):
        one, two, held = self.hold_at_one()
        stopped_at = time.monotonic()
        one.signal(signal.SIGSTOP)
        seconds = self.wait_taken_over(held, stopped_at)
        self.one.let_go()  # read by the gateway when it goes on, and settled by the other already
        one.signal(signal.SIGCONT)
        figure(f"stopped with {len(held)} in hand: the other had delivered them {seconds:.2f} s "
               f"later (lease {LEASE_S} s)")
        # What is published now goes to both again.
        self.one.verdict = lambda delivery: OK
        before = len(self.one.delivered_at)
        publishers = self.publishers(one, 8)
        wait_for(lambda: len(self.one.delivered_at) > before + 20, "the first one works again")
        publishers.stop()
        self.ledger.wait_paid(30)
        self.assertEqual(set(self.ledger.twice()), held)
        self.end_settled(one, two)

    def test_late_refusal_does_not_bring_a_message_back(self):
        """The same with 500 as the late answer: the other has settled it, and that counts."""
        one, two, held = self.hold_at_one(20, leaseTime="1s")
        one.signal(signal.SIGSTOP)
        self.wait_taken_over(held, time.monotonic())
        self.one.let_go(answer(500))
        one.signal(signal.SIGCONT)
        one.wait_for(lambda: one.health() == 204, "the first one works again")
        self.end_settled(one, two)
        self.assertEqual(set(self.ledger.twice()), held)

    def test_publish_in_one_is_delivered_by_the_other_at_once(self):
        self.two = self.application(subscription("ledger"), name="two")
        one, two = self.on_file(), self.on_file(app=self.two)
        with Client(one.address) as client:
            median = self.median_latency_ms(one, client)
        figure(f"published in one and delivered by the other after {median:.2f} ms "
               "(median of 200)")
        self.assertLess(median, POLL_MS / 4)
        self.end_settled(one, two)

    def median_latency_ms(self, gateway, client):
        sent = {}
        for _ in range(200):
            number, body = self.flood.do(self.ledger.new_body)
            sent[number] = time.monotonic()
            got = gateway.publish_on(client, "ledger", body)
            self.assertEqual(got.status, 204)
            time.sleep(0.02)  # the pace that is measured
        wait_for(lambda: all(n in self.ledger.came for n in sent), "all are delivered")
        return statistics.median(1000 * (self.ledger.came[n][0][0] - at) for n, at in sent.items())

    def test_writer_that_hangs_makes_the_other_answer_at_its_deadline(self):
        self.one = self.application(subscription("ledger"), name="one")
        one, two = self.on_file(app=self.one), self.on_file("--publish-timeout", "1s")
        publishers = self.publishers(one, 64)
        with Client(two.address) as client:
            two.wait_for(lambda: two.publish_on(client, "other").status == 204, "it has the file")
            late = self.stop_while_writing(one, two, client)
            self.assertEqual(late.status, 504, late)
            self.assertIn("may have been stored", late.json["message"])
            self.assertEqual(two.health(), 204)
            one.signal(signal.SIGCONT)
            two.wait_for(lambda: two.publish_on(client, "other").status == 204, "it goes on")
        publishers.stop()
        self.ledger.wait_paid(30)
        self.assertEqual(self.ledger.twice(), {})

    def stop_while_writing(self, one, two, client):
        """Stops it again and again until it had the writer lock; what the other answered then."""
        for _ in range(300):
            one.signal(signal.SIGSTOP)
            got = two.publish_on(client, "other")
            if got.status != 204:
                return got
            one.signal(signal.SIGCONT)
        self.fail("it never had the lock")

    def test_two_applications_get_everything_each(self):
        apps = [self.application(subscription("ledger"), name=name) for name in ("one", "two")]
        gateways = [self.on_file("--app-id", app.name, app=app) for app in apps]
        for gateway in gateways:
            self.publishers(gateway, 16)
        wait_for(lambda: self.ledger.ok >= 1000, "1000 acknowledged")
        self.stop_all_publishers()
        wait_for(lambda: all(len(app.delivered_at) == self.ledger.ok for app in apps),
                 "each got everything")
        for number in self.ledger.numbers(ACKNOWLEDGED):
            self.assertEqual(sorted(who for _, who in self.ledger.came[number]), ["one", "two"])
        self.end_settled(*gateways)

    def test_broadcast_reaches_every_instance(self):
        everybody = subscription("ledger", metadata={"consumerMode": "broadcast"})
        apps = [self.application(everybody, name=f"app{i}") for i in range(3)]
        gateways = [self.on_file(app=app) for app in apps]
        # Such a group begins with what comes next, so all have to be there.
        wait_for(lambda: self.ask("SELECT count(*) FROM consumer") == [(3,)], "three groups")
        self.publishers(gateways[0], 8)
        self.publishers(gateways[1], 8)
        wait_for(lambda: self.ledger.ok >= 500, "500 acknowledged")
        self.stop_all_publishers()
        wait_for(lambda: all(len(app.delivered_at) == self.ledger.ok for app in apps),
                 "each got everything")
        for number in self.ledger.numbers(ACKNOWLEDGED):
            self.assertEqual(len({who for _, who in self.ledger.came[number]}), 3)
        # The group of one that dies is not waited for by retention: it goes with it.
        gateways[2].signal(signal.SIGKILL)
        gateways[2].wait_end()
        gateways[0].wait_for(lambda: self.ask("SELECT count(*) FROM consumer") == [(2,)],
                             "the dead one's group is gone")
        for gateway in gateways[:2]:
            self.assertEqual(gateway.end(), 0)
        self.assertEqual(self.ask("SELECT count(*) FROM consumer"), [(0,)])

    def test_keys_keep_their_order_over_both_in_spite_of_failures_and_a_kill(self):
        order = Order()
        one, two = self.pair(order.verdict, order.verdict, documents=(RETRY_QUICKLY,))
        groups = []
        for key in range(16):
            query = order.query(key)
            groups.append(self.publishers((one, two)[key % 2], 1, query_of=query, gap_s=0.01))
        wait_for(lambda: order.done_count >= 300, "300 are done")
        for group in groups[::2]:
            group.stop()  # those of the one that is to die, so that nothing is unknown
        order.is_strict = False
        one.signal(signal.SIGKILL)
        one.wait_end()
        before = order.done_count
        wait_for(lambda: order.done_count >= before + 300, "300 more are done")
        self.stop_all_publishers()
        self.ledger.wait_paid(60)
        wait_for(self.has_settled, "the group has settled everything")
        self.assertEqual(order.wrong, [])
        self.end_settled(two)


class Order:
    """Whether the messages of each key come in order, one at a time. Every seventh try fails."""

    def __init__(self):
        self.keys = {}  # number -> key
        self.last = {}  # key -> the last that was accepted
        self.sent = collections.defaultdict(list)  # key -> its numbers in order
        self.tries = self.done_count = 0
        self.is_strict = True  # nothing may come twice after its acceptance
        self.wrong = []

    def query(self, key):
        def query_of(number):
            self.keys[number] = key
            self.sent[key].append(number)
            return f"?metadata.partitionKey=k{key}"
        return query_of

    def verdict(self, delivery):
        number = delivery.number
        key = self.keys[number]
        last = self.last.get(key, -1)
        if number <= last:
            if self.is_strict or number < last:
                self.wrong.append(f"{number} of {key} came after {last} was accepted")
            return OK
        if any(last < n < number for n in self.sent[key]):
            self.wrong.append(f"{number} of {key} came before others of the key were accepted")
        self.tries += 1
        if self.tries % 7 == 0:
            return answer(500)
        self.last[key] = number
        self.done_count += 1
        return 0.002, OK


if __name__ == "__main__":
    unittest.main()
