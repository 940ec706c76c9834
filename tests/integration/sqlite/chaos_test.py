"""Everything at once on one file, and a ledger of it.

Two gateways, each with two components (two groups) on the same file and an application of its own.
Publishers give keys, delays and lifetimes, take delayed messages back, and go from one gateway to
the other. The applications succeed, fail, drop, hang and hang up. The gateways get SIGHUP, SIGTERM
and SIGKILL, are stopped for longer than a lease, and start again. The file is small and keeps
nothing that is settled, so retention works all the time.

Then all of it stops: what was answered 204 has to have come to each group, with the bytes that were
published, unless the application dropped it; of one key nothing may come while an earlier one is
not done; what was taken back may never come; and the file has to be whole, with nothing left in it.

The seed of a run is printed when it fails; CHAOS_SEED sets it. FAIRLEAD_SOAK=1 makes it last ten
minutes. What the seed cannot fix is the order in which threads and processes run.
"""
import collections
import json
import os
import random
import signal
import threading
import time
import unittest
import zlib

from broker_file import FileStory
from harness import (CLOSE, OK, SOAK, Client, answer, component, figure, resiliency, subscription,
                     verdict)

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600" if SOAK else "15"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
LEASE_S = 2
CALM_S = 90  # the longest back-off of a message that failed all the time is 72 s
PUBLISHERS = 8

RESILIENCY = resiliency(
    "retries: {few: {policy: constant, duration: 30ms, maxRetries: 4}}, timeouts: {short: 1500ms}",
    "one: {inbound: {retry: few}}, two: {inbound: {retry: few, timeout: short}}")
SUBSCRIPTIONS = [
    subscription("plain", pubsub="one"),
    subscription("keyed", pubsub="one"),
    subscription("order.*", route="/order", pubsub="one"),
    subscription("doomed", pubsub="one", deadLetterTopic="grave"),
    subscription("grave", pubsub="one"),
    subscription("plain", route="/two/plain", pubsub="two"),
    subscription("keyed", route="/two/keyed", pubsub="two"),
    subscription("order.*", route="/two/order", pubsub="two"),
]
PATHS = {"plain": ("/plain", "/two/plain"), "keyed": ("/keyed", "/two/keyed"),
         "order.a": ("/order", "/two/order"), "order.b": ("/order", "/two/order"),
         "order.c": ("/order", "/two/order"), "doomed": ("/doomed",)}
TOPICS = sorted(PATHS)


class Ledger:
    """Who is owed what. A message is known by an id inside its data."""

    def __init__(self):
        self.lock = threading.Lock()
        self.owed = {}  # (path, id): when it was acknowledged
        self.done = {}  # (path, id): when the application said so
        self.lanes = collections.defaultdict(list)  # (topic, key): acknowledged (number, id)
        self.first_undone = collections.Counter()   # (path, topic, key): a place in the lane
        self.taken_back = set()
        self.faults = []
        self.counts = collections.Counter()

    def fault(self, text):
        with self.lock:
            self.faults.append(f"{time.monotonic():.3f} {text}")

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def accept(self, data, topic):
        with self.lock:
            self.counts["acknowledged"] += 1
            for path in PATHS[topic]:
                self.owed[path, data["id"]] = time.monotonic()
            if data["key"]:
                self.lanes[topic, data["key"]].append((data["number"], data["id"]))

    def take_back(self, message):
        with self.lock:
            self.counts["taken back"] += 1
            self.taken_back.add(message)
            if any(done == message for _, done in self.done):
                self.faults.append(f"{message} was taken back after it had come")

    def finish(self, path, message):
        with self.lock:
            self.done.setdefault((path, message), time.monotonic())

    def arrive(self, path, topic, data):
        """Checks what must hold when a delivery comes."""
        pad = data["pad"].encode()
        with self.lock:
            self.counts["deliveries"] += 1
            self.counts["again"] += (path, data["id"]) in self.done
            if zlib.crc32(pad) != data["crc"]:
                self.faults.append(f"{path}: other bytes than published: {data}")
            if data["id"] in self.taken_back:
                self.faults.append(f"{path}: {data['id']} was taken back")
            if data["key"]:
                self.check_order(path, topic, data)

    def check_order(self, path, topic, data):
        lane, place = self.lanes[topic, data["key"]], (path, topic, data["key"])
        at = self.first_undone[place]
        while at < len(lane) and (path, lane[at][1]) in self.done:
            at += 1
        self.first_undone[place] = at
        if at < len(lane) and lane[at][0] < data["number"]:
            self.faults.append(f"{time.monotonic():.3f} {path}: {data['id']} of {topic}, key "
                               f"{data['key']}, came before {lane[at][1]} was done")

    def missing(self):
        with self.lock:
            return sorted((when, *what) for what, when in self.owed.items()
                          if what not in self.done)


class Behaviour:
    """How an application answers: as chance has it, until it is told to be calm."""

    def __init__(self, ledger, seed):
        self.ledger, self.chance = ledger, random.Random(seed)
        self.lock = threading.Lock()
        self.is_calm = False

    def draw(self):
        with self.lock:
            number, wait = self.chance.random(), self.chance.random()
        if self.is_calm or number < 0.7:
            return True, OK
        if number < 0.75:
            return True, self.chance.choice((answer(404), verdict("DROP")))
        if number < 0.80:
            time.sleep(wait / 2)
            return True, OK
        if number < 0.82:
            time.sleep(LEASE_S * 1.4)
            return True, OK
        return False, self.chance.choice((answer(500), verdict("RETRY"), CLOSE))

    def on_event(self, request):
        path = request.path
        try:
            event = request.event
            data, topic = event["data"], event["topic"]
            self.ledger.arrive(path, topic, data)
            is_done, out = self.draw()
            if path == "/doomed":
                is_done &= out is OK  # what is dropped goes to the grave
            if is_done:
                self.ledger.finish("/doomed" if path == "/grave" else path, data["id"])
            return out
        except (ValueError, KeyError, TypeError) as error:
            self.ledger.fault(f"{path}: {error!r} {request.body[:300]!r}")
            return OK


class Publisher(threading.Thread):
    """One connection at a time. Keys are its own, so it knows what came before what."""

    def __init__(self, number, addresses, ledger, stop):
        super().__init__(daemon=True)
        self.number, self.addresses, self.ledger, self.stop = number, addresses, ledger, stop
        self.chance = random.Random(SEED * 1000 + number)
        self.count = 0

    def run(self):
        while not self.stop.is_set():
            try:
                with Client(self.chance.choice(self.addresses()), timeout=40) as client:
                    for _ in range(self.chance.randrange(1, 100)):
                        if self.stop.is_set():
                            return
                        self.publish(client)
            except (OSError, EOFError, IndexError):
                self.ledger.count("broken connections")
                self.stop.wait(0.02)
            except Exception as error:  # a fault of the test ends it, too
                self.ledger.fault(f"publisher: {error!r}")
                raise

    def message(self, has_key):
        self.count += 1
        pad = "".join(self.chance.choices("abc é\"\\7", k=self.chance.choice((10, 100, 3000))))
        return {"id": f"{self.number}.{self.count}", "number": self.count,
                "key": f"{self.number}-{self.chance.randrange(3)}" if has_key else "", "pad": pad,
                "crc": zlib.crc32(pad.encode())}

    def publish(self, client):
        topic, number = self.chance.choice(TOPICS), self.chance.random()
        is_delayed, is_mortal = number < 0.15, 0.15 < number < 0.25
        has_order = topic not in ("plain", "doomed") and not is_delayed
        data = self.message(has_order and self.chance.random() < 0.8)
        query = f"?metadata.cloudevent.id={data['id']}"
        if data["key"]:
            query += f"&metadata.partitionKey={data['key']}"
        if is_delayed:
            query += f"&metadata.delay={self.chance.randrange(20, 3000)}ms"
        if is_mortal:
            query += "&metadata.ttlInSeconds=1"
        pubsub = self.chance.choice(("one", "two"))
        target = f"/v1.0/publish/{pubsub}/{topic}"
        got = client.exchange("POST", target + query, json.dumps(data).encode(),
                              Content_Type="application/json")
        if got.status != 204:
            self.ledger.count(f"status {got.status}")
            if got.status not in (429, 503, 504):
                self.ledger.fault(f"{topic}: {got}")
        elif is_delayed and self.chance.random() < 0.3:
            self.take_back(client, target, topic, data)
        elif not is_mortal:
            self.ledger.accept(data, topic)

    def take_back(self, client, target, topic, data):
        """Without an answer it may have been taken back or not."""
        got = client.exchange("DELETE", f"{target}/{data['id']}")
        if got.status == 404:
            self.ledger.accept(data, topic)
        elif got.status == 204:
            self.ledger.take_back(data["id"])
        elif got.status not in (503, 504):
            self.ledger.fault(f"DELETE {data['id']}: {got}")


class Chaos(FileStory):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        self.book = Ledger()
        self.behaviour = Behaviour(self.book, SEED + 1)
        self.servers = [self.app(*SUBSCRIPTIONS, on_event=self.behaviour.on_event)
                        for _ in range(2)]
        self.running = [None, None]
        self.disturbances = collections.Counter()

    def start(self, place):
        options = {"connectionString": self.path, "leaseTime": f"{LEASE_S}s", "retention": "1s",
                   "maxBytes": "16Mi"}
        documents = (component("one", "pubsub.sqlite", **options),
                     component("two", "pubsub.sqlite", consumerID="second", **options), RESILIENCY)
        self.running[place] = self.gateway(app=self.servers[place], documents=documents)

    def addresses(self):
        return [gateway.address for gateway in self.running if gateway]

    def has_groups(self):
        return self.ask("SELECT count(*) FROM consumer") == [(len(SUBSCRIPTIONS),)]

    # --- what happens to gateways

    def end(self, place, number):
        gateway = self.running[place]
        self.running[place] = None
        gateway.signal(number)
        status = gateway.wait_end()
        if status != (0 if number == signal.SIGTERM else -number):
            self.book.fault(f"a gateway ended with {status}: {gateway.log()[-3000:]}")
        return gateway

    def disturb(self):
        place, what = self.chance.randrange(2), self.chance.choice(
            ("hup", "term", "kill", "kill", "kill both", "stop", "hang up", "nothing"))
        self.disturbances[what] += 1
        if what == "hup":
            self.running[place].signal(signal.SIGHUP)
        elif what in ("term", "kill"):
            self.end(place, signal.SIGTERM if what == "term" else signal.SIGKILL)
            time.sleep(self.chance.random() * 1.5)
            self.start(place)
        elif what == "kill both":
            for each in range(2):
                self.end(each, signal.SIGKILL)
            for each in range(2):
                self.start(each)
        elif what == "stop":
            self.running[place].signal(signal.SIGSTOP)
            time.sleep(LEASE_S * 1.5)
            self.running[place].signal(signal.SIGCONT)
        elif what == "hang up":
            self.servers[place].close_connections(lambda busy: True)

    def rage(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.book.faults:
            time.sleep(0.2 + self.chance.random())
            self.disturb()
            # A restart is not met by the next signal, which would end it at once.
            for gateway in self.running:
                gateway.wait_for(lambda g=gateway: g.health() == 204, "it is up again")
            for server in self.servers:
                with server.lock:
                    del server.requests[:]

    def check_missing(self, seconds):
        end = time.monotonic() + seconds
        while self.book.missing() and time.monotonic() < end:
            time.sleep(0.05)
        missing = self.book.missing()
        self.assertEqual(missing[:5], [], f"{len(missing)} are missing, seed {SEED}: " + str(
            self.ask("SELECT * FROM claim LIMIT 5") + self.ask("SELECT * FROM waiting LIMIT 5") +
            self.ask("SELECT cursor.*, last FROM cursor JOIN topic ON id = topic") +
            self.ask("SELECT id, due, topic FROM delayed LIMIT 5")))

    def test_nothing_acknowledged_is_lost_and_keys_stay_in_order(self):
        for place in range(2):
            self.start(place)
        self.running[0].wait_for(self.has_groups, "all is subscribed")
        stop = threading.Event()
        publishers = [Publisher(number, self.addresses, self.book, stop)
                      for number in range(PUBLISHERS)]
        for publisher in publishers:
            publisher.start()
        try:
            self.rage(SECONDS)
        finally:
            stop.set()
            self.behaviour.is_calm = True
        for publisher in publishers:
            publisher.join()
        self.check_missing(CALM_S)
        self.running[0].wait_for(self.has_settled, f"all is settled, seed {SEED}", CALM_S)
        for place in range(2):
            self.end(place, signal.SIGTERM)
        self.assertEqual(self.book.faults[:10], [], f"seed {SEED}")
        self.check_file()
        self.assertGreater(self.book.counts["acknowledged"], 100)
        figure(f"chaos of pubsub.sqlite, {SECONDS:.0f} s, seed {SEED}: "
               f"{dict(self.book.counts)}, {dict(self.disturbances)}")


if __name__ == "__main__":
    unittest.main()
