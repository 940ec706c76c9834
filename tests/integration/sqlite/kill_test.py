"""A ledger over many kills: what was acknowledged is delivered, whenever the gateway was killed.

Publishers in a closed loop, an application that outlives the gateways, one file. Half of the kills
come at a random time, half at a named point of a message's way (tests/support/sqlite_kill.c, which
is preloaded); after each of them a new gateway starts on the same file. A message that came twice
must have come the first time before a kill and again within a lease of the start after it.
"""
import mmap
import os
import random
import signal
import struct
import subprocess
import time
import unittest

from broker_file import FileStory
from flood import ACKNOWLEDGED, REFUSED, UNKNOWN
from harness import IS_SANITIZED, OK, SOAK, answer, figure, subscription

KILLS = 200 if SOAK else 10 if IS_SANITIZED else 20
ACKNOWLEDGED_EACH = 500 if IS_SANITIZED else 1010  # at least, before the kill
CONNECTIONS = 400  # so that enough are outstanding between two batches as well
OUTSTANDING_LEAST = 100
LEASE_S = 2
POINTS = ("insert", "commit", "answer", "verdict", "settle")
# How often a point is passed, at most, once the kill is wanted: about a batch or two of messages.
PASSES = {"insert": 300, "commit": 4, "answer": 300, "verdict": 200, "settle": 20}
SEED = int(os.environ.get("KILL_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support",
                      "sqlite_kill.c")


class Points:
    """The preloaded library, and the page that it shares with this test."""

    def __init__(self, folder):
        self.library = os.path.join(folder, "sqlite_kill.so")
        subprocess.run([os.environ.get("CC", "gcc"), "-std=c11", "-O1", "-fPIC", "-shared", "-o",
                        self.library, SOURCE, "-ldl"], check=True)
        self.path = os.path.join(folder, "page")
        with open(self.path, "wb+") as file:
            file.write(bytes(mmap.PAGESIZE))
            file.flush()
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def env(self, point):
        self.page[:8] = bytes(8)
        return {"LD_PRELOAD": self.library, "KILL_POINT": point, "KILL_PAGE": self.path}

    def arm(self, passes):
        self.page[:4] = struct.pack("i", passes)

    @property
    def is_hit(self):
        return struct.unpack("i", self.page[4:8])[0] == 1


class Kill(FileStory):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.receiver = self.application(subscription("ledger"))
        self.query_of = lambda number: ""
        self.kills = []  # (killed, the next one was up)
        self.outstanding_least = CONNECTIONS

    def start(self, env=None):
        return self.on_file(app=self.receiver, env=env, leaseTime=f"{LEASE_S}s")

    def round(self, points, point):
        gateway = self.start(points.env(point) if point else None)
        if self.kills:
            self.kills[-1][1] = time.monotonic()
        enough = self.ledger.ok + ACKNOWLEDGED_EACH
        publishers = self.publishers(gateway, CONNECTIONS, query_of=self.query_of)
        gateway.wait_for(lambda: self.ledger.ok >= enough, f"{enough} acknowledged")
        if point:
            points.arm(self.random.randint(1, PASSES[point]))
        else:
            time.sleep(self.random.random() * 0.1)  # a random time is what is wanted
            gateway.signal(signal.SIGKILL)
        status = self.end_of(gateway, publishers)
        self.kills.append([time.monotonic(), None])
        self.assertEqual(status, -signal.SIGKILL, gateway.log()[-3000:])
        self.assertTrue(not point or points.is_hit, point)
        outstanding = publishers.lose()
        self.outstanding_least = min(self.outstanding_least, outstanding)
        self.assertGreaterEqual(outstanding, OUTSTANDING_LEAST, point)
        os.truncate(gateway.log_path, 0)

    @staticmethod
    def end_of(gateway, publishers):
        try:
            return gateway.wait_end(20)
        except subprocess.TimeoutExpired:
            publishers.stop()
            raise

    def check_twice(self):
        """How long after the start that followed its kill a duplicate came, at most."""
        worst = 0
        for number, came in self.ledger.twice().items():
            for (first, _), (second, _) in zip(came, came[1:]):
                # A request of a killed gateway may still be read a moment after its end.
                starts = [up for killed, up in self.kills if first - 0.5 <= killed <= second]
                self.assertTrue(starts, f"message {number} came twice without a kill between")
                worst = max(worst, min(second - up for up in starts))
        return worst

    def run_kills(self, points, kills):
        for number in range(kills):
            point = POINTS[number // 2 % len(POINTS)] if points and number % 2 else None
            try:
                self.round(points, point)
            except Exception as failure:
                raise AssertionError(f"kill {number} at {point}, seed {SEED}") from failure
        gateway = self.start()
        self.kills[-1][1] = time.monotonic()
        self.ledger.wait_paid(60)
        # What was unknown and stored comes as well; then the group has nothing left.
        gateway.wait_for(self.has_settled, "the group has settled everything")
        self.assertEqual(gateway.end(), 0)
        self.check_file()
        self.assertEqual(self.ledger.wrong, [])
        self.assertEqual(self.ledger.owed(), [])
        self.assertGreaterEqual(self.ledger.ok, kills * ACKNOWLEDGED_EACH)
        self.assertEqual(self.ledger.counts[REFUSED], 0, self.ledger.statuses)

    def run_ledger(self, points, kills):
        self.run_kills(points, kills)
        worst = self.check_twice()
        self.assertLessEqual(worst, LEASE_S + 1)
        self.say(f"the latest {worst:.2f} s after the next start (lease {LEASE_S} s)")

    def say(self, more):
        ledger = self.ledger
        unknown = ledger.numbers(UNKNOWN)
        came = sum(n in ledger.came for n in unknown)
        figure(f"kills {len(self.kills)} (seed {SEED}), outstanding at each at least "
               f"{self.outstanding_least}: ok {ledger.counts[ACKNOWLEDGED]}, failed "
               f"{ledger.counts[REFUSED]}, unknown {len(unknown)} (delivered {came}), delivered "
               f"{len(ledger.came)}, lost {len(ledger.owed())}, twice {len(ledger.twice())}, {more}")

    @unittest.skipIf(IS_SANITIZED, "points are hit by LD_PRELOAD, which sanitizers do not allow")
    def test_kills_at_random_times_and_at_named_points(self):
        self.run_ledger(Points(self.folder), KILLS)

    @unittest.skipUnless(IS_SANITIZED, "part of the case with named points")
    def test_kills_at_random_times(self):
        self.run_ledger(None, KILLS)

    def test_kills_with_keys_delays_and_failures(self):
        """Nothing is lost of what waits in any way: for its lane, for its time, for its next try."""
        def query_of(number):
            if number % 4 == 0:
                return f"?metadata.partitionKey=k{number % 100}"
            return "?metadata.delay=1s" if number % 10 == 1 else ""

        def verdict(delivery):
            return answer(500) if self.random.random() < 0.02 else OK
        self.query_of, self.receiver.verdict = query_of, verdict
        self.run_kills(None if IS_SANITIZED else Points(self.folder), KILLS // 3)
        self.say("with keys, delays and failures")


if __name__ == "__main__":
    unittest.main()
