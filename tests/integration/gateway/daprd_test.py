"""The executable under the name daprd, as Dapr's command line uses it: the steps of `dapr run`, taken
one by one, since that program cannot be had here. It looks for RUNTIME/.dapr/bin/daprd, asks it for
its version, starts it with all its flags, connects to both ports before it starts an application
that has no port, writes what it knows into the metadata, and finds it again by the process's name.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD, Client, component, free_port, wait_for


class Daprd(unittest.TestCase):
    def setUp(self):
        self.runtime = tempfile.mkdtemp(prefix="fairlead-daprd-")
        self.addCleanup(shutil.rmtree, self.runtime, True)
        self.daprd = os.path.join(self.runtime, ".dapr", "bin", "daprd")
        self.resources = os.path.join(self.runtime, ".dapr", "components")
        os.makedirs(os.path.dirname(self.daprd))
        os.makedirs(self.resources)
        os.symlink(FAIRLEAD, self.daprd)
        with open(os.path.join(self.resources, "pubsub.yaml"), "w", encoding="utf-8") as out:
            out.write(component())
        self.log_path = os.path.join(self.runtime, "log")
        self.process = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def call(self, *arguments):
        return subprocess.run([self.daprd, *arguments], check=False, capture_output=True, text=True,
                              timeout=DEADLINE_S)

    def start(self, *more, app_port=0):
        """With the flags that `dapr run` gives, in its order."""
        self.http, self.grpc = free_port(), free_port()
        command = [self.daprd, "--app-protocol", "http", "--log-level", "info",
                   "--app-max-concurrency", "-1", "--placement-host-address", "localhost:50005",
                   "--resources-path", self.resources, "--max-body-size", "4Mi",
                   "--read-buffer-size", "4Ki", "--app-id", "orders", "--app-port", str(app_port),
                   "--dapr-http-port", str(self.http), "--dapr-grpc-port", str(self.grpc),
                   "--profile-port", "-1", "--metrics-port", str(free_port()),
                   "--dapr-internal-grpc-port", str(free_port()), *more]
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("DAPR_", "APP_", "NAMESPACE"))}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, env=clean)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_for(self, claim, what):
        def lives_and_claims():
            self.assertIsNone(self.process.poll(), self.log())
            return claim()
        return wait_for(lives_and_claims, what)

    @staticmethod
    def is_listening(address):
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
            probe.settimeout(DEADLINE_S)
            return probe.connect_ex(address) == 0

    def put(self, address, key, value):
        with Client(address) as client:
            self.assertEqual(client.exchange("PUT", f"/v1.0/metadata/{key}", value.encode()).status,
                             204)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=DEADLINE_S), 0, self.log())
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            self.assertNotIn(word, self.log())

    def test_version(self):
        done = self.call("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^\d+\.\d+\.\d+\n$")
        done = self.call("--build-info")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^Version: \S+\nGit Commit: \S+\nGit Version: \S+\n$")

    def test_words_are_no_commands(self):
        """As in daprd: what is no flag is ignored."""
        done = self.call("publish", "--log-level", "loud")
        self.assertEqual(done.returncode, 1)
        self.assertIn("invalid value for --log-level: loud", done.stdout)

    def test_usage_is_daprds(self):
        done = self.call("--no-such-flag")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "unknown flag: --no-such-flag\n")

    def test_an_application_without_a_port(self):
        self.start()
        for port in self.http, self.grpc:
            self.wait_for(lambda port=port: self.is_listening(("127.0.0.1", port)), f"port {port}")
        address = ("127.0.0.1", self.http)
        self.put(address, "cliPID", "4711")
        self.put(address, "appPID", "4712")
        self.put(address, "appCommand", "node app.js --x='y z'")
        self.put(address, "appLogPath", "")
        with Client(address) as client:
            document = client.exchange("GET", "/v1.0/metadata").json
        self.assertEqual(document["id"], "orders")
        self.assertEqual({key: document["extended"][key] for key in ("cliPID", "appPID",
                                                                     "appCommand")},
                         {"cliPID": "4711", "appPID": "4712", "appCommand": "node app.js --x='y z'"})
        self.wait_for(lambda: "dapr initialized. Status: Running." in self.log(), "the start's line")
        self.end()

    def test_its_name_is_found_among_processes(self):
        self.start()
        with open(f"/proc/{self.process.pid}/comm", encoding="ascii") as comm:
            wait_for(lambda: comm.seek(0) or comm.read() == "daprd\n", "the process is called daprd")
        self.wait_for(lambda: self.is_listening(("127.0.0.1", self.http)), "the API")
        self.end()

    def test_a_grpc_port_that_says_what_is_served(self):
        self.start()
        self.wait_for(lambda: self.is_listening(("127.0.0.1", self.grpc)), "the gRPC port")
        with Client(("127.0.0.1", self.grpc)) as client:
            answer = client.exchange("GET", "/")
        self.assertEqual(answer.status, 501)
        self.assertIn(b"gRPC is not served", answer.body)
        with socket.create_connection(("127.0.0.1", self.grpc), DEADLINE_S) as preface:
            preface.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            while preface.recv(4096):
                pass
        self.end()

    def test_a_grpc_port_that_is_taken_is_a_warning(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.start("--dapr-grpc-port", str(other.getsockname()[1]))
            self.wait_for(lambda: "dapr initialized" in self.log(), "it runs")
            self.assertIn("the gRPC port cannot be held: ", self.log())
            self.end()

    def test_unix_sockets(self):
        folder = os.path.join(self.runtime, "s")
        self.start("--unix-domain-socket", folder)
        for kind in "http", "grpc":
            path = os.path.join(folder, f"dapr-orders-{kind}.socket")
            self.wait_for(lambda path=path: os.path.exists(path) and self.is_listening(path), path)
        self.put(os.path.join(folder, "dapr-orders-http.socket"), "cliPID", "1")
        self.end()
        self.assertEqual(os.listdir(folder), [])

    def test_other_names_hold_no_grpc_port(self):
        os.symlink(FAIRLEAD, os.path.join(self.runtime, "other"))
        self.daprd = os.path.join(self.runtime, "other")
        self.start()
        self.wait_for(lambda: "dapr initialized" in self.log(), "it runs")
        self.assertFalse(self.is_listening(("127.0.0.1", self.grpc)))
        self.end()


if __name__ == "__main__":
    unittest.main()
