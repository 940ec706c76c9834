"""Publishing in closed loops over many connections, the applications that receive it, and a ledger.

All sockets are served by one thread, since that is what a core of Python can do most with: a few
thousand messages a second, published and received. A test has one `Flood`; it starts groups of
`Publishers` and `Application`s on it, which outlive the gateways that they talk to.

The ledger knows each message by its number: what became of its publish, and when it was delivered
to whom. A body holds a checksum of the rest of it. An `Application` decides what to answer by its
`verdict`: bytes, or (seconds, bytes) to answer later, or None to keep the answer until `let_go`.
"""
import collections
import heapq
import itertools
import json
import os
import select
import socket
import threading
import time
import zlib

from harness import OK, free_port, wait_for

IN_AIR, ACKNOWLEDGED, REFUSED, UNKNOWN = range(4)
PAD = "0123456789abcdef" * 64


class Ledger:
    """What was sent and what came. Written by the flood's thread only."""

    def __init__(self):
        self.states = bytearray()  # by number
        self.came = collections.defaultdict(list)  # number -> [(instant, name of the application)]
        self.counts = [0, 0, 0, 0]  # by state; in air: all that was ever sent
        self.delivered_count = 0
        self.wrong = []  # what came and was never sent, or with another body
        self.statuses = collections.Counter()
        self.acknowledged = threading.Event()

    def new(self):
        self.states.append(IN_AIR)
        self.counts[IN_AIR] += 1
        return len(self.states) - 1

    def new_body(self):
        """For a message that the test publishes by itself: its number and body."""
        number = self.new()
        return number, body_of(number)

    def settle(self, number, state):
        self.states[number] = state
        self.counts[state] += 1

    def deliver(self, data, name):
        """False when it is none of ours."""
        number = data.get("n") if isinstance(data, dict) else None
        if (not isinstance(number, int) or not 0 <= number < len(self.states) or
                data.get("sum") != checksum(number, data.get("pad", ""))):
            self.wrong.append(data)
            return False
        self.came[number].append((time.monotonic(), name))
        self.delivered_count += 1
        return True

    # --- looking, from any thread

    @property
    def ok(self):
        return self.counts[ACKNOWLEDGED]

    def numbers(self, state):
        return [n for n, s in enumerate(self.states) if s == state]

    def owed(self):
        """Acknowledged and not delivered yet."""
        came = self.came
        return [n for n, s in enumerate(self.states) if s == ACKNOWLEDGED and n not in came]

    def twice(self):
        """{number: deliveries} of those that came more than once."""
        return {n: came for n, came in list(self.came.items()) if len(came) > 1}

    def wait_paid(self, seconds, what="all that was acknowledged is delivered"):
        try:
            wait_for(lambda: self.delivered_count >= self.ok and not self.owed(), what, seconds)
        except AssertionError as failure:
            owed = self.owed()
            raise AssertionError(f"{failure}; owed {len(owed)}: {owed[:20]}") from None


def checksum(number, pad):
    return zlib.crc32(f"{number}:{pad}".encode())


def body_of(number):
    pad = PAD[:number * 37 % 300]
    return b'{"n":%d,"sum":%d,"pad":"%s"}' % (number, checksum(number, pad), pad.encode())


class Flood:
    """The thread. `run_soon` has it call something; everything else of it is its own."""

    def __init__(self):
        self.epoll = select.epoll()
        self.handlers = {}  # descriptor -> function
        self.soon = collections.deque()
        self.later = []  # heap of (instant, number, function)
        self.numbers = itertools.count()
        self.wake_in, self.wake_out = os.pipe()
        os.set_blocking(self.wake_in, False)
        self.is_over = False
        self.failure = None
        self.watch(self.wake_in, lambda: os.read(self.wake_in, 4096))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def watch(self, fd, handler):
        self.handlers[fd] = handler
        self.epoll.register(fd, select.EPOLLIN)

    def forget(self, fd):
        if self.handlers.pop(fd, None):
            self.epoll.unregister(fd)

    def at(self, instant, function):
        heapq.heappush(self.later, (instant, next(self.numbers), function))

    def run_soon(self, function):
        self.soon.append(function)
        os.write(self.wake_out, b"!")

    def do(self, function):
        """The same, and waits for its result."""
        done, result = threading.Event(), []

        def work():
            try:
                result.append(function())
            finally:
                done.set()
        self.run_soon(work)
        assert done.wait(30), f"the flood's thread is stuck: {self.failure}"
        return result[0]

    def run(self):
        try:
            while not self.is_over:
                self.turn()
        except BaseException as failure:  # a test that waits in vain shows this one
            self.failure = failure
            raise

    def turn(self):
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            heapq.heappop(self.later)[2]()
        wait = max(0, self.later[0][0] - now) if self.later else 0.5
        for fd, _ in self.epoll.poll(wait):
            handler = self.handlers.get(fd)
            if handler:
                handler()
        while self.soon:
            self.soon.popleft()()

    def end(self):
        self.is_over = True
        self.run_soon(lambda: None)
        self.thread.join()
        self.epoll.close()
        os.close(self.wake_in)
        os.close(self.wake_out)


def read_some(connection):
    """Bytes; empty at the end; None when there is nothing."""
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def split_head(data):
    """(head, length of the body, where the body begins), or None when the head is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end])
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return head, length, end + 4


class Publishers:
    """Connections that publish in a closed loop: each has one message outstanding, always.

    `topic_of` and `query_of` get the message's number. A connection that breaks is not opened
    again, and what was outstanding on it is unknown; 5xx other than 503, and 429, are refusals, 504
    is unknown. A refused one is followed by a pause."""

    def __init__(self, flood, ledger, address, count, topic_of=lambda n: "ledger",
                 query_of=lambda n: "", pause_s=0.02, gap_s=0):
        self.flood, self.ledger, self.address = flood, ledger, address
        self.topic_of, self.query_of, self.pause_s, self.gap_s = topic_of, query_of, pause_s, gap_s
        self.is_stopping = False
        self.outstanding = {}  # socket -> number
        self.buffers = {}
        self.answered_at = []  # instants of 204s
        self.unknown_count = 0
        flood.do(lambda: [self.open() for _ in range(count)])

    def open(self):
        try:
            connection = socket.create_connection(self.address, timeout=5)
        except OSError:
            return  # it ended before it was reached
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.buffers[connection] = bytearray()
        self.flood.watch(connection.fileno(), lambda: self.on_readable(connection))
        self.send(connection)

    def send(self, connection):
        if self.is_stopping or connection not in self.buffers:
            self.close(connection)
            return
        number = self.ledger.new()
        body = body_of(number)
        head = (f"POST /v1.0/publish/pubsub/{self.topic_of(number)}{self.query_of(number)} "
                f"HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        self.outstanding[connection] = number
        try:
            connection.send(head.encode() + body)
        except OSError:
            self.unknown_count -= 1  # it was not outstanding, since it never left
            self.close(connection)

    def close(self, connection):
        number = self.outstanding.pop(connection, None)
        if number is not None:
            self.ledger.settle(number, UNKNOWN)
            self.unknown_count += 1
        if self.buffers.pop(connection, None) is not None:
            self.flood.forget(connection.fileno())
            connection.close()

    def on_readable(self, connection):
        data = read_some(connection)
        if data is None:
            return
        if not data:
            self.close(connection)
            return
        buffer = self.buffers[connection]
        buffer += data
        parts = split_head(buffer)
        if not parts or len(buffer) < parts[1] + parts[2]:
            return
        del buffer[:parts[1] + parts[2]]
        self.on_answer(connection, int(parts[0][9:12]))

    def on_answer(self, connection, status):
        number = self.outstanding.pop(connection)
        self.ledger.statuses[status] += 1
        if status == 204:
            self.ledger.settle(number, ACKNOWLEDGED)
            self.answered_at.append(time.monotonic())
        else:
            self.ledger.settle(number, UNKNOWN if status == 504 else REFUSED)
        pause = self.gap_s if status == 204 else self.pause_s
        if pause:
            self.flood.at(time.monotonic() + pause, lambda: self.send(connection))
        else:
            self.send(connection)

    # --- from the test's thread

    def stop(self, seconds=30):
        """Sends nothing more and waits for what is outstanding."""
        self.is_stopping = True
        wait_for(lambda: not self.outstanding, "the publishers' answers", seconds)
        self.flood.do(lambda: [self.close(c) for c in list(self.buffers)])

    def lose(self, seconds=30):
        """After a kill: all connections break. How many publishes were outstanding."""
        wait_for(lambda: not self.buffers, "the publishers' connections break", seconds)
        return self.unknown_count


class Delivery:
    """A request that came."""

    def __init__(self, path, event, connection):
        self.path, self.event, self.connection = path, event, connection

    @property
    def number(self):
        return self.event["data"]["n"]


class Application:
    """Receives from any number of gateways. `verdict(delivery)` decides the answer."""

    def __init__(self, flood, ledger, *subscriptions, name="app", verdict=None):
        self.flood, self.ledger, self.name = flood, ledger, name
        self.subscriptions = json.dumps(list(subscriptions)).encode()
        self.verdict = verdict or (lambda delivery: OK)
        self.delivered_at = []
        self.held = []
        self.port = free_port()
        self.buffers = {}
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.listener.setblocking(False)
        flood.do(lambda: flood.watch(self.listener.fileno(), self.on_connection))

    def on_connection(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.buffers[connection] = bytearray()
        self.flood.watch(connection.fileno(), lambda: self.on_readable(connection))

    def close(self, connection):
        if self.buffers.pop(connection, None) is not None:
            self.flood.forget(connection.fileno())
            connection.close()

    def on_readable(self, connection):
        data = read_some(connection)
        if data is None:
            return
        if not data:
            self.close(connection)
            return
        buffer = self.buffers[connection]
        buffer += data
        parts = split_head(buffer)
        if parts and len(buffer) >= parts[1] + parts[2]:
            body = bytes(buffer[parts[2]:parts[1] + parts[2]])
            del buffer[:parts[1] + parts[2]]
            self.on_request(connection, parts[0], body)

    def on_request(self, connection, head, body):
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if method == "GET":
            known = self.subscriptions if path == "/dapr/subscribe" else b"{}"
            self.answer(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    b"Content-Length: %d\r\n\r\n" % len(known) + known)
            return
        event = json.loads(body)
        if not self.ledger.deliver(event.get("data"), self.name):
            self.answer(connection, OK)
            return
        self.delivered_at.append(time.monotonic())
        delivery = Delivery(path, event, connection)
        out = self.verdict(delivery)
        if out is None:
            self.held.append(delivery)
        elif isinstance(out, tuple):
            self.flood.at(time.monotonic() + out[0], lambda: self.answer(connection, out[1]))
        else:
            self.answer(connection, out)

    def answer(self, connection, out):
        if connection not in self.buffers:
            return
        try:
            connection.send(out)
        except OSError:
            self.close(connection)

    # --- from the test's thread

    def let_go(self, out=OK):
        """Answers all that is held."""
        def work():
            held, self.held = self.held, []
            for delivery in held:
                self.answer(delivery.connection, out)
        self.flood.do(work)

    def stop(self):
        def work():
            self.flood.forget(self.listener.fileno())
            self.listener.close()
            for connection in list(self.buffers):
                self.close(connection)
        self.flood.do(work)
