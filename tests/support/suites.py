"""Runs test programs two at a time and counts their cases; shared by tests/run and tests/run-unit.

A suite is one program: a cmocka executable or a Python script with unittest cases. What a suite
prints is shown only when something in it failed. Each one gets a time limit of its own; a suite
that ends without a count of its cases counts as one failure.
"""
import concurrent.futures
import os
import re
import signal
import subprocess
import time

JOBS = int(os.environ.get("TEST_JOBS", "2"))

# Appended to what the caller's environment already says, so a developer can still override.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Count:
    """passed, failed and skipped cases, and the seconds they took."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def environment(extra=None):
    env = dict(os.environ)
    for name, value in SANITIZERS.items():
        env[name] = value + (":" + env[name] if env.get(name) else "")
    env.update(extra or {})
    return env


def without_address_randomisation():
    """ThreadSanitizer of gcc 12 cannot start on kernels that scatter mappings widely."""
    probe = ["setarch", "-R", "true"]
    try:
        fine = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        fine = False
    return probe[:2] if fine else []


def run_program(command, env, cwd, limit_s):
    """(exit status, output, seconds). At the limit the program and its children are killed."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    status = None
    try:
        output, _ = process.communicate(timeout=limit_s)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nkilled: not done after {limit_s} s\n".encode()
        status = -signal.SIGKILL
    return status, output.decode("utf-8", "replace"), time.monotonic() - started


def count_cmocka(status, output):
    """cmocka ends each group with how many passed, and how many failed if any. Its two output
    streams are mixed here, so a line may begin with the end of another."""
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test\(s\)", output)))
    skipped = sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test\(s\)", output)))
    failed = sum(map(int, re.findall(r"\[  FAILED  \] (?:.*: )?(\d+) test\(s\), listed", output)))
    count = Count(passed, failed, skipped)
    if status != 0 and failed == 0:
        count.failed = 1
    if status == 0 and passed + skipped == 0:
        count.failed = 1
    return count


def count_unittest(status, output):
    """unittest ends with `Ran N tests` and what was not plain success in brackets."""
    ran = re.findall(r"^Ran (\d+) tests? in", output, re.M)
    words = dict(re.findall(r"(failures|errors|skipped|unexpected successes)=(\d+)",
                            output[output.rfind("\nRan "):]))
    failed = sum(int(words.get(w, 0)) for w in ("failures", "errors", "unexpected successes"))
    skipped = int(words.get("skipped", 0))
    passed = max(0, int(ran[-1]) - failed - skipped) if ran else 0
    if status != 0 and failed == 0:
        failed = 1
    if passed + failed + skipped == 0:
        failed = 1
    return Count(passed, failed, skipped)


class Suite:
    def __init__(self, name, command, counter, limit_s, env=None, cwd=None):
        self.name, self.command, self.counter = name, command, counter
        self.limit_s, self.env, self.cwd = limit_s, env, cwd

    def run(self):
        status, output, seconds = run_program(self.command, environment(self.env), self.cwd,
                                              self.limit_s)
        return self, self.counter(status, output), status, output, seconds


def show(result):
    suite, count, status, output, seconds = result
    word = "FAIL" if count.failed else "skip" if count.passed == 0 else "ok  "
    print(f"  {word} {suite.name:52} {count}  {seconds:.2f} s", flush=True)
    if count.failed:
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        print(f"---- output of {suite.name}, which ended with {ending}")
        print(output.rstrip()[-20000:])
        print(f"---- end of {suite.name}", flush=True)
    for reason in re.findall(r"skipped [\"'](.*)[\"']", output):
        print(f"       skipped: {reason}", flush=True)


def run_all(suites, jobs=JOBS):
    """Shows each suite as it ends; returns the sum."""
    total = Count()
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(s.run) for s in suites]):
            result = future.result()
            show(result)
            total.add(result[1])
    return total


def unit_suites(root, build, name="", kinds=("unit", "conformance")):
    """The cmocka programs of a build whose sources still exist and match the name."""
    prefix = without_address_randomisation() if "thread" in build else []
    found = []
    for kind in kinds:
        for folder, _, names in sorted(os.walk(os.path.join(root, "tests", kind))):
            for file in sorted(names):
                if not file.endswith("_test.c") or name not in file:
                    continue
                stem = os.path.relpath(os.path.join(folder, file[:-2]), os.path.join(root, "tests"))
                program = os.path.join(root, build, "tests", stem)
                found.append(Suite(f"{build}/{stem}", prefix + [program], count_cmocka, 180,
                                   cwd=root))
    return found


def integration_suites(root, build, name=""):
    """One suite per script; it is told by FAIRLEAD which gateway to run."""
    found = []
    base = os.path.join(root, "tests", "integration")
    for folder, _, names in sorted(os.walk(base)):
        for file in sorted(names):
            if not file.endswith("_test.py") or name not in file:
                continue
            label = f"{build}/integration/{os.path.relpath(folder, base)}/{file[:-3]}"
            env = {
                "FAIRLEAD": os.path.join(root, build, "fairlead"),
                "FAIRLEAD_ROOT": root,
                "PYTHONPATH": os.pathsep.join([base, folder, root]),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            found.append(Suite(label, ["python3", "-m", "unittest", "discover", "-v", "-s", folder,
                                       "-p", file], count_unittest, 300, env, root))
    return found
