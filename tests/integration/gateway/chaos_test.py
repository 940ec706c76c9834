"""Everything at once, and a ledger: what was answered 2xx is delivered at least once, or dropped or
dead-lettered on the application's word, with the bytes that were published.

Publishers keep connections, pipeline, send in chunks and in splinters, half-close, reset in the
middle and while they wait, send slowly, and send nonsense. The application answers 200, 500, RETRY,
DROP, 404, late, cut off, or nonsense; it closes connections, idle and busy, goes away and comes
back. Then all of it stops, what is owed has to come, and the gateway has to end with nothing left.

The seed of a run is printed; CHAOS_SEED sets it. FAIRLEAD_SOAK=1 makes it last ten minutes. What
the seed cannot fix is the order in which threads run.
"""
import base64
import collections
import json
import os
import random
import signal
import socket
import sys
import threading
import time
import unittest
import zlib

from harness import (App, CLOSE, Client, Cut, OK, SOAK, Story, answer, component, subscription,
                     verdict)

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600" if SOAK else "20"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
CALM_S = 120  # the longest back-off of a message that failed all the time is 72 s

RESILIENCY = """apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: fast}
spec:
  policies:
    retries:
      twice: {policy: constant, duration: 20ms, maxRetries: 2}
      ever: {policy: constant, duration: 10ms, maxRetries: -1}
    timeouts: {short: 700ms}
  targets:
    components:
      one: {inbound: {retry: ever}}
      many: {inbound: {retry: twice, timeout: short}}
"""
DOCUMENTS = (component("one"), component("many", concurrencyMode="parallel"),
             component("bare", concurrencyMode="parallel"), RESILIENCY)

BULK = {"enabled": True, "maxMessagesCount": 16, "maxAwaitDurationMs": 40}
SUBSCRIPTIONS = [
    subscription("single", pubsub="one"),
    subscription("parallel", pubsub="many"),
    subscription("both", route="/first", pubsub="many"),
    subscription("bo*", route="/second", pubsub="many"),
    subscription("wild.*", route="/wild", pubsub="one"),
    subscription("raw", pubsub="many", metadata={"rawPayload": "true"}),
    subscription("doomed", pubsub="many", deadLetterTopic="grave"),
    subscription("single.doomed", pubsub="one", deadLetterTopic="single.grave"),
    subscription("grave", route="/grave", pubsub="many"),
    subscription("single.grave", route="/grave", pubsub="one"),
    subscription("bulk", pubsub="many", bulkSubscribe=BULK),
    subscription("bulk.doomed", pubsub="bare", bulkSubscribe=BULK, deadLetterTopic="bulk.grave"),
    subscription("bulk.grave", route="/grave", pubsub="bare"),
    subscription("bulk.one", pubsub="one", bulkSubscribe=dict(BULK, maxMessagesCount=1)),
    {"pubsubname": "bare", "topic": "routed", "routes": {
        "rules": [{"match": 'event.type == "a"', "path": "/routed-a"}], "default": "/routed"}},
]
# (component, topic): the paths that have to get a message of it. A doomed one may end at /grave.
PATHS = {
    ("one", "single"): ["/single"], ("many", "parallel"): ["/parallel"],
    ("many", "both"): ["/first", "/second"], ("many", "bow"): ["/second"],
    ("one", "wild.a"): ["/wild"], ("one", "wild.b"): ["/wild"],
    ("many", "doomed"): ["/doomed"], ("one", "single.doomed"): ["/single.doomed"],
    ("many", "bulk"): ["/bulk"], ("bare", "bulk.doomed"): ["/bulk.doomed"],
    ("one", "bulk.one"): ["/bulk.one"], ("bare", "routed"): ["/routed"],
    ("bare", "nobody"): [],
}
DOOMED = ("/doomed", "/single.doomed", "/bulk.doomed")
TOPICS = sorted(PATHS)


class Ledger:
    """Who is owed what. A message is known by an id inside its data, and by a sum of the data."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sums = {}
        self.owed, self.done = set(), set()  # of (path, id)
        self.faults = []
        self.accepted = self.handed = 0

    def note(self, message, data):
        with self.lock:
            self.sums[message] = zlib.crc32(data)

    def accept(self, message, paths):
        with self.lock:
            self.accepted += 1
            self.owed.update((path, message) for path in paths)

    def finish(self, path, message):
        with self.lock:
            self.handed += 1
            self.done.add((path, message))

    def check(self, message, data, where):
        with self.lock:
            if self.sums.get(message) != zlib.crc32(data):
                self.faults.append(f"{where}: other bytes than published: {message} {data[:200]!r}")

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def missing(self):
        with self.lock:
            return self.owed - self.done


def data_of(event):
    """The published bytes of an event: JSON in the one way in which it is written here, which is
    also in order of the keys."""
    if "data_base64" in event:
        return base64.b64decode(event["data_base64"])
    data = event.get("data")
    return data.encode() if isinstance(data, str) else json.dumps(data, sort_keys=True).encode()


def id_of(data):
    """Data begin with the id, alone or as the first member."""
    text = data[:100].decode("latin-1").removeprefix('{"id": "').removeprefix('"')
    return text.split('"')[0].split(" ")[0]


class Application(App):
    """Answers as chance has it, until it is told to be calm."""

    def __init__(self, ledger, seed):
        super().__init__(*SUBSCRIPTIONS, on_event=self.on_delivery)
        self.ledger = ledger
        self.chance = random.Random(seed)
        self.is_calm = False
        self.on_health = lambda: 200 if self.is_calm or self.chance.random() < 0.7 else 500

    def draw(self):
        """One of the verdicts: done, drop, or neither; and the answer that says so."""
        with self.lock:
            number, wait = self.chance.random(), self.chance.random()
        if self.is_calm or number < 0.6:
            return "done", self.chance.choice((
                OK, OK, answer(204), verdict("SUCCESS"), answer(200, b"\xff nonsense"),
                b"HTTP/1.1 100 Continue\r\n\r\n" + OK, OK.replace(b"200", b"299"),
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
        if number < 0.66:
            return "drop", self.chance.choice((answer(404), verdict("DROP")))
        if number < 0.70:
            time.sleep(wait)  # beyond some time limits
            return "done", OK
        return None, self.chance.choice((
            answer(500), answer(503, b"x" * 20000), verdict("RETRY"), verdict("what?"), CLOSE,
            Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            Cut(b"\0\xff garbage\r\n\r\n"),
            Cut(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Le"),
            Cut(b"HTTP/1.1 500 Bad\r\nContent-Length: 3\r\n\r\nabcand more"),
            Cut(b"HTTP/1.1 500 Bad\r\nX: " + b"y" * 30000)))

    def on_delivery(self, request):
        try:
            if request.path.startswith("/bulk"):
                return self.on_bulk(request)
            data = request.event["data_base64"] if request.path == "/raw" else None
            data = base64.b64decode(data) if data is not None else data_of(request.event)
            message = id_of(data)
            self.ledger.check(message, data, request.path)
            end, out = self.draw()
            self.end(request.path, message, end)
            return out
        except (ValueError, KeyError, TypeError) as error:
            self.ledger.fault(f"{request.path}: {error!r} {request.body[:300]!r}")
            return OK

    def end(self, path, message, end):
        if end == "done" or (end == "drop" and path not in DOOMED):
            for owed in DOOMED if path == "/grave" else (path,):
                self.ledger.finish(owed, message)

    def on_bulk(self, request):
        entries = request.event["entries"]
        messages = {}
        for entry in entries:
            data = data_of(entry["event"])
            messages[entry["entryId"]] = id_of(data)
            self.ledger.check(id_of(data), data, request.path)
        end, out = self.draw()
        if end is None or out.startswith(b"HTTP/1.1 404"):
            if end == "drop":  # the whole of it counts as done, without a dead letter
                for message in messages.values():
                    self.ledger.finish(request.path, message)
            return out
        statuses = []
        for entry, message in messages.items():
            word = "SUCCESS" if self.is_calm else self.chance.choice(
                ("SUCCESS", "SUCCESS", "SUCCESS", "RETRY", "DROP", "", None))
            if word == "SUCCESS" or (word == "DROP" and request.path not in DOOMED):
                self.ledger.finish(request.path, message)
            if word is not None:
                statuses.append({"entryId": entry, "status": word})
        self.chance.shuffle(statuses)
        return answer(200, json.dumps({"statuses": statuses}).encode())

    def forget_requests(self):
        with self.lock:
            del self.requests[:]

    def be_trouble(self, stop):
        while not stop.wait(0.2 + self.chance.random()):
            self.forget_requests()
            number = self.chance.random()
            if number < 0.4:
                self.close_idle()
            elif number < 0.6:
                self.close_connections(lambda busy: True)
            elif number < 0.75:
                self.stop()
                stop.wait(self.chance.random())
                self.start()


class Publisher(threading.Thread):
    """One connection at a time and one habit at a time, both left as chance has it."""

    def __init__(self, number, address, metrics_address, ledger, seed, stop):
        super().__init__(daemon=True)
        self.number, self.address, self.metrics_address = number, address, metrics_address
        self.ledger, self.stop = ledger, stop
        self.chance = random.Random(seed)
        self.count = 0
        self.expects_ends = False  # connections may end at any time
        self.habits = [self.keep_alive, self.keep_alive, self.keep_alive, self.pipeline,
                       self.pipeline, self.chunked, self.splinters, self.half_close,
                       self.reset_early, self.reset_pending, self.slow_body, self.nonsense,
                       self.bulk, self.batch, self.raw, self.large, self.ask, self.expect]

    def run(self):
        while not self.stop.is_set():
            habit = self.chance.choice(self.habits)
            try:
                habit()
            except TimeoutError:
                self.ledger.fault(f"{habit.__name__}: no answer")
            except (OSError, EOFError) as error:
                # Ends of connections are faults only where a habit says so.
                if not self.expects_ends and habit in (self.keep_alive, self.half_close, self.bulk,
                                                       self.batch, self.raw):
                    self.ledger.fault(f"{habit.__name__}: {error!r}")
                self.pause(self.expects_ends)
            except Exception as error:  # a fault of the test ends it, too
                self.ledger.fault(f"{habit.__name__}: {error!r}")
                raise

    # --- messages

    def message(self, size=None):
        """(id, data as they are published, Content-Type, body)"""
        self.count += 1
        message = f"{self.number}.{self.count}"
        pad = "".join(self.chance.choices("abc é\"\\\n7", k=self.chance.randrange(60)
                                          if size is None else size))
        kind = self.chance.randrange(4)
        if kind == 0:
            data = body = f"{message} {pad}".encode()
            content_type = "text/plain; charset=utf-8"
        elif kind == 1:
            data = body = f"{message} {pad}".encode() + b"\0\xff"
            content_type = "application/octet-stream"
        else:
            data = body = json.dumps({"id": message, "n": [1, 2.5, None], "pad": pad}).encode()
            content_type = "application/json"
            if kind == 3:
                body = json.dumps({"specversion": "1.0", "id": message, "source": "s", "type": "t",
                                   "datacontenttype": "application/json",
                                   "data": json.loads(data)}).encode()
                content_type = "application/cloudevents+json"
        self.ledger.note(message, data)
        return message, content_type, body

    def topic(self):
        return self.chance.choice(TOPICS)

    def head(self, place, content_type, *lines, query=""):
        pubsub, topic = place
        fields = [f"POST /v1.0/publish/{pubsub}/{topic}{query} HTTP/1.1", "Host: h",
                  f"Content-Type: {content_type}", *lines]
        return ("\r\n".join(fields) + "\r\n\r\n").encode()

    def whole(self, place, message):
        _, content_type, body = message
        return self.head(place, content_type, f"Content-Length: {len(body)}") + body

    def client(self):
        return Client(self.address)

    def settle(self, place, message, got):
        """What an answer to a publish means."""
        if got.status == 204:
            self.ledger.accept(message[0], PATHS[place])
        elif got.status not in (429, 503):
            self.ledger.fault(f"{place}: {got}")
        return got.fields.get("connection") != "close"

    # --- habits

    def keep_alive(self):
        with self.client() as client:
            for _ in range(self.chance.randrange(1, 60)):
                place, message = self.topic(), self.message()
                client.socket.sendall(self.whole(place, message))
                if not self.settle(place, message, client.read()):
                    return

    def pipeline(self):
        with self.client() as client:
            burst = [(self.topic(), self.message()) for _ in range(self.chance.randrange(2, 150))]
            client.socket.sendall(b"".join(self.whole(*one) for one in burst))
            if self.chance.random() < 0.2:
                client.reset()
                return
            if self.chance.random() < 0.3:
                client.socket.shutdown(socket.SHUT_WR)
            for place, message in burst:
                if not self.settle(place, message, client.read()):
                    return

    def chunked(self):
        with self.client() as client:
            for _ in range(self.chance.randrange(1, 5)):
                place, message = self.topic(), self.message()
                _, content_type, body = message
                client.socket.sendall(self.head(place, content_type, "Transfer-Encoding: chunked"))
                while body:
                    n = self.chance.randrange(1, len(body) + 1)
                    client.socket.sendall(b"%x;e=1\r\n%s\r\n" % (n, body[:n]))
                    body = body[n:]
                    self.pause(0.3)
                client.socket.sendall(b"0\r\nTrailer: t\r\n\r\n")
                if not self.settle(place, message, client.read()):
                    return

    def splinters(self):
        with self.client() as client:
            place, message = self.topic(), self.message()
            out = self.whole(place, message)
            while out:
                n = self.chance.randrange(1, 40)
                client.socket.sendall(out[:n])
                out = out[n:]
                self.pause(0.2)
            self.settle(place, message, client.read())

    def half_close(self):
        with self.client() as client:
            place, message = self.topic(), self.message()
            client.socket.sendall(self.whole(place, message))
            client.socket.shutdown(socket.SHUT_WR)
            self.settle(place, message, client.read())
            if client.stream.read(1):
                self.ledger.fault("something behind the answer")

    def reset_early(self):
        client = self.client()
        out = self.whole(self.topic(), self.message(self.chance.choice((None, 3000))))
        client.socket.sendall(out[:self.chance.randrange(len(out))])
        self.pause(0.5)
        client.reset()

    def reset_pending(self):
        client = self.client()
        client.socket.sendall(self.whole(self.topic(), self.message()))
        self.pause(0.5)
        client.reset()

    def slow_body(self):
        with self.client() as client:
            place, message = self.topic(), self.message(self.chance.choice((2000, 20000, 100000)))
            out = self.whole(place, message)
            stays = self.chance.random() < 0.7
            while out:
                client.socket.sendall(out[:len(out) // 4 + 400])
                out = out[len(out) // 4 + 400:]
                if not stays and len(out) < 4000:
                    client.reset()
                    return
                self.stop.wait(self.chance.random() * 0.1)
            self.settle(place, message, client.read())

    def large(self):
        with self.client() as client:
            place, message = self.topic(), self.message(200000)
            client.socket.sendall(self.whole(place, message))
            self.settle(place, message, client.read())

    def expect(self):
        with self.client() as client:
            place, message = self.topic(), self.message(500)
            _, content_type, body = message
            client.socket.sendall(self.head(place, content_type, f"Content-Length: {len(body)}",
                                            "Expect: 100-continue"))
            got = client.read()
            if got.status == 100:
                client.socket.sendall(body)
                got = client.read()
            self.settle(place, message, got)

    def bulk(self):
        with self.client() as client:
            place = self.topic()
            entries, messages = [], []
            for _ in range(self.chance.randrange(1, 60)):
                message, content_type, body = self.message()
                is_bytes = content_type == "application/octet-stream"
                event = base64.b64encode(body).decode() if is_bytes else body.decode()
                event = json.loads(event) if "json" in content_type else event
                entries.append({"entryId": message, "event": event, "contentType": content_type})
                messages.append(message)
            got = client.exchange("POST", f"/v1.0/publish/bulk/{place[0]}/{place[1]}",
                                  json.dumps(entries).encode())
            failed = set(messages)
            if got.status == 204:
                failed = set()
            elif b"failedEntries" in got.body:
                failed = {entry["entryId"] for entry in got.json["failedEntries"]}
            elif got.status not in (429, 503):
                self.ledger.fault(f"bulk: {got}")
            for message in messages:
                if message not in failed:
                    self.ledger.accept(message, PATHS[place])

    def batch(self):
        with self.client() as client:
            place, messages = self.topic(), []
            while len(messages) < 9:
                message = self.message()
                if message[1] == "application/cloudevents+json":
                    messages.append(message)
            body = b"[" + b",".join(m[2] for m in messages) + b"]"
            got = client.exchange("POST", f"/v1.0/publish/{place[0]}/{place[1]}", body,
                                  Content_Type="application/cloudevents-batch+json")
            for message in messages if got.status == 204 else ():
                self.ledger.accept(message[0], PATHS[place])
            if got.status not in (204, 429, 503):
                self.ledger.fault(f"batch: {got}")

    def raw(self):
        with self.client() as client:
            message = self.message()
            while message[1] == "application/cloudevents+json":  # its data are not all of it
                message = self.message()
            client.socket.sendall(
                self.head(("many", "raw"), message[1], f"Content-Length: {len(message[2])}",
                          query="?metadata.rawPayload=true&metadata.k=v") + message[2])
            got = client.read()
            if got.status == 204:
                self.ledger.accept(message[0], ["/raw"])
            elif got.status not in (429, 503):
                self.ledger.fault(f"raw: {got}")

    def ask(self):
        with self.client() as client:
            for target in ("/v1.0/healthz", "/v1.0/metadata", "/v1.0/none"):
                client.exchange("GET", target)
            client.exchange("PUT", f"/v1.0/metadata/k{self.chance.randrange(9)}",
                            b"v" * self.chance.randrange(3000))
        with Client(self.metrics_address) as client:
            client.exchange("GET", "/metrics")

    def nonsense(self):
        """Each of these is answered with an error, or the connection ends."""
        chunk = self.head(("one", "single"), "text/plain", "Transfer-Encoding: chunked")
        large = f"Content-Length: {1 << self.chance.choice((21, 33, 62, 70))}"
        out = self.chance.choice((
            bytes(self.chance.choices(range(256), k=self.chance.randrange(1, 3000))),
            b"GET / HTTP/1.1\n\n", b"POST /v1.0/publish/one/single HTTP/1.1\r\n" + b"\r\n" * 3,
            self.head(("one", "single"), "x", "Content-Length: 3", "Transfer-Encoding: chunked"),
            self.head(("one", "single"), "text/plain", large),
            self.head(("one", "single"), "text/plain", large)[:-30],
            self.head(("none", "single"), "text/plain", "Content-Length: 100000") + b"x" * 1000,
            self.head(("one", "single"), "y" * 30000, "Content-Length: 3"),
            self.head(("one", "single"), "application/cloudevents+json", "Content-Length: 4") +
            b"nope", chunk + b"zz\r\n", chunk + b"5\r\nab", chunk + b"1\r\nabc\r\n",
            chunk + b"f" * 5000, b"\r\n" * 2000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        at = self.chance.randrange(len(out))
        with self.client() as client:
            client.socket.sendall(out[:at])
            self.pause(0.5)
            client.socket.sendall(out[at:])
            client.socket.shutdown(socket.SHUT_WR)
            client.stream.read()  # until the end

    def pause(self, probability):
        if self.chance.random() < probability:
            self.stop.wait(self.chance.random() * 0.004)


class Chaos(Story):
    def owed_in_words(self, ledger):
        missing = sorted(ledger.missing())
        by_path = collections.Counter(path for path, _ in missing)
        return f"{len(missing)} of {ledger.accepted} accepted: {by_path}, such as {missing[:20]}"

    def let_loose(self, **more):
        """(ledger, application, gateway, publishers), all of them at it; and what stops them."""
        print(f"chaos: CHAOS_SEED={SEED}, {SECONDS:.0f} s", flush=True)
        sys.setswitchinterval(0.001)
        dice = random.Random(SEED)
        ledger, stop = Ledger(), threading.Event()
        app = Application(ledger, dice.random())
        self.apps.append(app.start())
        gateway = self.gateway(
            "--max-memory", dice.choice(("4Mi", "8Mi", "24Mi")), "--publish-wait",
            dice.choice(("0s", "100ms", "1s")), "--max-body-size", "1Mi",
            "--app-max-concurrency", dice.choice(("-1", "3", "40")),
            "--dapr-graceful-shutdown-seconds", "60",
            *dice.choice(((), ("--enable-app-health-check", "--app-health-probe-interval", "1",
                               "--app-health-threshold", "1"))), app=app, documents=DOCUMENTS)
        # What is published before the application was healthy once finds no subscriber.
        gateway.wait_for(lambda: gateway.metric("fairlead_window") >= 64 * len(SUBSCRIPTIONS),
                         "everything is subscribed")
        threads = [Publisher(n, gateway.address, ("127.0.0.1", gateway.metrics_port), ledger,
                             dice.random(), stop) for n in range(12)]
        for thread in threads:
            thread.__dict__.update(more)
        threads.append(threading.Thread(target=app.be_trouble, args=(stop,), daemon=True))
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join(60)
                self.assertFalse(thread.is_alive(), f"{thread} hangs")
        self.addCleanup(stop.set)
        return ledger, app, gateway, end

    def watch(self, ledger, gateway, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not ledger.faults and gateway.process.poll() is None:
            time.sleep(0.1)

    def test_nothing_accepted_is_lost(self):
        ledger, app, gateway, end_all = self.let_loose()
        self.watch(ledger, gateway, SECONDS)
        app.is_calm = True
        end_all()
        self.assertIsNone(gateway.process.poll(), gateway.log()[-6000:])
        self.assertEqual(ledger.faults[:20], [])
        end = time.monotonic() + CALM_S
        while ledger.missing() and time.monotonic() < end and gateway.process.poll() is None:
            app.forget_requests()
            time.sleep(0.05)
        self.assertEqual(len(ledger.missing()), 0, self.owed_in_words(ledger))
        self.assertGreater(ledger.accepted, 100)
        self.is_at_rest(gateway)
        print(f"figure: {ledger.accepted} accepted, {ledger.handed} handed over", flush=True)
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(ledger.faults[:20], [])

    def test_restart_and_end_in_the_middle_of_it(self):
        """What is under way ends in order; the in-memory broker forgets, so nothing is owed."""
        ledger, app, gateway, end_all = self.let_loose(expects_ends=True)
        for count in (1, 2):
            self.watch(ledger, gateway, SECONDS / 5)
            gateway.signal(signal.SIGHUP)
            app.is_calm = True
            gateway.wait_for(lambda n=count: gateway.log().count("shutdown gracefully") == n,
                             "it stops")
            app.is_calm = False
            gateway.wait_for(lambda: gateway.health() == 204, "it is there again")
        self.watch(ledger, gateway, SECONDS / 5)
        app.is_calm = True
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        end_all()
        self.assertEqual(ledger.faults[:20], [])

    def is_at_rest(self, gateway):
        """Nothing is under way and no byte is held for anybody."""
        for name in ("fairlead_budget_used_bytes", "fairlead_in_flight", "fairlead_retry_waiting",
                     "fairlead_publish_waiting", "fairlead_connections"):
            gateway.wait_for(lambda n=name: gateway.metric(n) == 0, f"{name} is 0", CALM_S)


class Pieces(Story):
    """What chaos found, each alone."""

    HEAD = (b"POST /v1.0/publish/pubsub/t HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n")

    def published_in(self, gateway, *pieces):
        """Each piece is read by the gateway before the next one is sent."""
        with Client(gateway.address) as client:
            for piece in pieces:
                client.socket.sendall(piece)
                # The answer to another connection comes after what was there before.
                for _ in range(3):
                    self.assertEqual(gateway.health(), 204)
            return client.read()

    def test_head_whose_body_follows_in_chunks_keeps_its_fields(self):
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app)
        head = self.HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        chunk = b"190\r\n" + b"Z" * 400 + b"\r\n"
        for pieces in ((head, chunk, b"0\r\n\r\n"), (head[:20], head[20:], chunk + b"0\r\n\r\n")):
            self.assertEqual(self.published_in(gateway, *pieces).status, 204)
        for request in app.wait_got("/t", 2):
            self.assertEqual((request.event["datacontenttype"], request.data),
                             ("text/plain", "Z" * 400))

    def test_head_in_pieces_whose_body_is_too_large(self):
        gateway = self.gateway(app=self.app(subscription("t")))
        head = self.HEAD + b"Content-Length: 99999999\r\n\r\n"
        self.assertEqual(self.published_in(gateway, head[:60], head[60:]).status, 500)
        bulk = head.replace(b"/pubsub", b"/bulk/pubsub")
        self.assertEqual(self.published_in(gateway, bulk[:60], bulk[60:]).status, 400)

    def test_body_larger_than_the_budget_is_refused_at_once(self):
        gateway = self.gateway("--max-memory", "1Mi", "--publish-wait", "300s",
                               app=self.app(subscription("t")))
        head = self.HEAD + b"Content-Length: 2000000\r\n\r\n"
        self.assertEqual(self.published_in(gateway, head).status, 500)

    def test_publish_wait_of_nothing(self):
        """Who may not wait is refused at once, and it counts as waiting no longer."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.gateway("--max-memory", "1Mi", "--publish-wait", "0s", app=app)
        body = b'"' + b"x" * 12000 + b'"'
        with Client(gateway.address) as client:
            statuses = [gateway.publish_on(client, "t", body).status for _ in range(120)]
        self.assertEqual(set(statuses), {204, 429})
        held.set()
        app.wait_got("/t", statuses.count(204))
        self.assertEqual(gateway.metric("fairlead_publish_waiting"), 0)

    def test_query_that_every_entry_of_a_bulk_would_get(self):
        """A long query times many entries is more than the budget, and is refused as that."""
        gateway = self.gateway("--max-memory", "64Mi", app=self.app(subscription("t")))
        query = "?" + "&".join(f"metadata.{n}=" for n in range(400))
        entries = [{"entryId": str(n), "event": 1, "contentType": "application/json",
                    "metadata": {}} for n in range(30000)]
        with Client(gateway.address) as client:
            got = client.exchange("POST", f"/v1.0/publish/bulk/pubsub/t{query}",
                                  json.dumps(entries).encode())
        self.assertEqual(got.status, 400, got)
        self.assertLess(gateway.memory_bytes("VmHWM"), 1 << 30)

    def test_event_that_no_rule_can_look_at_is_never_sent(self):
        """Bytes that are no event, for a subscription that wants events."""
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app)
        self.assertEqual(gateway.publish("t", b"no event", query="?metadata.rawPayload=true")
                         .status, 204)
        gateway.wait_for(lambda: gateway.metric("fairlead_retried_total") >= 2, "it is tried again")
        self.assertEqual(app.got(), [])

    def test_slow_body_does_not_keep_the_process(self):
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60")
        with Client(gateway.address) as client:
            client.socket.sendall(self.HEAD + b"Content-Length: 10\r\n\r\nx")
            self.assertEqual(gateway.health(), 204)
            gateway.signal()
            self.assertEqual(client.read().status, 408)
        self.assertEqual(gateway.wait_end(), 0)

    def test_request_of_a_client_that_is_gone_ends_before_the_process(self):
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.gateway("--max-memory", "4Mi", "--publish-wait", "300s",
                               "--dapr-graceful-shutdown-seconds", "60", app=app)
        body = b'"' + b"x" * (1 << 20) + b'"'
        for _ in range(3):
            self.published(gateway, "t", body)
        # The next one waits for room in line, and so does what comes behind it.
        large = Client(gateway.address).send("POST", "/v1.0/publish/pubsub/t", body)
        small = Client(gateway.address).send("POST", "/v1.0/publish/pubsub/t", b"{}")
        gateway.wait_for(lambda: gateway.metric("fairlead_publish_waiting") == 1, "it waits")
        small.reset()
        gateway.signal()
        large.reset()
        held.set()
        self.assertEqual(gateway.wait_end(), 0)

    def test_client_that_leaves_in_the_middle_does_not_keep_the_process(self):
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60")
        with Client(gateway.address) as client:
            client.socket.sendall(self.HEAD + b"Content-Length: 10\r\n\r\nx")
            self.assertEqual(gateway.health(), 204)
            gateway.signal()
            gateway.wait_log("Dapr is shutting down")
        started = time.monotonic()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertLess(time.monotonic() - started, 30)


if __name__ == "__main__":
    unittest.main()
