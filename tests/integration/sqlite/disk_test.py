"""What the disk does to the file: full, damaged, read-only, not ours, replaced, at its bound.

Full and read-only disks are small ones in memory, mounted in a mount namespace that only this
process has; without the right to that those cases are skipped. That a network file system is
refused is a unit test (guard_test.c), since none can be mounted here.
"""
import ctypes
import os
import re
import sqlite3
import time
import unittest

from broker_file import FileStory, ask
from flood import REFUSED, UNKNOWN
from harness import OK, Client, figure, subscription, wait_for

DISK_BYTES = 40 * 1024 * 1024
FILLER_BYTES = 16 * 1024 * 1024
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    0x20000, 1, 32, 4096, 16384, 1 << 18)
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags, data=None):
    if libc.mount(source.encode(), target.encode(), kind and kind.encode(),
                  ctypes.c_ulong(flags), data and data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def leave_mounts():
    """A mount namespace of our own; threads and programs that are started later are in it."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if libc.unshare(CLONE_NEWNS):
        return "no mount namespace can be made here"
    try:
        mount("none", "/", None, MS_REC | MS_PRIVATE)
    except OSError:
        return "the root is no mount of its own, as in a chroot"
    return None


def flip(path, at, count):
    """Overwrites bytes of the file in place."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(os.urandom(count))


class DiskStory(FileStory):
    def assert_refused(self, text):
        """A gateway does not start, and says so."""
        gateway = self.on_file(awaits=None)
        self.assertEqual(gateway.wait_end(20), 1)
        fatal = re.search(r'level=fatal msg="(.*?)" app_id', gateway.log())
        self.assertTrue(fatal, gateway.log())
        self.assertEqual(fatal.group(1).split("pubsub (pubsub.sqlite/v1): ")[-1], text)


    def make(self, messages=1, **options):
        """A file of ours, with some messages in it and nobody at it."""
        gateway = self.on_file(**options)
        with Client(gateway.address) as client:
            for number in range(messages):
                got = gateway.publish_on(client, "t", {"n": number, "pad": "x" * 500})
                self.assertEqual(got.status, 204)
        self.assertEqual(gateway.end(), 0)


class SmallDisk(DiskStory):
    @classmethod
    def setUpClass(cls):
        why_not = leave_mounts()
        if why_not:
            raise unittest.SkipTest(why_not)

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        mount("small", self.disk, "tmpfs", 0, f"size={DISK_BYTES}")
        self.addCleanup(lambda: libc.umount2(self.disk.encode(), 2))
        self.path = os.path.join(self.disk, "broker.db")
        self.filler = os.path.join(self.disk, "filler")

    def fill(self, most):
        """Takes space until it has so much of it or there is no more."""
        try:
            fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError:
            return  # full
        try:
            while os.fstat(fd).st_size < most:
                os.write(fd, bytes(1 << 16))
        except OSError:
            pass  # full
        finally:
            os.close(fd)

    def fill_by_publishing(self, gateway):
        publishers = self.publishers(gateway, 64)
        gateway.wait_for(lambda: self.ledger.statuses[503] >= 200, "publishes get 503")
        publishers.stop()

    def publish_until(self, gateway, status):
        with Client(gateway.address) as client:
            def publish():
                number, body = self.flood.do(self.ledger.new_body)
                got = gateway.publish_on(client, "ledger", body)
                self.flood.do(lambda: self.ledger.settle(
                    number, {204: 1, 504: UNKNOWN}.get(got.status, REFUSED)))
                return got if got.status == status else None
            return gateway.wait_for(publish, f"publishing is answered {status}", 10)

    def check_end(self, *gateways):
        wait_for(self.has_settled, "the group has settled everything")
        for gateway in gateways:
            self.assertEqual(gateway.end(), 0)
        self.check_file()
        self.assertEqual(self.ledger.wrong, [])
        self.assertEqual(self.ledger.owed(), [])
        self.assertEqual(self.ledger.twice(), {})
        refused = [n for n in self.ledger.numbers(REFUSED) if n in self.ledger.came]
        self.assertEqual(refused, [], "what was refused must not come")

    def test_full_disk_stops_publishing_only(self):
        holds = self.application(subscription("ledger"), verdict=lambda delivery: None)
        gateway = self.on_file(app=holds)
        self.fill(FILLER_BYTES)
        self.fill_by_publishing(gateway)
        self.assertEqual(set(self.ledger.statuses), {204, 503})
        stored = self.ledger.ok
        self.assertGreater(stored, 5000)
        self.fill(DISK_BYTES)  # nothing is left, not even for a page
        full = self.publish_until(gateway, 503)
        self.assertEqual(full.json["message"],
                         "error when publishing to topic ledger in pubsub pubsub: the disk that "
                         f"holds {self.path} is full")
        self.assertEqual(full.fields["retry-after"], "1")
        self.assertIn("publishing is refused until there is space again; deliveries go on",
                      gateway.log())
        # Everything that was stored is delivered and settled meanwhile.
        holds.verdict = lambda delivery: OK
        holds.let_go()
        self.ledger.wait_paid(30)
        gateway.wait_for(self.has_settled, "the group has settled everything")
        self.publish_until(gateway, 503)
        os.remove(self.filler)
        freed_at = time.monotonic()
        self.publish_until(gateway, 204)
        figure(f"full disk: {stored} stored before it, all delivered while it was full; publishing "
               f"went on {time.monotonic() - freed_at:.1f} s after there was space")
        gateway.wait_log("there is space again: publishing goes on")
        self.publishers(gateway, 16)
        wait_for(lambda: self.ledger.ok >= stored + 1000, "publishing goes on")
        self.stop_all_publishers()
        self.ledger.wait_paid(30)
        self.check_end(gateway)

    def test_disk_that_is_full_again_and_again_under_load(self):
        app = self.application(subscription("ledger"))
        gateway = self.on_file(app=app, maxBytes="16Mi")
        publishers = self.publishers(gateway, 64)
        for _ in range(4):
            self.fill(DISK_BYTES)
            refused = self.ledger.counts[REFUSED]
            gateway.wait_for(lambda r=refused: self.ledger.counts[REFUSED] > r + 50, "refusals", 20)
            delivered = self.ledger.delivered_count
            os.remove(self.filler)
            ok = self.ledger.ok
            gateway.wait_for(lambda k=ok: self.ledger.ok > k + 500, "publishing goes on", 20)
            gateway.wait_for(lambda d=delivered: self.ledger.delivered_count > d, "deliveries")
        publishers.stop()
        self.ledger.wait_paid(30)
        self.check_end(gateway)

    def test_start_on_a_full_disk(self):
        gateway = self.on_file()
        self.fill(FILLER_BYTES)
        self.fill_by_publishing(gateway)
        self.fill(DISK_BYTES)
        self.assertEqual(gateway.end(), 0)
        self.fill(DISK_BYTES)
        app = self.application(subscription("ledger"))
        gateway = self.on_file(app=app)
        # A new group is a row, for which there may be no room at first: then it waits for space.
        self.publish_until(gateway, 503)
        os.remove(self.filler)
        self.publish_until(gateway, 204)
        self.ledger.wait_paid(30)
        self.check_end(gateway)

    def test_restart_on_a_full_disk_goes_on_delivering(self):
        app = self.application(subscription("ledger"), verdict=lambda delivery: None)
        gateway = self.on_file(app=app)
        self.fill(FILLER_BYTES)
        self.fill_by_publishing(gateway)
        app.verdict = lambda delivery: OK
        self.flood.do(lambda: [app.close(c) for c in list(app.buffers)])
        gateway.process.kill()
        gateway.wait_end()
        self.fill(DISK_BYTES)
        gateway = self.on_file(app=app)
        self.ledger.wait_paid(60)
        self.publish_until(gateway, 503)
        gateway.wait_for(self.has_settled, "the group has settled everything")
        os.remove(self.filler)
        self.publish_until(gateway, 204)
        self.ledger.wait_paid(30)
        self.assertEqual(self.ledger.wrong, [])
        self.assertEqual(gateway.end(), 0)
        self.check_file()

    def test_read_only_disk(self):
        os.mkdir(os.path.join(self.disk, "folder"))
        self.path = os.path.join(self.disk, "folder", "broker.db")
        mount("none", self.disk, None, MS_REMOUNT | MS_RDONLY)
        self.assert_refused(f"{os.path.dirname(self.path)} is on a read-only file system")

    def test_file_that_is_a_mount(self):
        self.make()
        mount(self.path, self.path, None, MS_BIND)
        self.addCleanup(lambda: libc.umount2(self.path.encode(), 2))
        self.assert_refused(f"{self.path} is mounted by itself: mount its folder, which holds more "
                            "files of the database")


class Refused(DiskStory):
    """A file or a place that is not for us ends the start, with what was found and status 1."""

    def assert_untouched(self, text):
        """Refused, and not a byte of the file is changed."""
        with open(self.path, "rb") as file:
            before = file.read()
        self.assert_refused(text)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_file_that_is_no_database(self):
        for content in (b"garbage, and much of it, " * 1000, b"short"):
            with open(self.path, "wb") as file:
                file.write(content)
            self.assert_untouched(f"{self.path} is not a SQLite database")

    def test_truncated_file(self):
        for size in (60, 4096 * 3, 30000):
            self.make(200)
            os.truncate(self.path, size)
            self.assert_untouched(f"{self.path} is damaged: database disk image is malformed")
            os.remove(self.path)

    def test_overwritten_pages(self):
        for at, count in ((100, 3000), (4096, 8192), (3 * 4096, 5 * 4096)):
            self.make(200)
            flip(self.path, at, count)
            self.assert_untouched(f"{self.path} is damaged: database disk image is malformed")
            os.remove(self.path)

    def test_database_of_another_application(self):
        with sqlite3.connect(self.path) as db:
            db.execute("CREATE TABLE notes(text)")
        db.close()
        self.assert_untouched(f"{self.path} is the database of another application: its "
                              "application_id is 0x00000000 with 1 tables and indexes, "
                              "Fairlead's is 0x464c4452")

    def test_newer_schema(self):
        self.make()
        with sqlite3.connect(self.path) as db:
            db.execute("PRAGMA user_version=99")
        db.close()
        self.assert_untouched(f"{self.path} has schema 99 of a newer Fairlead, this one knows up "
                              "to schema 1")

    def test_folder_in_the_file_s_place(self):
        os.mkdir(self.path)
        self.assert_refused(f"{self.path} is a folder, not a file")

    def test_file_with_a_second_name(self):
        self.make()
        os.link(self.path, self.path + "-too")
        self.assert_untouched(f"{self.path} has 2 names (hard links): two of them would be used as "
                              "two databases; remove or copy the others")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_folder_that_cannot_be_written(self):
        os.chmod(self.folder, 0o500)
        self.addCleanup(os.chmod, self.folder, 0o700)
        self.assert_refused(f"the folder {self.folder} cannot be written by user {os.geteuid()}: "
                            "Permission denied")


class Running(DiskStory):
    """The file changes under a gateway that works on it."""

    def setUp(self):
        super().setUp()
        self.app = self.application(subscription("ledger"))
        self.running = self.on_file("--publish-wait", "100ms", app=self.app)
        self.work(200)

    def work(self, count):
        """So many are published, and delivered."""
        ok = self.ledger.ok
        publishers = self.publishers(self.running, 8)
        self.running.wait_for(lambda: self.ledger.ok >= ok + count, "publishing goes on", 20)
        publishers.stop()
        self.ledger.wait_paid(20)

    def wait_log(self, text):
        self.running.wait_log(text, 15)

    def test_file_that_was_removed(self):
        publishers = self.publishers(self.running, 8)
        os.remove(self.path)
        self.wait_log(f"Component disconnected: pubsub (pubsub.sqlite/v1): {self.path} was removed "
                      "or replaced")
        self.wait_log("Component connected: pubsub (pubsub.sqlite/v1)")
        publishers.stop()
        self.assertLessEqual(set(self.ledger.statuses), {204, 503, 504, 500}, self.ledger.statuses)
        self.assertTrue(os.path.exists(self.path))
        before = self.ledger.delivered_count
        ok = self.ledger.ok
        self.publishers(self.running, 8)
        self.running.wait_for(lambda: self.ledger.ok > ok + 100 and
                               self.ledger.delivered_count > before + 100, "all goes on", 20)
        self.stop_all_publishers()
        self.assertEqual(self.ledger.wrong, [])

    def test_file_that_was_replaced(self):
        """The new file holds what it held, and the old one, under its new name, all that was
        acknowledged before; the log that lay between them goes to neither by mistake."""
        other, old = self.path + ".other", self.path + ".old"
        self.make(50, connectionString=other)
        os.link(self.path, old)
        os.rename(other, self.path)
        self.wait_log("was removed or replaced")
        self.wait_log("Component connected: pubsub (pubsub.sqlite/v1)")
        stored = self.ledger.ok
        self.work(200)
        self.assertEqual(self.running.end(), 0)
        for path, topic, least in ((old, "ledger", stored), (self.path, "ledger", 200),
                                   (self.path, "t", 50)):
            self.assertEqual(ask(path, "PRAGMA integrity_check"), [("ok",)])
            rows = ask(path, f"SELECT count(*) FROM messages WHERE topic = '{topic}'")
            self.assertGreaterEqual(rows[0][0], least, (path, topic))

    def test_file_that_was_replaced_by_something_else(self):
        with open(self.path + ".other", "wb") as file:
            file.write(b"nothing of ours" * 100)
        os.rename(self.path + ".other", self.path)
        self.wait_log("was removed or replaced")
        with Client(self.running.address) as client:
            self.running.wait_for(
                lambda: self.running.publish_on(client, "ledger").status == 503, "503", 15)
            got = self.running.publish_on(client, "ledger")
        self.assertIn(f"{self.path} is not a SQLite database", got.json["message"])
        self.assertEqual(self.running.health(), 204)
        os.remove(self.path)
        self.running.wait_for(lambda: self.running.publish("t").status == 204, "it is up again",
                               30)
        self.work(100)

    def test_damage_while_it_runs(self):
        """All pages but the first are overwritten, behind the back of a gateway that has a backlog
        of more than it keeps in memory."""
        self.app.verdict = lambda delivery: None
        ok = self.ledger.ok
        publishers = self.publishers(self.running, 64)
        self.running.wait_for(lambda: self.ledger.ok >= ok + 40000, "a backlog")
        publishers.stop()
        self.running.wait_for(lambda: self.is_in_place(ok + 40000), "a checkpoint when idle", 15)
        flip(self.path, 4096, os.path.getsize(self.path) - 4096)
        self.app.verdict = lambda delivery: OK
        self.app.let_go()
        self.wait_log(f"{self.path} is damaged: database disk image is malformed")
        with Client(self.running.address) as client:
            got = self.running.publish_on(client, "ledger")
        self.assertEqual(got.status, 503, got)
        self.assertIn(f"{self.path} is damaged: database disk image is malformed",
                      got.json["message"])
        self.assertEqual(self.running.health(), 204)
        self.assertEqual(self.running.metric("fairlead_connector_up"), 0)
        self.assertEqual(self.running.end(), 0)
        self.assertEqual(self.ledger.wrong, [])
        self.assert_refused(f"{self.path} is damaged: database disk image is malformed")

    def is_in_place(self, count):
        """The messages are in the database itself, seen by a reader that ignores the log."""
        db = sqlite3.connect(f"file:{self.path}?immutable=1", uri=True)
        try:
            return db.execute("SELECT count(*) FROM message").fetchone()[0] >= count
        except sqlite3.Error:
            return False  # half of a checkpoint
        finally:
            db.close()


class Bound(DiskStory):
    def test_max_bytes(self):
        app = self.application(subscription("ledger"), verdict=lambda delivery: None)
        gateway = self.on_file(app=app, maxBytes="4Mi")
        publishers = self.publishers(gateway, 64)
        gateway.wait_for(lambda: self.ledger.statuses[429] >= 300, "publishes get 429", 30)
        publishers.stop()
        got = gateway.publish("ledger")
        self.assertEqual((got.status, got.fields["retry-after"]), (429, "1"), got)
        self.assertIn(f"{self.path} holds its maxBytes (4194304), and every message in it is "
                      "unsettled", got.json["message"])
        stored = self.ledger.ok
        used = gateway.metric("fairlead_connector_used_bytes")
        self.assertLess(used, 4 * 1024 * 1024 * 1.5)
        app.verdict = lambda delivery: OK
        app.let_go()
        self.ledger.wait_paid(30)
        again = self.publishers(gateway, 64)
        gateway.wait_for(lambda: self.ledger.ok >= stored + 5000, "publishing goes on", 30)
        again.stop()
        figure(f"maxBytes 4Mi: {stored} stored, {used / (1 << 20):.2f} MiB used when publishing "
               f"was refused; {self.ledger.ok - stored} more after the backlog was settled")
        self.ledger.wait_paid(30)
        self.assertEqual(self.ledger.twice(), {})
        wait_for(self.has_settled, "the group has settled everything")
        self.assertEqual(gateway.end(), 0)
        self.check_file()


if __name__ == "__main__":
    unittest.main()
