"""Broken resources, one case a file in tests/broken/: what the gateway says about each, word by word,
and what it serves all the same.

A case begins with lines of `#` (why it is broken) and of `flags:` and `env:`; then come files, each
after a line `==> NAME`, and at last what is expected, after `==> expect`:

  serves / ends with N     whether it becomes ready, or the status with which it ends
  loaded: COMPONENT        and `found:`, `subscribed:`, `resiliency:`: what is there nevertheless
  LEVEL: TEXT              every line of the log that is a warning or worse, and what is told of the
                           files at a lower level, in order; a line that only announces what a later
                           one says word by word is left out

`fairlead check` on the same files has to find what the start finds: the same places, and an error
where the start fails.

Which component types there are depends on what is built, so their list stands as `…`.

Files below r/ are the resources; config*.yaml go with --config. `==> NAME (python)` begins an
expression whose value is the file's bytes or text, for what cannot be seen in an editor.

BROKEN_WRITE=1 writes what is seen into the cases; read the difference before it is committed.
BROKEN_ONLY=PART runs those whose name holds PART.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD, App

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "broken"))
KEPT = {"Component loaded: ": "loaded: ", "Found Subscription: ": "found: ",
        "app is subscribed to the following topics: ": "subscribed: ",
        "Loading Resiliency configuration: ": "resiliency: "}


class Case:
    def __init__(self, path):
        self.path = path
        self.name = os.path.relpath(path, ROOT)[:-len(".case")]
        self.flags, self.env, self.files, self.expected = [], {}, {}, ""
        with open(path, encoding="utf-8") as file:
            head, *sections = re.split(r"^==> ", file.read(), flags=re.M)
        self.head = head
        for line in head.splitlines():
            if line.startswith("flags:"):
                self.flags += line[len("flags:"):].split()
            elif line.startswith("env:"):
                self.env.update(pair.split("=", 1) for pair in line[len("env:"):].split())
            else:
                assert line.startswith("#") or not line.strip(), f"{path}: {line}"
        for section in sections:
            title, _, body = section.partition("\n")
            if title == "expect":
                self.expected = body
            elif title.endswith(" (python)"):
                value = eval(body)  # the cases are as much part of the test as this file
                self.files[title[:-len(" (python)")]] = (value if isinstance(value, bytes)
                                                         else value.encode())
            else:
                self.files[title] = body.encode()

    def lay_out(self, folder):
        os.makedirs(os.path.join(folder, "r"))
        for name, content in self.files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)

    def sources(self):
        """The flags that name files and folders."""
        flags = [] if "--resources-path" in self.flags else ["--resources-path", "r"]
        for name in self.files:
            if name.startswith("config"):
                flags += ["--config", name]
        return flags + [flag for flag in self.flags if flag != "--strict"]

    def serve_command(self, app_port):
        strict = ["--strict"] if "--strict" in self.flags else []
        return [FAIRLEAD, "--app-id", "app", "--app-port", str(app_port), "--unix-domain-socket",
                ".", "--data-dir", "data", "--enable-metrics=false", "--log-as-json",
                "--dapr-graceful-shutdown-seconds", "2"] + self.sources() + strict

    def check_command(self):
        return [FAIRLEAD, "check", "--app-id", "app"] + self.sources()

    def rewrite(self, seen):
        with open(self.path, encoding="utf-8") as file:
            text = file.read()
        text = text[:text.index("==> expect\n")] if "==> expect\n" in text else text
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text + "==> expect\n" + seen)


def environment(folder, more):
    kept = {key: value for key, value in os.environ.items()
            if key in ("PATH", "LD_LIBRARY_PATH") or key.endswith("SAN_OPTIONS")}
    return {**kept, "HOME": folder, **more}


def line_of(record):
    """What a case expects of this line of the log; None when it does not matter."""
    level, text = record["level"], record.get("msg", "")
    text = re.sub(r"; there are pubsub\.in-memory, [\w., -]*", "; there are …", text)
    for begin, short in KEPT.items():
        if text.startswith(begin):
            return short + text[len(begin):]
    if level in ("info", "debug") and not re.match(r"(r/|config)", text):
        return None
    return f"{level}: {text}"


def without_repeated(lines):
    """daprd says up to three times why it ends; the last time is enough."""
    return [line for i, line in enumerate(lines) if not any(
        line.startswith(begin) and later.endswith(line[len(begin):].split(": ", 1)[-1])
        for begin in ("error: Failed to init component ", "warning: Error processing component, ")
        for later in lines[i + 1:])]


def in_folder(case, work):
    """What `work` makes of the case's files, laid out in a folder of their own."""
    folder = tempfile.mkdtemp(prefix="broken-")
    try:
        case.lay_out(folder)
        return work(folder, environment(folder, case.env))
    finally:
        shutil.rmtree(folder)


def serve(case, app_port):
    """Starts the gateway on the case's files, waits until it serves or ends, and ends it."""
    def work(folder, env):
        process = subprocess.Popen(case.serve_command(app_port), cwd=folder, env=env, text=True,
                                   errors="replace", stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        seen, serves = [], False
        for line in process.stdout:
            record = json.loads(line) if line.startswith("{") else {"level": "raw", "msg": line[:-1]}
            if record.get("msg", "").startswith("dapr initialized. "):
                serves = True
                process.send_signal(signal.SIGTERM)
            elif line_of(record):
                seen.append(line_of(record))
        process.stdout.close()
        status = process.wait(DEADLINE_S)
        end = "serves" if serves and status == 0 else f"ends with {status}"
        return "\n".join([end] + without_repeated(seen)) + "\n"
    return in_folder(case, work)


def check(case):
    """The status of `fairlead check`, and what it prints."""
    def work(folder, env):
        done = subprocess.run(case.check_command(), cwd=folder, env=env, text=True, timeout=DEADLINE_S,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        return done.returncode, done.stdout
    return in_folder(case, work)


def places(text):
    """Where something is wrong; what is said at level info is nothing to mend."""
    lines = [line for line in text.splitlines() if not line.startswith("info: ")]
    return set(re.findall(r"(?:r|s)/[\w.]+:\d+|config\d?\.yaml:\d+", "\n".join(lines)))


def cases():
    found = [os.path.join(folder, name) for folder, _, names in os.walk(ROOT) for name in names
             if name.endswith(".case") and os.environ.get("BROKEN_ONLY", "") in name]
    return [Case(path) for path in sorted(found)]


class Broken(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.app = App().start()

    @classmethod
    def tearDownClass(cls):
        cls.app.stop()


def add_tests(case):
    def test_start(self):
        seen = serve(case, self.app.port)
        if os.environ.get("BROKEN_WRITE") == "1":
            case.rewrite(seen)
        else:
            self.assertEqual(case.expected, seen, case.path)

    def test_check(self):
        status, said = check(case)
        self.assertLessEqual(places(case.expected), places(said), said)
        if "ends with" in case.expected:
            self.assertEqual(status, 1, said)
        if case.expected.startswith("serves") and "error: " not in case.expected and \
                "warning: " not in case.expected:
            self.assertEqual((status, said.split(";")[0]), (0, "0 errors, 0 warnings"), said)
    name = re.sub(r"\W", "_", case.name)
    setattr(Broken, "test_" + name, test_start)
    setattr(Broken, "test_check_" + name, test_check)


for each in cases():
    add_tests(each)


class Collection(unittest.TestCase):
    def test_there_are_as_many_as_promised(self):
        self.assertTrue(len(cases()) >= 150 or os.environ.get("BROKEN_ONLY"))

    def test_each_says_something_or_serves(self):
        """A case without a word would pass for ever."""
        for case in cases():
            self.assertTrue(case.expected.strip(), case.path)
            self.assertTrue(case.head.startswith("# "), case.path)


if __name__ == "__main__":
    unittest.main()
