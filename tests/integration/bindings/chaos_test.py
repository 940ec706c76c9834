"""Everything at once with bindings, policies and breakers, and a ledger of it.

    publishers ─► pubsub.sqlite ─► the application ─┐
    bindings.story ─► the application               ├─► bindings.http ─► the upstream
    bindings.cron ─► the application ───────────────┤
    callers ────────────────────────────────────────┘

Claims: a publish that was answered 204 reaches the upstream, since the application takes its event
only when its own call of the output binding was answered 200; a call that was answered 200 reached
the upstream, and the answer is that of this very call; an event that a source was told to emit is
taken by the application, unless a hangup took the source's memory with it. Application and upstream
fail, hang, cut answers short, go away and come back; callers leave without their answers; the
gateway is told to restart in the middle. Then all is calm, what is owed has to come, the clock has
to tick still, and nothing may be held for anybody.

The seed of a run is printed; CHAOS_SEED sets it. FAIRLEAD_SOAK=1 makes it last ten minutes.
"""
import collections
import glob
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import (CLOSE, FAIRLEAD, OK, SOAK, Client, Cut, answer, component,  # noqa: E402
                     figure, subscription)
from input_test import Inputs, binding  # noqa: E402
import upstream  # noqa: E402

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600" if SOAK else "5"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
CALM_S = 120

RESILIENCY = """apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: chaos}
spec:
  policies:
    timeouts: {short: 300ms, app: 700ms}
    retries:
      twice: {policy: constant, duration: 20ms, maxRetries: 2}
      ever: {policy: constant, duration: 30ms}
    circuitBreakers:
      quick: {maxRequests: 2, timeout: 200ms, trip: consecutiveFailures >= 4}
      slow: {maxRequests: 1, timeout: 400ms, trip: consecutiveFailures >= 6}
  targets:
    components:
      store: {inbound: {timeout: app, retry: ever, circuitBreaker: slow},
              outbound: {retry: twice, circuitBreaker: slow}}
      out: {outbound: {timeout: short, retry: twice, circuitBreaker: quick}}
      patient: {outbound: {timeout: short, retry: ever}}
      kept: {inbound: {timeout: app, retry: twice, circuitBreaker: quick}}
      again: {inbound: {timeout: app, circuitBreaker: slow}}
      tick: {inbound: {timeout: app, retry: twice, circuitBreaker: quick}}
"""
SOURCES = ("kept", "again")
OUTPUTS = ("out", "patient", "plain")


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.reached = collections.Counter()  # what the upstream took
        self.taken = collections.Counter()    # what the application took of the sources
        self.owed_out, self.owed_in = set(), set()
        self.faults, self.counts = [], collections.Counter()

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def missing(self):
        with self.lock:
            return (self.owed_out - set(self.reached)) | (self.owed_in - set(self.taken))


class Chaos(Inputs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for module in glob.glob(os.path.join(os.path.dirname(FAIRLEAD), "connectors", "*.so")):
            shutil.copy(module, os.path.join(cls.folder, "connectors"))

    def setUp(self):
        super().setUp()
        print(f"seed {SEED}, {SECONDS:.0f} s", flush=True)
        self.random = random.Random(SEED)
        self.ledger, self.is_calm, self.has_ended = Ledger(), False, False
        self.threads = []

    # --- the upstream

    def on_upstream(self, request, connection):
        number = request.body.decode()
        dice = 1 if self.is_calm else self.random.random()
        if dice < 0.08:
            return answer(500)
        if dice < 0.12:
            return upstream.reset(request, connection)
        if dice < 0.16:
            return upstream.CLOSE
        if dice < 0.20:
            time.sleep(0.5)
        with self.ledger.lock:
            self.ledger.reached[json.loads(number)] += 1
        if 0.20 < dice < 0.23:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return upstream.CLOSE
        return answer(200, number.encode())

    # --- the application

    def call(self, name, number):
        """The status of one call of an output binding; 0 when there is no answer."""
        body = {"operation": "post", "data": number, "metadata": {"path": "take"}}
        try:
            with Client(self.gate.address, timeout=60) as client:
                got = client.exchange("POST", f"/v1.0/bindings/{name}", json.dumps(body).encode())
        except (OSError, EOFError):
            return 0
        self.ledger.count(f"{name} {got.status}")
        if got.status == 200:
            if json.loads(got.body) != number:
                self.ledger.fault(f"the answer of {got.body!r} for {number!r}")
            with self.ledger.lock:
                self.ledger.owed_out.add(number)
                if number not in self.ledger.reached:
                    self.ledger.faults.append(f"200 for {number}, which was not there")
        return got.status

    def on_app(self, request):
        dice = 1 if self.is_calm else self.random.random()
        if request.method == "OPTIONS":
            return OK
        if dice < 0.10:
            return answer(500)
        if dice < 0.13:
            return CLOSE
        if dice < 0.16:
            return Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        if dice < 0.18:
            time.sleep(0.9)
        if request.path == "/t":
            return OK if self.call("plain", request.data) == 200 else answer(500)
        if request.path == "/tick":
            self.ledger.count("ticks")
            return OK if self.call("out", f"tick {request.at}") == 200 else answer(503)
        with self.ledger.lock:
            self.ledger.taken[json.loads(request.body)] += 1
        return OK

    # --- those who ask

    def start(self, work, *arguments):
        def run():
            number = 0
            own = random.Random(f"{SEED} {work.__name__} {arguments}")
            while not self.has_ended:
                number += 1
                try:
                    work(own, f"{work.__name__} {' '.join(arguments)} {number}", *arguments)
                except (OSError, EOFError):
                    time.sleep(0.01)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)

    def publishing(self, own, number, _):
        got = self.gate.publish("t", number, pubsub="store")
        self.ledger.count(f"publish {got.status}")
        if got.status == 204:
            with self.ledger.lock:
                self.ledger.owed_out.add(number)
        time.sleep(own.random() * 0.02)

    def calling(self, own, number, name):
        self.call(name, number)
        time.sleep(own.random() * 0.01)

    def leaving(self, own, number, name):
        """Asks and does not wait for the answer."""
        body = {"operation": "post", "data": number, "metadata": {"path": "take"}}
        with Client(self.gate.address) as client:
            client.send("POST", f"/v1.0/bindings/{name}", json.dumps(body).encode())
            time.sleep(own.random() * 0.05)
            if own.random() < 0.5:
                client.reset()

    def emitting(self, own, number, name):
        """Not while a hangup is under way: the source would take its events with it."""
        with self.may_emit:
            body = {"operation": "emit", "data": number,
                    "metadata": {"lane": str(own.choice((0, 0, 7, 8)))}}
            with Client(self.gate.address) as client:
                got = client.exchange("POST", f"/v1.0/bindings/{name}", json.dumps(body).encode())
            if got.status == 204:
                with self.ledger.lock:
                    self.ledger.owed_in.add(number)
        time.sleep(own.random() * 0.08)

    # --- what happens to all of them

    def trouble(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertIsNone(self.gate.process.poll(), self.gate.log()[-3000:])
            self.assertEqual(self.ledger.faults[:5], [])
            what = self.random.random()
            if what < 0.15:
                self.app_.stop()
                time.sleep(self.random.random() * 0.4)
                self.app_.start()
            elif what < 0.3:
                self.up.stop()
                time.sleep(self.random.random() * 0.4)
                self.up.start()
            elif what < 0.4:
                with self.may_emit:
                    self.order(self.gate, "down", name=self.random.choice(SOURCES),
                               ms=self.random.randrange(200))
            elif what < 0.5:
                self.gate.signal(signal.SIGUSR1)
            time.sleep(self.random.random() * 0.3)

    def hang_up(self):
        with self.may_emit:
            starts = self.gate.log().count("dapr initialized")
            self.gate.signal(signal.SIGHUP)
            self.gate.wait_for(lambda: self.gate.log().count("dapr initialized") > starts,
                               "it starts anew")
            with self.ledger.lock:
                self.ledger.owed_in &= set(self.ledger.taken)

    def is_at_rest(self):
        for name in ("fairlead_budget_used_bytes", "fairlead_in_flight", "fairlead_retry_waiting",
                     "fairlead_publish_waiting"):
            self.gate.wait_for(lambda n=name: self.gate.metric(n) == 0, f"{name} is 0", CALM_S)

        def is_idle():
            self.gate.signal(signal.SIGUSR1)
            states = re.findall(r"requests_under_way=(\d+)", self.gate.log())
            unsettled = re.findall(r"input binding binding=(?:kept|again) .*unsettled=(\d+)",
                                   self.gate.log())
            return states and unsettled and states[-1] == "0" and unsettled[-2:] == ["0", "0"]
        self.gate.wait_for(is_idle, "nothing is under way", CALM_S)

    def test_nothing_is_lost(self):
        self.may_emit = threading.Lock()
        self.up = upstream.Upstream()
        self.up.paths["/take"] = self.on_upstream
        self.apps.append(self.up.start())
        self.app_ = self.app(subscription("t", pubsub="store"), on_event=self.on_app)
        documents = [RESILIENCY, component("store", "pubsub.sqlite"),
                     binding("kept", hurries="true"), binding("again", redelivers="true"),
                     component("tick", "bindings.cron", schedule="@every 50ms")]
        documents += [upstream.http_binding(name, url=self.up.url, responseTimeout="20s")
                      for name in OUTPUTS]
        self.gate = self.inputs("--dapr-graceful-shutdown-seconds", "60", "--max-memory", "32Mi",
                                "--data-dir", "{folder}", app=self.app_, documents=documents)
        for work, names in ((self.publishing, ("a", "b")), (self.calling, OUTPUTS),
                            (self.leaving, ("out", "patient")), (self.emitting, SOURCES)):
            for name in names:
                self.start(work, name)
        for _ in range(3):
            self.trouble(SECONDS / 4)
            self.hang_up()
        self.trouble(SECONDS / 4)
        self.is_calm = True
        self.has_ended = True
        for thread in self.threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        ticks = self.ledger.counts["ticks"]
        self.gate.wait_for(lambda: not self.ledger.missing(), "what is owed comes", CALM_S)
        self.gate.wait_for(lambda: self.ledger.counts["ticks"] > ticks + 2, "it ticks", CALM_S)
        self.is_at_rest()
        self.end_with(self.gate)
        self.assertEqual(self.ledger.faults[:20], [])
        figure(f"chaos with bindings, {SECONDS:.0f} s, seed {SEED}: {len(self.ledger.owed_out)} "
               f"reached the upstream, {len(self.ledger.taken)} events were taken; "
               f"{dict(sorted(self.ledger.counts.items()))}")


if __name__ == "__main__":
    unittest.main()
