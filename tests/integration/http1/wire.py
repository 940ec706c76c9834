"""Raw sockets, answers read strictly, and the two servers the suite runs against.

`Echo` is tests/support/http_echo, a server on net/ alone, whose limits and times are switches.
`Gateway` is the gateway itself, with the limits it has. A test asks its target for a path that
takes a body and for the limits in force.
"""
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.environ.get("FAIRLEAD_ROOT") or os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
FAIRLEAD = os.environ.get("FAIRLEAD", "")
BUILD = os.path.abspath(os.environ.get("FAIRLEAD_BUILD") or
                        (os.path.dirname(FAIRLEAD) if FAIRLEAD else os.path.join(ROOT, "build")))
SOAK = os.environ.get("FAIRLEAD_SOAK") == "1"
SANITIZER = os.path.basename(BUILD)[len("build-"):].replace("address-undefined",
                                                            "address,undefined")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def archives(*folders):
    """This build's archives of those folders, made if they are old."""
    paths = [os.path.join(BUILD, f"lib{folder}.a") for folder in folders]
    goals = [os.path.relpath(path, ROOT) for path in paths]
    subprocess.run(["make", "-s", "SAN=" + SANITIZER] + goals, cwd=ROOT, check=True)
    return paths


def sanitize_flags():
    return [f"-fsanitize={SANITIZER}", "-fno-sanitize-recover=all"] if SANITIZER else []


def support_program(name):
    """Compiles tests/support/<name>.c against this build's archives; gives the program's path."""
    program = os.path.join(BUILD, "tests", "support", name)
    source = os.path.join(ROOT, "tests", "support", name + ".c")
    inputs = [source] + archives("net", "base")
    newest = max(map(os.path.getmtime, inputs))
    if os.path.exists(program) and os.path.getmtime(program) > newest:
        return program
    os.makedirs(os.path.dirname(program), exist_ok=True)
    fresh = f"{program}.{os.getpid()}"
    subprocess.run([os.environ.get("CC", "gcc"), "-std=c11", "-D_GNU_SOURCE", "-I.", "-g", "-O1",
                    "-Wall", "-Wextra", "-Werror"] + sanitize_flags() + inputs +
                   ["-luv", "-lssl", "-lcrypto", "-lpthread", "-o", fresh], cwd=ROOT, check=True)
    os.replace(fresh, program)
    return program


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        """The value, or None; more than one is a mistake of the server."""
        values = [value for key, value in self.fields if key == name]
        assert len(values) <= 1, (name, self.fields)
        return values[0] if values else None

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:80]!r}"


class Client:
    """One connection. What was read beyond an answer stays for the next."""

    def __init__(self, port, timeout=10, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def drip(self, data, size=1, pause=0.0):
        for at in range(0, len(data), size):
            self.socket.sendall(data[at:at + size])
            if pause:
                time.sleep(pause)
        return self

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def fill(self):
        """One read; False at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.bytes += data
        return bool(data)

    def rest(self):
        """Everything up to the end."""
        while self.fill():
            pass
        rest, self.bytes = self.bytes, b""
        return rest

    def is_silent(self, seconds):
        """True when nothing comes, not even the end, for so long."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self.bytes and not self.socket.recv(1, socket.MSG_PEEK) and False
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(timeout)

    def has_ended(self):
        return not self.bytes and not self.fill()

    def answer(self, is_head=False):
        while b"\r\n\r\n" not in self.bytes:
            if not self.fill():
                raise EOFError(f"the connection ended after {self.bytes!r}")
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
        assert match, lines[0]
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(": ")
            assert colon and re.fullmatch(r"[!-9;-~]+", name), line
            fields.append((name.lower(), value))
        answer = Answer(int(match[1]), fields, b"")
        length = int(answer.field("content-length") or 0)
        if not is_head and answer.status >= 200 and answer.status not in (204, 304):
            while len(self.bytes) < length:
                if not self.fill():
                    raise EOFError("the connection ended inside an answer's body")
            answer.body, self.bytes = self.bytes[:length], self.bytes[length:]
        return answer


class Server:
    """A process under test. `path` takes a body of any kind and answers 2xx."""

    process = None
    port = 0

    def connect(self, **more):
        return Client(self.port, **more)

    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def wait_for(self, claim, what, seconds=10):
        end = time.monotonic() + seconds
        while not claim():
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            assert self.process.poll() is None, "the server has ended"
            time.sleep(0.01)

    def head(self, *fields, path=None, method="POST", version="HTTP/1.1", host=True):
        lines = [f"{method} {path or self.path} {version}"] + (["Host: h"] if host else [])
        return ("\r\n".join(lines + list(fields)) + "\r\n\r\n").encode("latin-1")

    def request(self, body=b"", *fields, path=None, method="POST"):
        return self.head(f"Content-Length: {len(body)}", *fields, path=path, method=method) + body


class Echo(Server):
    path = "/echo"
    is_gateway = False

    def __init__(self, **switches):
        self.head_bytes = switches.get("head_bytes", 8192)
        self.body_bytes = switches.get("body_bytes", 4 * 1024 * 1024)
        words = []
        for name, value in switches.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen([support_program("http_echo")] + words,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline().split()
        assert line[:1] == [b"port"], line
        self.port = int(line[1])

    def stats(self):
        """connections, busy exchanges, clients gone, budget in use, budget's peak."""
        with self.connect() as client:
            return list(map(int, client.send(self.request(path="/stats")).answer().body.split()))

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=20)
        self.process.stdout.close()
        assert status == 0, f"http_echo ended with {status}"


COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: pubsub
spec:
  type: pubsub.in-memory
  version: v1
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway(Server):
    path = "/v1.0/publish/pubsub/t"
    is_gateway = True
    head_bytes = 8192
    body_bytes = 4 * 1024 * 1024

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="http1-")
        with open(os.path.join(self.folder.name, "pubsub.yaml"), "w", encoding="ascii") as out:
            out.write(COMPONENT)
        self.port = free_port()
        self.process = subprocess.Popen(
            [FAIRLEAD, "--app-id", "http1", "--dapr-http-port", str(self.port),
             "--dapr-grpc-port", str(free_port()), "--metrics-port", str(free_port()),
             "--dapr-listen-addresses", "127.0.0.1", "--resources-path", self.folder.name,
             "--log-level", "error"], stdout=sys.stderr, stdin=subprocess.DEVNULL)
        self.wait_for(self.is_ready, "the gateway is ready")

    def is_ready(self):
        try:
            url = f"http://127.0.0.1:{self.port}/v1.0/healthz"
            return urllib.request.urlopen(url, timeout=5).status == 204
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        status = self.process.wait(timeout=30)
        self.folder.cleanup()
        assert status == 0, f"the gateway ended with {status}"
