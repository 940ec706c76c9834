"""The examples, run by the commands of their pages: what a page says to type is read from it, and only
ports and the executable's place are others here.
"""
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD, Client, free_port, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def commands_of(page):
    """The indented lines of a page outside of fences; what ends in a backslash goes on."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as text:
        plain = re.sub(r"```.*?```", "", text.read(), flags=re.S)
    lines = re.findall(r"^    (.*)$", re.sub(r"\\\n *", "", plain), re.M)
    return [re.sub(r"  +# .*$", "", line).strip() for line in lines]


class Example(unittest.TestCase):
    """A folder with a copy of the examples; `type` runs a command of the page there."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fairlead-examples-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        shutil.copytree(os.path.join(ROOT, "examples"), os.path.join(self.folder, "examples"))
        self.home = os.path.join(self.folder, "home")
        self.log_path = os.path.join(self.folder, "log")
        self.ports = {port: str(free_port()) for port in ("3500", "9090", "6000", "6001", "6002")}
        self.processes = []
        self.addCleanup(self.end)
        self.adapt()

    def adapt(self):
        """The resources name the application's port."""
        for folder, _, names in os.walk(os.path.join(self.folder, "examples")):
            for name in names:
                if name.endswith(".yaml"):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as given:
                        text = self.with_ports(given.read())
                    with open(path, "w", encoding="utf-8") as out:
                        out.write(text)

    def with_ports(self, text):
        return re.sub(r"\b(%s)\b" % "|".join(self.ports), lambda m: self.ports[m.group()], text)

    def adapted(self, command):
        built = os.path.dirname(FAIRLEAD)
        command = self.with_ports(command).replace("build/fairlead", shlex.quote(FAIRLEAD), 1)
        return command.replace("build/examples/", shlex.quote(built) + "/examples/")

    def environment(self):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("DAPR_", "APP_", "NAMESPACE", "XDG_"))}
        return {**clean, "HOME": self.home}

    def call(self, command):
        return subprocess.run(self.adapted(command), shell=True, cwd=self.folder,
                              env=self.environment(), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)

    def type(self, command):
        """What it prints; its status has to be 0."""
        done = self.call(command)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, command):
        """`fairlead run …` in a terminal of its own, which shows what it prints."""
        command = self.adapted(command).replace(" run ", (
            f" run --dapr-http-port {self.ports['3500']} --metrics-port {self.ports['9090']} "), 1)
        try:
            self.terminal, theirs = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had: {error}")
        self.addCleanup(os.close, self.terminal)
        with open(self.log_path, "ab") as log:
            process = subprocess.Popen(["setsid", "--ctty", "--wait", *shlex.split(command)],
                                       cwd=self.folder, stdin=theirs, stdout=log,
                                       stderr=subprocess.STDOUT, env=self.environment())
        os.close(theirs)
        self.processes.append(process)
        self.wait_for(self.is_ready, "healthz is 204")

    def is_ready(self):
        try:
            with Client(("127.0.0.1", int(self.ports["3500"]))) as client:
                return client.exchange("GET", "/v1.0/healthz").status == 204
        except (OSError, EOFError):
            return False

    def start_alone(self, command):
        """The gateway beside an application that runs already: two commands."""
        application, command = command
        with open(self.log_path, "ab") as log:
            for one in (application.removesuffix(" &"), command +
                        f" --dapr-http-port {self.ports['3500']} --metrics-port "
                        f"{self.ports['9090']} --dapr-listen-addresses 127.0.0.1"):
                self.processes.append(subprocess.Popen(
                    shlex.split(self.adapted(one)), cwd=self.folder, stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, env=self.environment(), start_new_session=True))
        self.wait_for(self.is_ready, "healthz is 204")

    def stop(self):
        """Ctrl-C in its terminal, which tells the application too; its status is the run's."""
        process = self.processes.pop()
        os.write(self.terminal, b"\x03")
        self.assertIn(process.wait(timeout=DEADLINE_S), (0, 128 + signal.SIGINT), self.log())
        self.assertIn("Daprd shutdown gracefully", self.log())

    def end(self):
        """What a failure left: the gateway leads a group that has the application in it."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_for(self, claim, what):
        def lives_and_claims():
            if self.processes and self.processes[-1].poll() is not None:
                raise AssertionError("the gateway ended:\n" + self.log()[-3000:])
            return claim()
        return wait_for(lives_and_claims, what)

    def wait_log(self, text):
        self.wait_for(lambda: text in self.log(), f"{text!r} in the log")


class Readme(Example):
    """The five minutes of the first page."""

    def setUp(self):
        super().setUp()
        self.page = commands_of("README.md")
        first = next(i for i, command in enumerate(self.page) if " run " in command)
        self.assertEqual(self.page[first - 1], "make setup && make")
        del self.page[:first]

    def next(self, start):
        command = self.page.pop(0)
        self.assertTrue(command.startswith(start), command)
        return command

    def events(self):
        return [json.loads(line[len("== APP == "):])["data"] for line in self.log().splitlines()
                if line.startswith("== APP == {")]

    def test_as_the_page_says(self):
        self.messages()
        self.bindings()
        self.alone()
        self.assertEqual(self.page, [])

    def messages(self):
        run = self.next("build/fairlead run --app-id tour")
        self.start(run)
        self.assertRegex(self.type(self.next("build/fairlead publish")), r"^[0-9a-f-]{36}\n$")
        self.assertIn("204 No Content", self.type(self.next("curl -i -d")))
        self.wait_for(lambda: self.events() == [{"order": 1}, {"order": 2}], "two events")
        self.stop()
        self.type(self.next("build/fairlead publish"))
        waiting = self.type(self.next("build/fairlead peek"))
        self.assertEqual(json.loads(waiting)["event"]["data"], {"order": 3})
        self.start(run)
        self.wait_for(lambda: {"order": 3} in self.events(), "the third one")
        self.assertIn("204 No Content", self.type(self.next("curl -i -d 'in words'")))
        self.type(self.next("build/fairlead publish"))
        self.assertIn('"subscriptions"', self.type(self.next("curl localhost:3500/v1.0/metadata")))
        self.assertIn("fairlead_published_total", self.type(self.next("curl localhost:9090")))
        self.assertIn("Usage:", self.type(self.next("build/fairlead help")))
        self.wait_for(lambda: {"order": 4} in self.events(), "the delayed one")
        self.assertEqual(self.events(), [{"order": 1}, {"order": 2}, {"order": 3}, "in words",
                                         {"order": 4}])
        self.stop()

    def bindings(self):
        self.assertIn("0 errors", self.type(self.next("build/fairlead check")))
        self.start(self.next("build/fairlead run"))
        self.wait_log("== APP == report-1.json")
        self.assertIn("200 OK", self.type(self.next("curl -i")))
        self.assertIn("report-1.json", self.type(self.next("curl")))
        self.assertIn("schedule", self.type(self.next("build/fairlead options")))
        self.stop()

    def alone(self):
        self.start_alone((self.next("build/examples/subscriber"), self.next("build/fairlead")))
        with Client(("127.0.0.1", int(self.ports["3500"]))) as client:
            listed = client.exchange("GET", "/v1.0/metadata").json
        self.assertEqual([one["topic"] for one in listed["subscriptions"]], ["orders"])


class Bindings(Example):
    def test_as_its_page_says(self):
        page = commands_of("examples/bindings/README.md")
        self.assertEqual(page.pop(0), "make")
        self.assertIn("0 errors, 0 warnings", self.type(page.pop(0)))
        self.start(page.pop(0))
        self.wait_log("== APP == report-2.json: {'apples': 12, 'pears': 7}")
        self.wait_log("Recovered processing operation component[stock] output after 2 attempts")
        called, listed, got, state = (self.type(command) for command in page)
        self.assertTrue(called.startswith("HTTP/1.1 200 OK"), called)
        self.assertIn("Metadata.statusCode: 200", called)
        reports = os.path.join(self.folder, "build", "reports")
        self.assertIn(f"{reports}/report-1.json", json.loads(listed))
        self.assertEqual(json.loads(got), {"apples": 12, "pears": 7})
        self.assertEqual([one["state"] for one in json.loads(state)["fairlead"]["inputBindings"]],
                         ["reading"])
        self.stop()


class DaprFolder(Example):
    def test_as_its_page_says(self):
        page = commands_of("examples/dapr-folder/README.md")
        self.assertEqual(page.pop(0), "make")
        said = self.type(page.pop(0))
        self.assertIn("statestore (state.redis/v1): it is skipped", said)
        self.assertIn("0 errors, 1 warning", said)
        self.start(page.pop(0))
        self.type(page.pop(0))
        self.wait_log("== APP == orders: {'items': 3}")
        self.type(page.pop(0))
        self.type(page.pop(0))
        self.wait_log("== APP == cancellations: {'items': 3}")
        peek = page.pop(0)
        dead = self.wait_for(lambda: self.call(peek).stdout, "a dead letter")
        self.assertEqual(json.loads(dead)["event"]["data"], {"items": 0})
        self.assertEqual(self.log().count("== APP == refused: {'items': 0}"), 3)
        self.assertEqual(page, [])
        self.stop()


if __name__ == "__main__":
    unittest.main()
