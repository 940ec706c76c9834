"""The subcommands: `fairlead run` with an application beside the gateway, `publish` and `peek` without a
running gateway. What needs pubsub.sqlite is skipped in a build that has no such connector."""
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from harness import (DEADLINE_S, FAIRLEAD, OK, Client, Story, component, free_port, subscription,
                     wait_for)

# An application of `run`: serves topic t, says what it gets, and how it is told to end.
APP = r'''
import http.server, json, os, signal, sys, threading, time
def say(*words):
    print(*words, flush=True)
def told(number, frame):
    say("told", number)
    if "deaf" not in sys.argv:
        os._exit(int(os.environ.get("STATUS", "0")))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        known = self.path == "/dapr/subscribe"
        self.reply(200 if known else 404, json.dumps(
            [{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]).encode() if known else b"")
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        say("got", json.dumps(event["data"]))
        time.sleep(float(os.environ.get("WORK_S", "0")))
        self.reply(200)
        say("done", json.dumps(event["data"]))
    def log_message(self, *_):
        pass
signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGINT, told)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
say("process", os.getpid())
while True:
    time.sleep(100)
'''


def environment(**more):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("DAPR_", "APP_", "NAMESPACE", "XDG_"))}
    clean.update(more)
    return clean


def has_sqlite():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([FAIRLEAD, "publish", "--data-dir", folder, "t", "x"], check=False,
                              capture_output=True, text=True, timeout=DEADLINE_S)
    return "no connector serves pubsub.sqlite" not in done.stderr


needs_sqlite = unittest.skipUnless(has_sqlite(), "this build has no connector for pubsub.sqlite")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class CommandStory(Story):
    """A test in a scratch folder, with resources in `r` (pubsub.in-memory) and data in `data`."""

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="fairlead-cli-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.write("r/pubsub.yaml", component())
        self.write("app.py", APP)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)

    def call(self, *arguments, stdin="", **env):
        """A command that ends by itself."""
        done = subprocess.run([FAIRLEAD, *arguments], check=False, capture_output=True, text=True,
                              input=stdin, cwd=self.folder, env=environment(**env),
                              timeout=DEADLINE_S)
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            self.assertNotIn(word, done.stderr)
        return done

    def publish(self, *arguments, stdin=""):
        return self.call("publish", "--data-dir", "data", *arguments, stdin=stdin)

    def peek(self, *arguments):
        done = self.call("peek", "--data-dir", "data", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *arguments, stdin=subprocess.DEVNULL, **env):
        return Running(self, arguments, stdin, env)


class Running:
    """`fairlead run` that goes on; it has ended when the test has."""

    def __init__(self, story, arguments, stdin, env):
        self.story = story
        self.log_path = story.path(f"log{time.monotonic_ns()}")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([FAIRLEAD, "run", *arguments], stdin=stdin, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=story.folder,
                                            env=environment(**env))
        self.pid = self.process.pid
        story.addCleanup(self.end)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def app_lines(self):
        return [line[10:] for line in self.log().splitlines() if line.startswith("== APP == ")]

    def wait_log(self, text):
        def claim():
            found = text in self.log()
            if not found and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log()}")
            return found
        wait_for(claim, f"log has {text!r}")

    def port(self):
        self.wait_log("HTTP server is running on port ")
        return int(re.search(r"HTTP server is running on port (\d+)", self.log()).group(1))

    def app_pid(self):
        self.wait_log("== APP == process ")
        return int(re.search(r"== APP == process (\d+)", self.log()).group(1))

    def publish(self, topic, data):
        with Client(("127.0.0.1", self.port())) as client:
            got = client.exchange("POST", f"/v1.0/publish/pubsub/{topic}", json.dumps(data).encode(),
                                  Content_Type="application/json")
        self.story.assertEqual(got.status, 204, got)

    def wait_subscribed(self):
        self.wait_log("app is subscribed to the following topics")
        self.wait_log("dapr initialized")

    def wait_end(self):
        status = self.process.wait(timeout=DEADLINE_S)
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            self.story.assertNotIn(word, self.log())
        return status

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.story.has_failed():
            print(f"--- log of fairlead run:\n{self.log()[-6000:]}", flush=True)


class Words(CommandStory):
    def test_help_and_version(self):
        for arguments, text in ((["help"], "fairlead run [FLAGS]"),
                                (["help", "peek"], "-n, --count int"),
                                (["run", "--help"], "Starts the gateway and the command"),
                                (["publish", "-h"], "-m, --metadata key=value"),
                                (["version"], "Fairlead ")):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(text, done.stdout)

    def test_mistakes(self):
        for arguments, status, text in (
                (["rnu"], 2, 'unknown command "rnu"; the nearest known one is run'),
                (["run", "--app-prt", "1"], 2, "The nearest known flag is --app-port"),
                (["run", "-f", "x", "true"], 1, "--run-file and --kubernetes are refused"),
                (["publish"], 1, "which topic? none is named"),
                (["publish", "--max-memory", "1", "t", "x"], 1,
                 "fairlead publish: Failed to parse flags: invalid value for --max-memory"),
                (["peek", "t", "--app-id", "a.b"], 1,
                 "fairlead peek: parameter app-id cannot contain dots")):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, status, done)
                self.assertIn(text, done.stdout + done.stderr)


class AtWork(CommandStory):
    def test_what_the_command_is_given(self):
        port, metrics = free_port(), free_port()
        done = self.call("run", "-d", "r", "-a", "me", "-p", "1234", "-H", str(port),
                         "--metrics-port", str(metrics), "--", "sh", "-c",
                         "env | grep -E '^(APP|DAPR)_' | sort; ulimit -n; cat; echo oops >&2; exit 3",
                         stdin="typed\nhalf a line", APP_ID="stale")
        lines = [line[10:] for line in done.stdout.splitlines() if line.startswith("== APP == ")]
        variables = dict(line.split("=", 1) for line in lines if "=" in line)
        grpc = variables.pop("DAPR_GRPC_PORT")
        self.assertGreater(int(grpc), 0)
        self.assertEqual(variables, {
            "APP_ID": "me", "APP_PORT": "1234", "APP_PROTOCOL": "http",
            "APP_CHANNEL_ADDRESS": "127.0.0.1", "DAPR_HTTP_PORT": str(port),
            "DAPR_METRICS_PORT": str(metrics), "DAPR_HTTP_ENDPOINT": f"http://127.0.0.1:{port}"})
        self.assertEqual(lines[-3:], [str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), "typed",
                                      "half a line"])
        self.assertIn("== APP == oops\n", done.stderr)
        self.assertEqual(done.returncode, 3)

    def test_the_folder_gives_the_name(self):
        os.mkdir(self.path("my.shop"))
        done = subprocess.run([FAIRLEAD, "run", "-d", "../r", "sh", "-c", "echo $APP_ID"],
                              check=False, capture_output=True, text=True, env=environment(),
                              cwd=self.path("my.shop"), timeout=DEADLINE_S)
        self.assertIn("== APP == my-shop\n", done.stdout)
        self.assertIn("the current folder's name is used", done.stdout)

    def test_a_command_that_cannot_be_started(self):
        for command, status in (("no-such-command", 127), (self.folder, 126)):
            done = self.call("run", "-d", "r", command)
            self.assertEqual(done.returncode, status)
            self.assertIn(f"cannot start {command}: ", done.stdout)

    def test_a_gateway_that_fails_starts_nothing(self):
        self.write("bad/x.yaml", component(kind="pubsub.in-memori"))
        done = self.call("run", "-d", "bad", "touch", "started")
        self.assertEqual(done.returncode, 1)
        self.assertIn("pubsub.in-memori", done.stdout)
        self.assertFalse(os.path.exists(self.path("started")))

    def test_ports_that_are_taken_are_left(self):
        """Each of several at once finds ports of its own."""
        runs = [self.start("-d", "r", "-a", f"a{i}") for i in range(3)]
        for run in runs:
            run.wait_log("dapr initialized")
        ports = [run.port() for run in runs]
        self.assertEqual(len(set(ports)), 3)
        taken = [run for run in runs if "is taken: the API's is" in run.log()]
        self.assertGreaterEqual(len(taken), 2)
        for run in runs:
            run.process.terminate()
        self.assertEqual([run.wait_end() for run in runs], [0, 0, 0])

    def test_messages_reach_the_command(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--", sys.executable, "app.py")
        run.wait_subscribed()
        run.publish("t", {"a": 1})
        run.wait_log('== APP == done {"a": 1}')
        app = run.app_pid()
        run.process.terminate()
        self.assertEqual(run.wait_end(), 0)
        self.assertEqual(run.app_lines()[-1], f"told {int(signal.SIGTERM)}")
        self.assertFalse(is_running(app))
        self.assertIn("Daprd shutdown gracefully", run.log())

    def test_what_is_in_work_ends_before_the_command_is_told(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--", sys.executable, "app.py",
                         WORK_S="0.5", STATUS="7")
        run.wait_subscribed()
        run.publish("t", 1)
        run.wait_log("== APP == got 1")
        run.process.terminate()
        self.assertEqual(run.wait_end(), 7)
        self.assertEqual(run.app_lines()[-2:], ["done 1", f"told {int(signal.SIGTERM)}"])

    def test_a_command_that_does_not_end_is_killed(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--dapr-graceful-shutdown-seconds", "1",
                         "--", sys.executable, "app.py", "deaf")
        run.wait_subscribed()
        run.process.send_signal(signal.SIGINT)
        self.assertEqual(run.wait_end(), 128 + signal.SIGKILL)
        self.assertIn(f"== APP == told {int(signal.SIGINT)}", run.log())
        self.assertFalse(is_running(run.app_pid()))

    def test_a_second_signal_ends_all_at_once(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--dapr-graceful-shutdown-seconds", "0",
                         "--", "sh", "-c", f"{sys.executable} app.py deaf; true")
        run.wait_subscribed()
        app = run.app_pid()
        run.process.terminate()
        run.wait_log("beginning shutdown")
        run.process.terminate()
        self.assertEqual(run.wait_end(), 1)
        self.assertFalse(is_running(app))

    def test_a_killed_run_leaves_no_command(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--", sys.executable, "app.py", "deaf")
        run.wait_subscribed()
        app = run.app_pid()
        run.process.kill()
        run.process.wait()
        wait_for(lambda: not is_running(app), "the application is gone")

    def test_what_the_command_leaves_ends_too(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--", "sh", "-c",
                         f"{sys.executable} app.py & sleep 1; exit 5")
        self.assertEqual(run.wait_end(), 5)
        self.assertEqual(run.app_lines()[-1], f"told {int(signal.SIGTERM)}")
        self.assertFalse(is_running(run.app_pid()))

    def test_a_shutdown_by_the_api_ends_the_command(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--", sys.executable, "app.py")
        run.wait_subscribed()
        with Client(("127.0.0.1", run.port())) as client:
            self.assertEqual(client.exchange("POST", "/v1.0/shutdown").status, 204)
        self.assertEqual(run.wait_end(), 0)
        self.assertEqual(run.app_lines()[-1], f"told {int(signal.SIGTERM)}")

    def test_without_a_command(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            run = self.start("-d", "r")
            run.wait_log("dapr initialized")
            run.process.send_signal(number)
            self.assertEqual(run.wait_end(), 0)

    def test_ctrl_c_at_a_terminal_reaches_both_once(self):
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had: {error}")
        with open(self.path("log"), "wb") as log:
            process = subprocess.Popen(
                ["setsid", "--ctty", "--wait", FAIRLEAD, "run", "-d", "r", "-p", str(free_port()),
                 "--", sys.executable, "app.py"],
                stdin=theirs, stdout=log, stderr=log, cwd=self.folder, env=environment())
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.addCleanup(process.kill)

        def log_text():
            with open(self.path("log"), encoding="utf-8") as text:
                return text.read()
        wait_for(lambda: "dapr initialized" in log_text(), "it runs")
        os.write(ours, b"\x03")
        self.assertEqual(process.wait(timeout=DEADLINE_S), 0, log_text())
        self.assertEqual(log_text().count("== APP == told"), 1)
        self.assertIn(f"== APP == told {int(signal.SIGINT)}", log_text())

    @needs_sqlite
    def test_without_resources_messages_are_kept(self):
        """Published while nobody runs, delivered when somebody does; in the folder for state."""
        state = self.path("state")
        done = self.call("publish", "t", "1", XDG_STATE_HOME=state)
        self.assertEqual(done.returncode, 0, done.stderr)
        run = self.start("-p", str(free_port()), "--", sys.executable, "app.py",
                         XDG_STATE_HOME=state)
        run.wait_log("== APP == done 1")
        self.assertIn(f"keeps messages in {state}/fairlead/broker.db", run.log())
        self.assertTrue(os.path.exists(os.path.join(state, "fairlead", "broker.db")))
        self.assertEqual(self.call("publish", "t", "2", XDG_STATE_HOME=state).returncode, 0)
        run.wait_log("== APP == done 2")
        run.process.terminate()
        self.assertEqual(run.wait_end(), 0)

    @needs_sqlite
    def test_a_folder_for_data_that_nothing_names(self):
        done = subprocess.run([FAIRLEAD, "run", "true"], check=False, capture_output=True,
                              text=True, cwd=self.folder, env={}, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--data-dir", done.stdout)


class Publishing(CommandStory):
    def test_ids_are_printed_unless_quiet(self):
        done = self.publish("-d", "r", "t", "x")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^[0-9a-f-]{36}\n$")
        self.assertEqual(self.publish("-d", "r", "t", "x", "--id", "mine").stdout, "mine\n")
        self.assertEqual(self.publish("-d", "r", "-q", "t", "x").stdout, "")
        self.assertEqual(self.publish("-d", "r", "-m", "rawPayload=true", "t", "x").stdout, "-\n")

    def test_each_line_is_a_message(self):
        text = "".join(f"{{\"n\": {n}}}\n" for n in range(5000)) + "\n\nlast"
        done = self.publish("-d", "r", "-n", "t", stdin=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(set(done.stdout.split())), 5001)

    def test_lines_are_published_as_they_come(self):
        process = subprocess.Popen([FAIRLEAD, "publish", "-d", "r", "-n", "t"], cwd=self.folder,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=environment())
        self.addCleanup(process.kill)
        for _ in range(3):
            process.stdin.write("x\n")
            process.stdin.flush()
            self.assertRegex(process.stdout.readline(), r"^[0-9a-f-]{36}\n$")
        process.stdin.close()
        self.assertEqual(process.wait(timeout=DEADLINE_S), 0)
        process.stdout.close()

    def test_interrupted(self):
        process = subprocess.Popen([FAIRLEAD, "publish", "-d", "r", "-n", "t"], cwd=self.folder,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(process.kill)
        process.stdin.write("x\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=DEADLINE_S), 1)
        err = process.communicate()[1]
        self.assertIn("interrupted", err)
        self.assertIn("1 messages are stored", err)

    def test_what_is_not_stored_is_said(self):
        self.write("two/a.yaml", component("a"))
        self.write("two/b.yaml", component("b"))
        self.write("scoped/a.yaml", component(publishingScopes="me=other"))
        big = "x" * 2000
        for arguments, text in (
                (["-d", "none", "t", "x"], "none"),
                (["-d", "two", "t", "x"], "--pubsub names one; there are: a, b"),
                (["-d", "two", "-p", "c", "t", "x"], "no pub/sub component named c"),
                (["-d", "scoped", "-a", "me", "t", "x"], "scopes"),
                (["-d", "r", "--max-body-size", "1k", "t", big], "larger than --max-body-size"),
                (["-d", "r", "-m", "rawPayload=perhaps", "t", "x"], 'rawPayload is "perhaps"'),
                (["-d", "r", "-m", "delay=1h", "t", "x"], "delay"),
                (["-d", "r", "--content-type", "application/cloudevents+json", "t", "x"], ""),
                (["-d", "r", "--content-type", "application/cloudevents-batch+json", "t", "[]"],
                 "batches")):
            with self.subTest(arguments=arguments):
                done = self.publish(*arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertIn("fairlead publish: the message is not stored: ", done.stderr)
                self.assertIn(text, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_lines_end_at_the_first_that_is_not_stored(self):
        done = self.publish("-d", "r", "-n", "--max-body-size", "10", "t",
                            stdin="a\nb\n" + "x" * 100 + "\nc\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.split()), 2)
        self.assertIn("the message of line 3 is not stored: it is longer than", done.stderr)
        self.assertIn("2 messages are stored", done.stderr)

    @needs_sqlite
    def test_the_event_is_the_one_that_the_api_makes(self):
        told = {"traceid": None, "traceparent": None, "id": None, "time": None}
        gateway = self.gateway("--data-dir", self.path("data"), "--app-id", "me",
                               documents=(component(kind="pubsub.sqlite"),))
        for number, (data, kind, more) in enumerate((
                ('{"a": [1, "é"]}', "application/json", ()),
                ("two words", "text/plain", ()),
                ("5", "application/json", (("cloudevent.type", "com.x"), ("cloudevent.subject", "s"))),
                ('{"specversion":"1.0","id":"i","source":"s","type":"t","data":1,"x":"y"}',
                 "application/cloudevents+json", ()),
                ("bytes", "application/octet-stream", (("ttlInSeconds", "100"),)))):
            with self.subTest(data=data):
                topic = f"t{number}"
                flags = [part for key, value in more for part in ("-m", f"{key}={value}")]
                if kind == "application/octet-stream":
                    flags += ["--content-type", kind]
                done = self.publish("-a", "me", *flags, topic, data)
                self.assertEqual(done.returncode, 0, done.stderr)
                query = "?" + "&".join(f"metadata.{key}={value}" for key, value in more)
                self.published(gateway, topic, data.encode(), query=query, Content_Type=kind)
                ours, apis = self.peek(topic)
                self.assertEqual(ours["event"]["id"], done.stdout.strip())
                self.assertEqual({**ours["event"], **told}, {**apis["event"], **told})
                self.assertEqual(ours["metadata"], apis["metadata"])

    @needs_sqlite
    def test_a_running_gateway_delivers_what_is_published_beside_it(self):
        app = self.app(subscription("t"))
        self.gateway("--data-dir", self.path("data"), app=app,
                     documents=(component(kind="pubsub.sqlite"),))
        self.assertEqual(self.publish("-nq", "t", stdin="1\n2\n3\n").returncode, 0)
        self.assertEqual(sorted(r.data for r in app.wait_got("/t", 3)), [1, 2, 3])


class Peeking(CommandStory):
    def test_a_component_that_shows_nothing(self):
        done = self.call("peek", "-d", "r", "t")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr,
                         "fairlead peek: pubsub (pubsub.in-memory/v1) cannot show its messages\n")

    @needs_sqlite
    def test_messages_are_shown_and_stay(self):
        self.publish("-n", "t", stdin="".join(f"{n}\n" for n in range(20)))
        for _ in range(2):
            self.assertEqual([m["event"]["data"] for m in self.peek("t")], list(range(10)))
        self.assertEqual([m["event"]["data"] for m in self.peek("t", "-n", "3")], [0, 1, 2])
        self.assertEqual(len(self.peek("t", "-n", "100")), 20)

    @needs_sqlite
    def test_of_a_group_what_is_not_settled(self):
        self.publish("-n", "t", stdin="1\n2\n")
        app = self.app(subscription("t"),
                       on_event=lambda r: OK if r.data == 1 else b"HTTP/1.1 500 X\r\n"
                       b"Content-Length: 0\r\n\r\n")
        gateway = self.gateway("--data-dir", self.path("data"), app=app,
                               documents=(component(kind="pubsub.sqlite"),))
        app.wait_got("/t", 2)
        wait_for(lambda: [m["event"]["data"] for m in self.peek("t", "-g", "story")] == [2],
                 "only what failed is left")
        self.assertEqual(gateway.process.poll(), None)

    @needs_sqlite
    def test_a_topic_that_is_not_there(self):
        done = self.call("peek", "--data-dir", "data", "nothing")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("nothing", done.stderr)


class Examples(CommandStory):
    @needs_sqlite
    def test_demo(self):
        build = os.path.dirname(os.path.abspath(FAIRLEAD))
        demo = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../examples/demo")
        done = subprocess.run([demo], check=False, capture_output=True, text=True,
                              env=environment(BUILD=build), timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("\n  {"), 4, done.stdout)


if __name__ == "__main__":
    unittest.main()
