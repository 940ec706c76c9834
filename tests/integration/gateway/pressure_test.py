"""Bounds, each reached on purpose: the byte budget, the line of waiting publishes, connections,
the window.

Resident memory. `--max-memory` bounds what messages and bodies hold, so what is measured is the
growth of the process: the most that was ever resident (VmHWM) less what was resident when the
gateway was ready and idle (VmRSS). It has to stay under --max-memory + 10 %. Sanitizers keep freed
memory and shadows; in their build the budget's own figures are looked at and the growth is not.
"""
import collections
import itertools
import json
import os
import resource
import select
import socket
import sys
import time
import unittest

from harness import (IS_SANITIZED, OK, Client, Story, component, figure, metric_of, subscription,
                     wait_for)

MIB = 1024 * 1024


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def publish_bytes(topic, body, kind="application/json", query=""):
    return (f"POST /v1.0/publish/pubsub/{topic}{query} HTTP/1.1\r\nHost: h\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


class Flow:
    """One non-blocking connection of a Swarm."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setblocking(False)
        self.out = b""
        self.into = b""

    def write(self):
        """True while the kernel takes all."""
        while self.out:
            try:
                self.out = self.out[self.socket.send(self.out):]
            except BlockingIOError:
                return False
        return True

    def read(self):
        """Heads of complete answers, None at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return []
        except ConnectionError:
            return [None]
        self.into += data
        answers = [] if data else [None]
        while b"\r\n\r\n" in self.into:
            head, _, rest = self.into.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                break
            self.into = rest[length:]
            answers.insert(len(answers) - (not data), head)
        return answers


class Swarm:
    """Many connections and one thread. `statuses` counts what was answered, `refusals` keeps the
    heads of 429s, `ended` the connections that the gateway ended."""

    def __init__(self, address, count):
        self.poll = select.epoll()
        self.flows = {}
        self.statuses = collections.Counter()
        self.refusals = []
        self.ended = 0
        for _ in range(count):
            flow = Flow(address)
            self.flows[flow.socket.fileno()] = flow
            self.poll.register(flow.socket, select.EPOLLIN)

    def send(self, flow, data):
        flow.out += data
        if not flow.write():
            self.poll.modify(flow.socket, select.EPOLLIN | select.EPOLLOUT)

    def drop(self, flow):
        self.flows.pop(flow.socket.fileno(), None)
        flow.socket.close()

    def turn(self, on_answer=lambda flow: None, seconds=0.05):
        for number, events in self.poll.poll(seconds):
            flow = self.flows.get(number)
            if flow and events & select.EPOLLOUT:
                try:
                    if flow.write():
                        self.poll.modify(flow.socket, select.EPOLLIN)
                except ConnectionError:
                    flow.out = b""
            for head in flow.read() if flow and events & ~select.EPOLLOUT else ():
                if head is None:
                    self.ended += 1
                    self.drop(flow)
                    break
                status = int(head[9:12])
                self.statuses[status] += 1
                if status == 429:
                    self.refusals.append(head.decode("latin-1").lower())
                on_answer(flow)

    def close(self):
        for flow in list(self.flows.values()):
            self.drop(flow)
        self.poll.close()


class Pressure(Story):
    """`resident` is taken when the gateway is ready."""

    def start(self, app, memory, *flags, **more):
        gateway = self.gateway("--max-memory", f"{memory}", "--log-level", "warn", *flags, app=app,
                               **more)
        if app:
            gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        self.memory, self.idle = memory, gateway.memory_bytes("VmRSS")
        return gateway

    def swarm(self, gateway, count):
        swarm = Swarm(gateway.address, count)
        self.addCleanup(swarm.close)
        return swarm

    def used(self, gateway):
        return gateway.metric("fairlead_budget_used_bytes")

    def check_growth(self, gateway, what):
        most = gateway.memory_bytes("VmHWM")
        growth = most - self.idle
        figure(f"{what}: {most / MIB:.1f} MiB resident at most, {self.idle / MIB:.1f} idle, "
               f"growth {100 * growth / self.memory:.0f} % of --max-memory")
        if not IS_SANITIZED:
            self.assertLessEqual(growth, 1.1 * self.memory)

    def fill(self, gateway, topic, size):
        """Publishes until the budget has no room for one more."""
        body = publish_bytes(topic, b'"' + b"x" * (size - 2) + b'"')
        per_turn = max(1, 100000 // size)
        published = 0
        with Client(gateway.address) as client:
            while self.memory * 15 // 16 - self.used(gateway) > size + 2048:
                room = (self.memory * 15 // 16 - self.used(gateway)) // (size + 2048)
                count = int(min(room, per_turn))
                client.socket.sendall(body * count)
                for _ in range(count):
                    self.assertEqual(client.read().status, 204)
                published += count
        return published

    # --- the byte budget

    def test_closed_loop_publishers_are_slowed_down_and_see_no_error(self):
        """64 of them against a subscriber at a tenth of their rate."""
        memory, size = 16 * MIB, 32 * 1024
        pause = [0.0]
        waits = self.hold()

        def slow(_):
            waits.wait(pause[0])  # nobody sets it before the end: the subscriber's own slowness
            return OK

        app = self.app(subscription("t"), on_event=slow)
        gateway = self.start(app, memory, "--publish-wait", "30s")
        swarm = self.swarm(gateway, 64)
        numbers = itertools.count()
        goal = [600]

        def request(topic):
            body = json.dumps([next(numbers), "x" * size]).encode()
            return publish_bytes(topic, body)

        def run(topic):
            """A closed loop: each one publishes again when it is answered."""
            open_count = [0]

            def again(flow):
                open_count[0] -= 1
                if swarm.statuses[204] < goal[0]:
                    open_count[0] += 1
                    swarm.send(flow, request(topic))

            for flow in list(swarm.flows.values()):
                open_count[0] += 1
                swarm.send(flow, request(topic))
            gateway.wait_for(lambda: swarm.turn(again) or open_count[0] == 0, "the loops end")

        began = os.times().elapsed
        run("nobody")
        rate = swarm.statuses[204] / (os.times().elapsed - began)
        pause[0] = 10 / rate
        first = swarm.statuses[204]
        numbers = itertools.count()
        goal[0] = first + memory // size + 200  # beyond what the budget holds
        run("t")
        count = swarm.statuses[204] - first
        self.assertEqual(set(swarm.statuses), {204}, swarm.refusals[:1])
        self.assertEqual(swarm.ended, 0)
        held = self.used(gateway)
        self.assertGreater(held, 0.8 * memory, "the budget was never full")
        self.check_growth(gateway, f"closed loop, {rate:.0f}/s against {rate / 10:.0f}/s")
        pause[0] = 0
        app.wait_got("/t", count)
        # They publish at the same time, so only their number bounds who is before whom.
        self.assertLess(max(abs(at - r.data[0]) for at, r in enumerate(app.got("/t"))), 64)
        self.assertEqual({r.data[0] for r in app.got("/t")}, set(range(count)))
        self.assertEqual(len(app.got("/t")), count)
        gateway.wait_for(lambda: self.used(gateway) < 64 * 1024, "the budget is given back")

    def test_open_loop_publisher_gets_429_with_retry_after(self):
        """After --publish-wait and not before; a small message is not let past those who wait."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.start(app, 8 * MIB, "--publish-wait", "400ms")
        count = self.fill(gateway, "t", 64 * 1024)
        began = time.monotonic()
        swarm = self.swarm(gateway, 40)
        for number, flow in enumerate(list(swarm.flows.values())):
            swarm.send(flow, publish_bytes("t", b'"' + b"y" * (70000 if number < 20 else 10000) + b'"'))
        gateway.wait_for(lambda: swarm.turn() or sum(swarm.statuses.values()) == 40, "40 answers")
        self.assertGreater(time.monotonic() - began, 0.395)  # the loop's clock has milliseconds
        self.assertEqual(dict(swarm.statuses), {429: 40})
        for head in swarm.refusals:
            self.assertIn("\r\nretry-after: 1", head)
            self.assertIn("\r\ncontent-type: application/json", head)
        refused = gateway.publish("t", b'"' + b"y" * 70000 + b'"')
        self.assertEqual((refused.status, refused.json["errorCode"]),
                         (429, "ERR_PUBSUB_PUBLISH_MESSAGE"))
        self.assertEqual(gateway.metric("fairlead_refused_total", reason="bound"), 41)
        held.set()
        app.wait_got("/t", count)
        self.published(gateway, "t")
        app.wait_got("/t", count + 1)

    def test_resident_memory_is_bounded_whatever_the_size(self):
        """The budget filled with messages of one size: what is charged is what is held."""
        for size, memory in ((256, 16), (16 * 1024, 16), (300 * 1024, 16), (3 * MIB, 32)):
            with self.subTest(size=size):
                held = self.hold()
                app = self.app(subscription("t"), on_event=lambda request, h=held: h.wait() and OK)
                gateway = self.start(app, memory * MIB, "--publish-wait", "1ms")
                count = self.fill(gateway, "t", size)
                while gateway.publish("t", b'"' + b"x" * size + b'"').status == 204:
                    count += 1
                    self.assertLess(count, 2 * self.memory / size)
                self.assertGreater(self.used(gateway), 0.8 * self.memory)
                self.check_growth(gateway, f"{count} messages of {size} bytes")

    def test_slow_bodies_stay_inside_the_budget(self):
        """5,000 connections, each sending a body of 4 MiB slowly."""
        count, length, piece = 5000, 4 * MIB, b"x" * 4096
        if raise_descriptor_limit() < 2 * count + 1000:
            self.skipTest("too few descriptors are allowed")
        gateway = self.start(None, 64 * MIB, "--publish-wait", "60s")
        head = (f"POST /v1.0/publish/pubsub/t HTTP/1.1\r\nHost: h\r\n"
                f"Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n").encode()
        swarm = self.swarm(gateway, count)
        flows = list(swarm.flows.values())
        for number, flow in enumerate(flows):
            flow.left = length
            # Half of them begin with some of the body, half with the head alone.
            first = piece[:1000] if number % 2 else b""
            flow.left -= len(first)
            swarm.send(flow, head + first)
        swarm.turn()
        gateway.wait_for(lambda: gateway.metric("fairlead_connections") >= count - swarm.ended,
                         "all are accepted")
        for _ in range(4):
            for flow in flows:
                if flow.socket.fileno() >= 0 and not flow.out:
                    flow.left -= len(piece)
                    swarm.send(flow, piece)
            swarm.turn()
            self.assertLessEqual(self.used(gateway), self.memory)
        figure(f"while all send: {self.used(gateway) / MIB:.1f} MiB charged, "
               f"{dict(swarm.statuses)} answered")
        self.assertGreater(self.used(gateway), 0.8 * self.memory)
        self.assertLessEqual(set(swarm.statuses), {429})
        self.assertEqual(gateway.health(), 204)
        self.check_growth(gateway, "5,000 slow bodies")
        # Most give up; whoever stays gets through, in turn.
        for flow in flows[:-24]:
            if flow.socket.fileno() >= 0:
                swarm.drop(flow)
        swarm.statuses.clear()
        staying = list(swarm.flows.values())
        for flow in staying:
            swarm.send(flow, b"x" * flow.left)
        gateway.wait_for(lambda: swarm.turn() or not set(staying) & set(swarm.flows.values()) or
                         sum(swarm.statuses.values()) == len(staying), "those who stay are answered")
        self.assertEqual(dict(swarm.statuses), {204: len(staying)})
        self.check_growth(gateway, f"and {len(staying)} of them complete")
        gateway.wait_for(lambda: self.used(gateway) < 64 * 1024, "the budget is given back")

    def test_bodies_that_grow_as_events_do_not_pass_the_bound(self):
        """Seven bodies of 4 MiB find room together. Their control characters become six bytes
        each, and that is more room than there is: one event at most is made beyond it."""
        length = 4 * MIB
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.start(app, 32 * MIB, "--publish-wait", "300s")
        swarm = self.swarm(gateway, 7)
        head = (f"POST /v1.0/publish/pubsub/t HTTP/1.1\r\nHost: h\r\n"
                f"Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n").encode()
        for flow in swarm.flows.values():
            swarm.send(flow, head + b"\1")
        gateway.wait_for(lambda: self.used(gateway) >= 7 * length, "all seven found room")
        for flow in list(swarm.flows.values()):
            swarm.send(flow, b"\1" * (length - 1))
        gateway.wait_for(lambda: swarm.turn() or sum(swarm.statuses.values()) == 7, "seven answers")
        self.assertLessEqual(set(swarm.statuses), {204, 429})
        self.assertGreater(swarm.statuses[429], 0)
        self.assertLessEqual(self.used(gateway), self.memory)
        growth = gateway.memory_bytes("VmHWM") - self.idle
        figure(f"seven bodies that grow: {growth / MIB:.1f} MiB, {dict(swarm.statuses)}")
        if not IS_SANITIZED:
            self.assertLessEqual(growth, 1.1 * self.memory + 6 * length)

    # --- the line of waiting publishes

    def test_at_most_ten_thousand_publishes_wait(self):
        """The next one is refused at once, those who wait are served in the end."""
        most, connections, each = 10000, 160, 63
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.start(app, 192 * MIB, "--publish-wait", "300s")
        self.fill(gateway, "t", MIB)
        self.fill(gateway, "t", 16 * 1024)
        swarm = self.swarm(gateway, connections)
        request = publish_bytes("t", b"{}")
        for flow in swarm.flows.values():
            swarm.send(flow, request * each)
        gateway.wait_for(lambda: swarm.turn() or
                         gateway.metric("fairlead_publish_waiting") >= most, "10,000 wait")
        # A message for nobody waits like the others: the line is one.
        refused = gateway.publish("nobody")
        self.assertEqual((refused.status, refused.fields["retry-after"]), (429, "1"))
        self.assertEqual(gateway.metric("fairlead_publish_waiting"), most)
        held.set()
        gateway.wait_for(lambda: swarm.turn() or sum(swarm.statuses.values()) == connections * each,
                         "everyone is answered")
        figure(f"the line of waiting publishes: {dict(swarm.statuses)} of {connections * each}")
        self.assertEqual(set(swarm.statuses), {204, 429})
        self.assertLessEqual(swarm.statuses[429], connections * each - most)
        self.assertEqual(gateway.metric("fairlead_publish_waiting"), 0)

    def test_what_waits_is_bounded_in_bytes(self):
        """A sixteenth of --max-memory is for those who wait; beyond it they are refused at once."""
        memory, size = 32 * MIB, 8000
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.start(app, memory, "--publish-wait", "300s")
        self.fill(gateway, "t", MIB)
        self.fill(gateway, "t", 16 * 1024)
        self.fill(gateway, "t", 256)
        swarm = self.swarm(gateway, 600)
        for flow in swarm.flows.values():
            swarm.send(flow, publish_bytes("nobody", b'"' + b"x" * size + b'"'))
        least = 600 - memory // 16 // size
        gateway.wait_for(lambda: swarm.turn() or swarm.statuses[429] >= least, "some are refused")
        self.assertLessEqual(self.used(gateway), memory)
        self.assertGreaterEqual(gateway.metric("fairlead_publish_waiting"), 200)
        self.check_growth(gateway, "and 2 MiB that wait")
        held.set()
        gateway.wait_for(lambda: swarm.turn() or sum(swarm.statuses.values()) == 600,
                         "everyone is answered")
        self.assertEqual(set(swarm.statuses), {204, 429})

    # --- connections and the window

    def test_accepting_stops_at_max_connections_and_goes_on(self):
        gateway = self.start(None, 32 * MIB, "--max-connections", "20")
        gateway.wait_for(lambda: gateway.metric("fairlead_connections") == 0, "it is quiet")
        clients = [Client(gateway.address) for _ in range(20)]
        for client in clients:
            self.addCleanup(client.close)
            self.assertEqual(gateway.publish_on(client, "t").status, 204)
        late = Client(gateway.address)  # the kernel's line takes it
        self.addCleanup(late.close)
        late.send("GET", "/v1.0/healthz")
        for client in clients * 5:
            self.assertEqual(client.exchange("GET", "/v1.0/healthz").status, 204)
        self.assertEqual(gateway.metric("fairlead_connections"), 20)
        self.assertEqual(select.select([late.socket], [], [], 0)[0], [])
        clients.pop().close()
        self.assertEqual(late.read().status, 204)
        late.send("GET", "/v1.0/healthz")
        self.assertEqual(late.read().status, 204)

    def test_window_bounds_what_is_in_flight(self):
        """Parallel deliveries: 64 at the application, the others stay with the broker."""
        held = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: held.wait() and OK)
        gateway = self.start(app, 32 * MIB, documents=(component(concurrencyMode="parallel"),))
        for number in range(200):
            self.published(gateway, "t", number)
        gateway.wait_for(lambda: app.handling == 64, "the window is full")
        metrics = gateway.metrics()
        self.assertEqual(metric_of(metrics, "fairlead_in_flight"), 64)
        self.assertEqual(metric_of(metrics, "fairlead_window"), 64)
        held.set()
        app.wait_got("/t", 200)
        wait_for(lambda: app.handling == 0, "the application is done")
        self.assertEqual(app.most_handling, 64)
        self.assertEqual(sorted(r.data for r in app.got("/t")), list(range(200)))


if __name__ == "__main__":
    unittest.main()
