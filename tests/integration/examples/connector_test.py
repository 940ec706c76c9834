"""The example of a connector: built outside of the tree against installed headers, by the commands of
its page, and opened by the installed gateway.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD, OK, Story, component, subscription, verdict, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
HAS_MODULES = glob.glob(os.path.join(os.path.dirname(FAIRLEAD), "connectors", "*.so"))


def commands_of(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as text:
        return re.findall(r"^    (\S.*)$", re.sub(r"\\\n *", "", text.read()), re.M)


@unittest.skipUnless(HAS_MODULES, "this build has its connectors linked in")
@unittest.skipUnless(shutil.which("gcc") and shutil.which("make"), "no C compiler")
class Connector(Story):
    @classmethod
    def setUpClass(cls):
        """Installed by the first two commands of the page; the example is a copy of its own, so that
        nothing of the tree is beside it."""
        cls.folder = tempfile.mkdtemp(prefix="fairlead-connector-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.prefix = os.path.join(cls.folder, "prefix")
        cls.executable = os.path.join(cls.prefix, "bin", "fairlead")
        cls.example = os.path.join(cls.folder, "example")
        shutil.copytree(os.path.join(ROOT, "examples", "connector"), cls.example,
                        ignore=shutil.ignore_patterns("*.so"))
        cls.page = [cls.adapted(command) for command in commands_of("examples/connector/README.md")]
        built = os.path.relpath(os.path.dirname(FAIRLEAD), ROOT)
        cls.type(cls.page[0].replace("make ", f"make -s BUILD={built} ", 1), cwd=ROOT)
        cls.type(cls.page[1])

    @classmethod
    def adapted(cls, command):
        command = command.replace("/tmp/fairlead/", cls.prefix + "/")
        command = re.sub(r"/tmp/fairlead$", cls.prefix, command)
        return command.replace("examples/connector", cls.example)

    @classmethod
    def type(cls, command, cwd=None):
        """What it prints; its status has to be 0."""
        flags = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
        done = subprocess.run(command, shell=True, cwd=cwd or cls.folder, env=flags, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S,
                              check=False)
        if done.returncode:
            raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def setUp(self):
        super().setUp()
        self.messages = tempfile.mkdtemp(prefix="messages-", dir=self.folder)

    def run_gateway(self, app, **more):
        return self.gateway(app=app, executable=self.executable,
                            documents=(component(kind="pubsub.folder", path=self.messages),),
                            **more)

    def resources(self, path):
        """A folder with the component, for the commands that run no gateway."""
        folder = tempfile.mkdtemp(prefix="resources-", dir=self.folder)
        with open(os.path.join(folder, "pubsub.yaml"), "w", encoding="utf-8") as out:
            out.write(component(kind="pubsub.folder", path=path))
        return folder

    def files(self, part):
        return os.listdir(os.path.join(self.messages, "orders", "story", part))

    def test_the_gateway_knows_it(self):
        self.assertIn("The folder, from the root on", self.type(self.page[2]))
        self.assertIn("0 errors, 0 warnings", self.type(self.page[3]))
        listed = self.type(f"{self.executable} options")
        self.assertIn("pubsub.folder", listed)

    def test_check_says_what_is_wrong_with_a_path(self):
        with self.assertRaisesRegex(AssertionError, 'path "here" does not begin with /'):
            self.type(f"{self.executable} check {self.resources('here')}")

    def test_events_arrive_and_leave_no_file(self):
        app = self.app(subscription("orders"))
        gateway = self.run_gateway(app)
        for number in range(20):
            self.assertEqual(gateway.publish("orders", {"n": number}).status, 204)
        got = app.wait_got("/orders", 20)
        self.assertEqual(sorted(one.data["n"] for one in got), list(range(20)))
        wait_for(lambda: not self.files("ready") + self.files("taken"), "all is settled")

    def test_what_is_published_while_nobody_runs_waits(self):
        app = self.app(subscription("orders"))
        gateway = self.run_gateway(app)
        wait_for(lambda: os.path.isdir(os.path.join(self.messages, "orders", "story")), "a group")
        gateway.signal()
        self.assertEqual(gateway.wait_end(), 0)
        self.type(f"{self.executable} publish orders '{{}}' --resources-path "
                  f"{self.resources(self.messages)}")
        self.assertEqual(len(self.files("ready")), 1)
        self.run_gateway(app)
        app.wait_got("/orders", 1)

    def test_what_a_killed_gateway_had_comes_again(self):
        held = self.app(subscription("orders"), on_event=lambda request: verdict("RETRY"))
        first = self.run_gateway(held)
        self.assertEqual(first.publish("orders", {"n": 1}).status, 204)
        held.wait_got("/orders", 1)
        first.process.kill()
        first.wait_end()
        self.assertEqual(len(self.files("taken")), 1)
        second = self.app(subscription("orders"), on_event=lambda request: OK)
        self.run_gateway(second)
        self.assertEqual(second.wait_got("/orders", 1)[0].data, {"n": 1})
        wait_for(lambda: not self.files("ready") + self.files("taken"), "it is settled")

    def test_a_folder_that_cannot_be_made_is_tried_again(self):
        blocked = os.path.join(self.messages, "blocked")
        with open(blocked, "w", encoding="utf-8"):
            pass
        gateway = self.gateway(executable=self.executable, awaits=None, documents=(
            component(kind="pubsub.folder", path=blocked + "/inside"),))
        gateway.wait_for(lambda: gateway.health("healthz") is not None, "it listens")
        os.unlink(blocked)
        wait_for(lambda: os.path.isdir(blocked + "/inside/.owners"), "the folder is there")
        gateway.wait_for(lambda: gateway.publish("orders").status == 204, "a publish is taken")


if __name__ == "__main__":
    unittest.main()
