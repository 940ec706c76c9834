"""bindings.localstorage over HTTP: files there and back, names that try to get out, folders that
are swapped for links meanwhile, a full disk, kill -9 in the middle, and memory.

The full disk is a small one in memory, which needs root; else that is a skip.
"""
import base64
import ctypes
import json
import os
import shutil
import stat
import tempfile
import threading
import unittest

from harness import IS_SANITIZED, SOAK, Client, Story, component, figure, wait_for

MIB = 1024 * 1024
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


def body_of(operation, name=None, data=None):
    request = {"operation": operation, "data": data}
    if name is not None:
        request["metadata"] = {"fileName": name}
    return json.dumps(request).encode()


class Files(Story):
    def setUp(self):
        super().setUp()
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="fairlead-files-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.root = self.folder + "/root"

    def start(self, *flags, **more):
        self.gate = self.gateway(*flags, documents=(component(
            "files", "bindings.localstorage", rootPath=self.root, **more),))
        return self.gate

    def ask(self, operation, name=None, data=None, client=None):
        if client:
            return client.exchange("POST", "/v1.0/bindings/files", body_of(operation, name, data))
        with Client(self.gate.address) as one:
            return self.ask(operation, name, data, one)

    @staticmethod
    def ask_raw(client, text):
        return client.exchange("POST", "/v1.0/bindings/files", text.encode())

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write(self, name, data=b""):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def message(self, answer):
        self.assertEqual(answer.status, 500, answer)
        self.assertEqual(answer.json["errorCode"], "ERR_INVOKE_OUTPUT_BINDING")
        return answer.json["message"].removeprefix("error invoking output binding files: ")

    # --- there and back

    def test_files_come_back_as_they_were(self):
        self.start()
        data = os.urandom(MIB)
        got = self.ask("create", "a/b/c.bin", base64.b64encode(data).decode())
        self.assertEqual((got.status, got.json), (200, {"fileName": "a/b/c.bin"}))
        self.assertEqual(self.read("root/a/b/c.bin"), data)
        got = self.ask("get", "a/b/c.bin")
        self.assertEqual((got.status, got.body), (200, data))
        self.assertEqual(self.ask("list").json, [self.root + "/a/b/c.bin"])
        self.assertEqual(self.ask("delete", "a/b/c.bin").status, 204)
        self.assertEqual(self.ask("list").body, b"null")
        self.assertEqual(self.message(self.ask("get", "a/b/c.bin")),
                         f"file not found: {self.root}/a/b/c.bin")

    def test_an_empty_file_is_an_answer(self):
        self.start()
        self.assertEqual(self.ask("create", "empty", "").status, 200)
        got = self.ask("get", "empty")
        self.assertEqual((got.status, got.body), (200, b""))

    def test_files_stay_over_a_restart(self):
        self.start()
        self.ask("create", "kept", "a b")
        self.assertEqual(self.gate.end(), 0)
        self.start()
        self.assertEqual(self.ask("get", "kept").body, b"a b")

    # --- names that try to get out

    def test_two_hundred_escapes_reach_nothing(self):
        os.mkdir(self.root)
        self.write("secret.txt", b"secret")
        os.mkdir(self.path("outside"))
        for name, target in (("up", "../secret.txt"), ("absolute", self.path("secret.txt")),
                             ("out", "../outside"), ("parent", ".."), ("loop", "loop"),
                             ("magic", "/proc/self/root"), ("cwd", "/proc/self/cwd"),
                             ("fd", "/proc/self/fd")):
            os.symlink(target, self.root + "/" + name)
        self.start(syncWrites="false")
        ways = ["..", "../..", "/..", "//..", "./..", "x/../..", "up", "absolute", "out", "parent",
                "parent/parent", "loop", "magic", "magic" + self.folder, "cwd", "fd/0",
                r"\u002e\u002e", r"\u002e.", r"..\/..", "..%2f..", "%2e%2e", "..%5c..", r"..\\..",
                r"..\u0000", r"\u0000..", r"..\u2215..", r"\uff0e\uff0e", "....//", self.folder,
                "file://" + self.folder, "../" * 60 + ".."]
        targets = ["", "/secret.txt", "/outside/made", "/../secret.txt", "/outside",
                   r"\/secret.txt", "/proc/self/environ"]
        tried = 0
        with Client(self.gate.address) as client:
            for name in (way + target for way in ways for target in targets):
                for operation in ("get", "list", "create", "delete"):
                    got = self.ask_raw(client, '{"operation":"%s","data":"m a d e","metadata":'
                                               '{"fileName":"%s"}}' % (operation, name))
                    self.assertIn(got.status, (200, 204, 500), name)
                    if operation == "get" and got.status == 200:
                        self.assertEqual(got.body, b"m a d e", name)
                    tried += 1
        self.assertGreaterEqual(tried, 4 * 200)
        self.assertEqual(self.read("secret.txt"), b"secret")
        self.assertEqual(os.listdir(self.path("outside")), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["outside", "root", "secret.txt"])

    def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(self):
        os.makedirs(self.root + "/swap")
        self.write("secret.txt", b"secret")
        os.symlink("..", self.root + "/link")
        self.start(syncWrites="false")
        is_over, swaps = threading.Event(), [0]
        swap_path, link_path = (self.root + "/swap").encode(), (self.root + "/link").encode()

        def swap():
            while not is_over.is_set():
                # An exchange, so that the name is always there.
                swaps[0] += LIBC.renameat2(AT_FDCWD, swap_path, AT_FDCWD, link_path, 2) == 0

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            with Client(self.gate.address) as client:
                for _ in range(3000 if SOAK else 300):
                    got = self.ask("get", "swap/secret.txt", client=client)
                    self.assertNotEqual(got.body, b"secret")
                    self.ask("delete", "swap/secret.txt", client=client)
                    self.ask("create", "swap/made", "m a d e", client=client)
        finally:
            is_over.set()
            thread.join()
        self.assertGreater(swaps[0], 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["root", "secret.txt"])
        self.assertEqual(self.read("secret.txt"), b"secret")

    def test_what_is_no_file_is_refused_and_keeps_nobody_waiting(self):
        os.mkdir(self.root)
        os.mkfifo(self.root + "/fifo")
        self.start()
        for operation in ("get", "create"):
            self.assertIn("is not a regular file", self.message(self.ask(operation, "fifo", "x y")))
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.root + "/fifo").st_mode))

    # --- trouble

    def test_a_root_that_is_refused_ends_the_start(self):
        self.write("file")
        for root, why in (("/proc/x", "lies under /proc"), (self.path("file"), "is a file")):
            gate = self.gateway(awaits=None, documents=(component(
                "files", "bindings.localstorage", rootPath=root),))
            self.assertEqual(gate.wait_end(), 1)
            self.assertIn(why, gate.log())

    def test_a_full_disk_leaves_no_half_file(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if os.geteuid() != 0 or LIBC.mount(b"none", disk.encode(), b"tmpfs", 0, b"size=1m") != 0:
            self.skipTest("mounting needs root")
        self.addCleanup(LIBC.umount2, disk.encode(), 2)
        self.root = disk + "/root"
        self.start()
        small, large = "s" * 1000 + " ", "l" * 3 * MIB + " "
        self.assertEqual(self.ask("create", "kept", small).status, 200)
        self.assertIn("no space left on device", self.message(self.ask("create", "kept", large)))
        self.assertIn("no space left on device", self.message(self.ask("create", "new", large)))
        self.assertEqual(self.ask("get", "kept").body, small.encode())
        self.assertEqual(os.listdir(self.root), ["kept"])
        self.assertEqual(self.ask("create", "after", small).status, 200)

    def kill_while_creating(self, number):
        """Two contents, told apart by their letter, again and again over one name."""
        contents = {letter.encode() * 300000 + b" " for letter in "ab"}
        self.start()
        created = threading.Event()

        def create():
            try:
                with Client(self.gate.address) as client:
                    for i in range(10000):
                        self.ask("create", "file", "ab"[i % 2] * 300000 + " ", client)
                        if i > number:
                            created.set()
            except (OSError, EOFError):
                pass

        thread = threading.Thread(target=create)
        thread.start()
        created.wait(60)
        self.gate.process.kill()
        self.gate.wait_end()
        thread.join()
        self.assertIn(self.read("root/file"), contents)

    def test_a_kill_leaves_whole_files(self):
        for number in range(20 if SOAK else 4):
            self.kill_while_creating(number)
        self.start()
        self.assertEqual(self.ask("list").json, [self.root + "/file"])

    # --- memory

    def make_large(self, name, size):
        os.makedirs(self.root, exist_ok=True)
        self.write("root/" + name)
        os.truncate(self.root + "/" + name, size)

    def test_a_file_that_is_too_large_is_refused_at_once(self):
        self.make_large("huge", 1 << 40)
        self.make_large("most", 10 * MIB)
        self.start("--max-memory", "64Mi")
        self.assertIn(f"more than the {16 * MIB} bytes that an answer may have",
                      self.message(self.ask("get", "huge")))
        self.assertEqual(len(self.ask("get", "most").body), 10 * MIB)

    def test_many_large_files_at_once_stay_within_memory(self):
        self.make_large("large", 10 * MIB)
        self.start("--max-memory", "64Mi")
        before = self.gate.memory_bytes("VmHWM")
        sizes, lock = [], threading.Lock()

        def get():
            got = self.ask("get", "large")
            with lock:
                sizes.append(len(got.body) if got.status == 200 else got)

        threads = [threading.Thread(target=get) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sizes, [10 * MIB] * 24)
        most = self.gate.memory_bytes("VmHWM") - before
        figure(f"bindings.localstorage: {most / MIB:.0f} MiB more for 24 files of 10 MiB at once "
               f"with --max-memory 64Mi")
        if not IS_SANITIZED:
            self.assertLess(most, 160 * MIB)

    def test_calls_in_a_row_leave_memory_as_it_was(self):
        self.start("--max-body-size", "8Mi", syncWrites="false")
        data = "d" * 3 * MIB + " "
        with Client(self.gate.address) as client:
            def calls(count):
                for _ in range(count):
                    self.assertEqual(self.ask("create", "x", data, client).status, 200)
                    self.assertEqual(len(self.ask("get", "x", client=client).body), len(data))
            calls(20)
            before = self.gate.memory_bytes("VmRSS")
            calls(150)
            # The last answer may be sent and not yet freed.
            if not IS_SANITIZED:
                wait_for(lambda: self.gate.memory_bytes("VmRSS") <= before * 1.1,
                         "memory is as it was")
            after = self.gate.memory_bytes("VmRSS")
        figure(f"bindings.localstorage: {before / MIB:.1f} MiB resident after a warm-up, "
               f"{after / MIB:.1f} MiB after 300 calls of 3 MiB")

    # --- the end

    def test_what_is_under_way_is_answered_when_the_gateway_ends(self):
        self.start()
        clients = [Client(self.gate.address) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send("POST", "/v1.0/bindings/files", body_of("create", f"f{number}", "a b"))
        wait_for(lambda: os.path.isdir(self.root) and os.listdir(self.root), "a first file")
        self.gate.signal()
        answers = {}
        for number, client in enumerate(clients):
            try:
                answers[number] = client.read().status
            except (OSError, EOFError):
                pass  # it came too late to be read
            client.close()
        self.assertEqual(self.gate.wait_end(), 0)
        self.assertEqual(set(answers.values()), {200})
        for number in answers:
            self.assertEqual(self.read(f"root/f{number}"), b"a b")


if __name__ == "__main__":
    unittest.main()
