"""What black-box stories share: a gateway in a scratch folder, an application, a client.

`Story` is a unittest case whose gateways and applications end with the test: a gateway that was not
stopped by the test gets SIGTERM and has to end with status 0. `App` is an HTTP server whose answers
a test decides, one call a request: bytes are sent as they are, CLOSE ends the connection without an
answer, a Cut ends it in the middle of one, and a call that blocks holds the answer. Every request is
kept with the number of its connection and its place on it.

A test waits with `wait_for`, for a claim and never for a time.
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FAIRLEAD = os.environ.get("FAIRLEAD") or os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "fairlead"))
SOAK = os.environ.get("FAIRLEAD_SOAK") == "1"
IS_SANITIZED = "address" in os.path.basename(os.path.dirname(FAIRLEAD))
# Far beyond what any step takes; only a failing test comes near.
DEADLINE_S = float(os.environ.get("FAIRLEAD_DEADLINE_S", "60"))

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CLOSE = None
ZERO_TRACE = "00-" + 32 * "0" + "-" + 16 * "0" + "-00"


class Cut:
    """An answer of which only the start is sent; then the connection ends."""

    def __init__(self, start):
        self.start = start


def answer(status, body=b"", *fields):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}"] + list(fields)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def verdict(word):
    return answer(200, json.dumps({"status": word}).encode())


def wait_for(claim, what, seconds=DEADLINE_S):
    """The first true value of the claim."""
    end = time.monotonic() + seconds
    while True:
        value = claim()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)


def figure(text):
    """Said by the test; `make soak` keeps such lines."""
    print("\nfigure: " + text, file=sys.stderr)


_random = random.Random(os.getpid())


def free_port():
    """A port that nobody listens on, from below the range that the kernel gives to clients, so that
    no connection takes it in between."""
    while True:
        port = _random.randrange(10240, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def component(name="pubsub", kind="pubsub.in-memory", **metadata):
    """A Component document."""
    rows = "".join(f"\n  - {{name: {key}, value: {json.dumps(value)}}}"
                   for key, value in metadata.items())
    return (f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n"
            f"spec:\n  type: {kind}\n  version: v1\n" +
            (f"  metadata:{rows}\n" if metadata else ""))


def subscription(topic, route=None, pubsub="pubsub", **more):
    """An element of the answer to /dapr/subscribe. The usual route is /TOPIC."""
    return {"pubsubname": pubsub, "topic": topic, "route": route or "/" + topic, **more}


def resiliency(policies, targets, name="r"):
    """A Resiliency document: policies by kind and name, targets by component, each as a dict or as
    the text of a flow mapping, without its braces."""
    policies, targets = ("{%s}" % given if isinstance(given, str) else json.dumps(given)
                         for given in (policies, targets))
    return (f"apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {{name: {name}}}\nspec:\n"
            f"  policies: {policies}\n  targets: {{components: {targets}}}\n")


def by_method(options=OK, post=OK):
    """What the application does with questions and with events: an answer, or a call."""
    def on_event(request):
        chosen = options if request.method == "OPTIONS" else post
        return chosen(request) if callable(chosen) else chosen
    return on_event


class Request:
    def __init__(self, method, target, fields, body, connection, place):
        self.method, self.target, self.fields, self.body = method, target, fields, body
        self.path = target.split("?")[0]
        self.connection, self.place = connection, place  # place 0: the first on its connection
        self.at = time.monotonic()

    @property
    def event(self):
        return json.loads(self.body)

    @property
    def data(self):
        return self.event["data"]

    def __repr__(self):
        return f"{self.method} {self.target} #{self.connection}.{self.place} {self.body[:60]!r}"


class App:
    """An application. `on_event` answers every request but GET of the three known paths."""

    def __init__(self, *subscriptions, on_event=None, context=None, port=None):
        self.subscriptions = list(subscriptions)
        self.on_event = on_event or (lambda request: OK)
        self.on_health = lambda: 200
        self.context = context  # an ssl.SSLContext, or None
        self.port = port or free_port()
        self.lock = threading.Lock()
        self.requests = []  # everything that came, in order
        self.handling = self.most_handling = 0
        self.connection_count = 0
        self.sockets = {}  # open connections: socket -> True while a request is in work
        self.listener = None
        self.is_stopped = False

    # --- life

    def start(self):
        self.is_stopped = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(512)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Gone: nobody listens, every connection ends."""
        self.is_stopped = True
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.close_connections(lambda busy: True)
        wait_for(lambda: not self.sockets or all(self.sockets.values()), "connections end")

    def close_idle(self):
        self.close_connections(lambda busy: not busy)

    def close_connections(self, which):
        with self.lock:
            for connection, busy in self.sockets.items():
                if which(busy):
                    try:
                        connection.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

    # --- serving

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connection_count += 1
                number = self.connection_count
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with self.lock:
                self.sockets[connection] = False
                if self.is_stopped:
                    return
            self.converse(connection, number)
        except OSError:
            pass
        finally:
            with self.lock:
                self.sockets.pop(connection, None)
            connection.close()

    def converse(self, connection, number):
        with connection.makefile("rb") as stream:
            self.converse_on(stream, connection, number)

    def converse_on(self, stream, connection, number):
        place = 0
        while True:
            request = self.read(stream, number, place)
            if not request:
                return
            with self.lock:
                self.sockets[connection] = True
                self.requests.append(request)
            out = self.answer_to(request)
            if isinstance(out, Cut):
                connection.sendall(out.start)
            if out is CLOSE or isinstance(out, Cut):
                return
            connection.sendall(out)
            place += 1
            with self.lock:
                self.sockets[connection] = False

    @staticmethod
    def read(stream, number, place):
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            return None
        method, target, _ = line.decode("latin-1").split(" ")
        fields = {}
        while True:
            line = stream.readline()
            if line in (b"\r\n", b""):
                break
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        length = int(fields.get("content-length", "0"))
        body = stream.read(length)
        return Request(method, target, fields, body, number, place) if len(body) == length else None

    def answer_to(self, request):
        if request.method == "GET" and request.path == "/dapr/config":
            return answer(404)
        if request.method == "GET" and request.path == "/dapr/subscribe":
            body = json.dumps(self.subscriptions).encode()
            return answer(200, body, "Content-Type: application/json")
        if request.method == "GET":
            return answer(self.on_health())
        with self.lock:
            self.handling += 1
            self.most_handling = max(self.most_handling, self.handling)
        try:
            return self.on_event(request)
        finally:
            with self.lock:
                self.handling -= 1

    # --- looking

    def got(self, path=None, method="POST"):
        """What came so far at a path."""
        with self.lock:
            return [r for r in self.requests
                    if r.method == method and (path is None or r.path == path)]

    def wait_got(self, path, count, seconds=DEADLINE_S):
        """Waits until `count` events came at a path."""
        return wait_for(lambda: (lambda got: len(got) >= count and got)(self.got(path)),
                        f"{count} events at {path}", seconds)


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:200]!r}"


class Client:
    """One connection to an HTTP server; `exchange` sends a request and reads its answer."""

    def __init__(self, address, timeout=DEADLINE_S):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def reset(self):
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def send(self, method, target, body=b"", **fields):
        lines = [f"{method} {target} HTTP/1.1", "Host: h"]
        if body or method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return self

    def read(self):
        line = self.stream.readline()
        if not line:
            raise EOFError("the connection ended without an answer")
        status = int(line.split(b" ")[1])
        fields = {}
        while True:
            line = self.stream.readline().decode("latin-1")
            if line == "\r\n":
                break
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        length = int(fields.get("content-length", "0"))
        return Answer(status, fields, self.stream.read(length) if length else b"")

    def exchange(self, method, target, body=b"", **fields):
        return self.send(method, target, body, **fields).read()


def parse_metrics(text):
    """{name: {((label, value), ...): number}} of Prometheus text; anything else is an error."""
    sample = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
    label = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
    families = {}
    for line in text.splitlines():
        if not line or line.startswith("# HELP ") or line.startswith("# TYPE "):
            continue
        match = sample.match(line)
        assert match, f"not a sample: {line!r}"
        labels, rest = [], match.group(2) or ""
        while rest:
            pair = label.match(rest)
            assert pair, f"not labels: {line!r}"
            labels.append(pair.groups())
            rest = rest[pair.end():]
        series = families.setdefault(match.group(1), {})
        key = tuple(sorted(labels))
        assert key not in series, f"twice: {line!r}"
        series[key] = float(match.group(3))
    return families


def metric_of(metrics, name, **labels):
    wanted = set(labels.items())
    return sum(value for key, value in metrics.get(name, {}).items() if wanted <= set(key))


class Gateway:
    """A running gateway. `documents` are its resources, one file each; `env` is added to the
    environment, `environment` replaces it; `is_bare` takes the flags as the whole command line."""

    def __init__(self, *flags, app=None, documents=(component(),), env=None, environment=None,
                 is_bare=False, executable=FAIRLEAD, awaits="healthz"):
        self.folder = tempfile.mkdtemp(prefix="fairlead-")
        self.resources = os.path.join(self.folder, "resources")
        self.log_path = os.path.join(self.folder, "log")
        os.mkdir(self.resources)
        for number, document in enumerate(documents):
            with open(os.path.join(self.resources, f"{number:02}.yaml"), "w",
                      encoding="utf-8") as out:
                out.write(document)
        self.port, self.metrics_port = free_port(), free_port()
        self.address = ("127.0.0.1", self.port)
        command = [executable]
        if not is_bare:
            command += ["--app-id", "story", "--dapr-http-port", str(self.port),
                        "--dapr-grpc-port", str(free_port()),
                        "--metrics-port", str(self.metrics_port),
                        "--dapr-listen-addresses", "127.0.0.1",
                        "--metrics-listen-address", "127.0.0.1",
                        "--resources-path", self.resources]
            if app:
                command += ["--app-port", str(app.port)]
        command += [flag.replace("{folder}", self.folder) for flag in flags]
        if environment is None:
            environment = {name: value for name, value in os.environ.items()
                           if not name.startswith(("DAPR_", "APP_", "NAMESPACE"))}
        environment.update(env or {})
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        self.pid = self.process.pid
        if awaits:
            self.wait_for(lambda: self.health(awaits) == 204, f"{awaits} is 204")

    # --- looking

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_for(self, claim, what, seconds=DEADLINE_S):
        def lives_and_claims():
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n" +
                                     self.log()[-3000:])
            return claim()
        return wait_for(lives_and_claims, what, seconds)

    def wait_log(self, text, seconds=DEADLINE_S):
        wait_for(lambda: text in self.log(), f"log line {text!r}", seconds)

    def health(self, path="healthz"):
        """The status; None when nobody listens."""
        try:
            return self.get(f"/v1.0/{path}").status
        except (OSError, EOFError):
            return None

    def get(self, target, **fields):
        with Client(self.address) as client:
            return client.exchange("GET", target, **fields)

    def metrics(self):
        with Client(("127.0.0.1", self.metrics_port)) as client:
            return parse_metrics(client.exchange("GET", "/metrics").body.decode())

    def metric(self, name, **labels):
        """The sum of the series that have these labels."""
        return metric_of(self.metrics(), name, **labels)

    def memory_bytes(self, name):
        """VmRSS, or VmHWM: the most that was ever resident."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(name + r":\s+(\d+) kB", status.read()).group(1)) * 1024

    # --- doing

    def publish(self, topic, data=b"{}", pubsub="pubsub", query="", **fields):
        with Client(self.address) as client:
            return self.publish_on(client, topic, data, pubsub, query, **fields)

    @staticmethod
    def publish_on(client, topic, data=b"{}", pubsub="pubsub", query="", **fields):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        fields.setdefault("Content_Type", "application/json")
        return client.exchange("POST", f"/v1.0/publish/{pubsub}/{topic}{query}", body, **fields)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait_end(self, seconds=DEADLINE_S):
        """The exit status."""
        return self.process.wait(timeout=seconds)

    def end(self):
        """Gone for good; the status that it ended with, or was made to end with."""
        if self.process.poll() is None:
            self.signal()
            try:
                self.wait_end(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Story(unittest.TestCase):
    """A test whose gateways and applications end with it."""

    maxDiff = None

    def setUp(self):
        self.apps, self.gateways, self.holds = [], [], []
        self.addCleanup(self.end_all)

    def end_all(self):
        """What is held is let go first, so that gateways drain while applications still answer."""
        for hold in self.holds:
            hold.set()
        try:
            for gateway in self.gateways:
                self.finish(gateway)
        finally:
            for gateway in self.gateways:
                gateway.end()
            for app in self.apps:
                app.stop()

    def app(self, *subscriptions, start=True, **more):
        app = App(*subscriptions, **more)
        self.apps.append(app)
        return app.start() if start else app

    def gateway(self, *flags, **more):
        gateway = Gateway.__new__(Gateway)
        try:
            gateway.__init__(*flags, **more)
        finally:
            if hasattr(gateway, "process"):
                self.gateways.append(gateway)
        return gateway

    def finish(self, gateway):
        was_running = gateway.process.poll() is None
        status = gateway.end()
        log = gateway.log()
        shutil.rmtree(gateway.folder, ignore_errors=True)
        if self.has_failed():
            print(f"--- log of the gateway, which ended with {status}:\n{log[-6000:]}", flush=True)
        if was_running:
            self.assertEqual(status, 0, log[-3000:])
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            self.assertNotIn(word, log)

    def has_failed(self):
        outcome = getattr(self, "_outcome", None)
        return bool(outcome) and not outcome.success

    def hold(self):
        """An event that is set when the test ends, so that nothing stays held."""
        event = threading.Event()
        self.holds.append(event)
        return event

    def published(self, gateway, topic, data=b"{}", **more):
        got = gateway.publish(topic, data, **more)
        self.assertEqual(got.status, 204, got)


def make_certificate(folder):
    """A self-signed certificate of 127.0.0.1, as an ssl.SSLContext of a server."""
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
