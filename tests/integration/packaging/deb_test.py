"""The Debian packages: what is in them, what they depend on, and whether they work where they are
unpacked. With FAIRLEAD_SOAK=1, as root: in a fresh Debian tree they are installed, run, updated,
removed and purged by apt itself.
"""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import FAIRLEAD, Client, free_port, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SYSTEMS = sorted(os.path.basename(path)[len("connector-"):-len(".so")] for path in
                 glob.glob(os.path.join(os.path.dirname(FAIRLEAD), "connectors", "*.so")))


def run(*command, **more):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **more)
    if done.returncode:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


class WithPackages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="fairlead-deb-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        stage, cls.out = os.path.join(cls.folder, "stage"), os.path.join(cls.folder, "out")
        build = os.path.relpath(os.path.dirname(FAIRLEAD), ROOT)
        run("make", "-s", f"BUILD={build}", "install", "PREFIX=/usr", f"DESTDIR={stage}", cwd=ROOT)
        run(os.path.join(ROOT, "packaging", "deb"), stage, cls.out)
        cls.packages = {os.path.basename(path).split("_")[0]: path
                        for path in glob.glob(os.path.join(cls.out, "*.deb"))}
        cls.root = os.path.join(cls.folder, "root")
        for path in cls.packages.values():
            run("dpkg-deb", "-x", path, cls.root)


@unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg is not here")
@unittest.skipUnless(SYSTEMS, "this build has its connectors linked in")
class Packages(WithPackages):
    def field(self, package, name):
        return run("dpkg-deb", "-f", self.packages[package], name).strip()

    def inside(self, *path):
        return os.path.join(self.root, *path)

    def test_there_is_one_for_each_connector(self):
        self.assertEqual(sorted(self.packages), sorted(
            ["fairlead", "fairlead-dev"] + [f"fairlead-connector-{one}" for one in SYSTEMS]))

    def test_only_a_connector_depends_on_its_library(self):
        self.assertIn("libuv1", self.field("fairlead", "Depends"))
        for library, system in (("libsqlite3", "sqlite"), ("libcurl", "http")):
            self.assertNotIn(library, self.field("fairlead", "Depends"))
            self.assertIn(library, self.field(f"fairlead-connector-{system}", "Depends"))
        version = self.field("fairlead", "Version")
        for system in SYSTEMS:
            self.assertIn(f"fairlead (= {version})",
                          self.field(f"fairlead-connector-{system}", "Depends"))

    def test_the_headers_bring_what_they_include(self):
        self.assertIn("libck-dev", self.field("fairlead-dev", "Depends"))

    def test_what_a_user_edits_is_a_configuration_file(self):
        control = os.path.join(self.folder, "control")
        run("dpkg-deb", "-e", self.packages["fairlead"], control)
        with open(os.path.join(control, "conffiles"), encoding="ascii") as conffiles:
            paths = conffiles.read().split()
        self.assertEqual(sorted(paths), sorted(
            path[len(self.root):] for path in glob.glob(self.inside("etc", "**"), recursive=True)
            if os.path.isfile(path)))

    def test_page_completions_and_unit_are_there(self):
        for path in ("usr/share/man/man1/fairlead.1.gz", "lib/systemd/system/fairlead.service",
                     "usr/share/bash-completion/completions/fairlead",
                     "usr/share/zsh/vendor-completions/_fairlead",
                     "usr/share/fish/vendor_completions.d/fairlead.fish",
                     "usr/include/fairlead/connectors/connector.h",
                     "usr/share/doc/fairlead/copyright"):
            self.assertGreater(os.path.getsize(self.inside(path)), 200, path)

    def test_the_unit_is_sound(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here")
        unit = os.path.join(self.folder, "fairlead.service")
        with open(self.inside("lib/systemd/system/fairlead.service"), encoding="utf-8") as given, \
                open(unit, "w", encoding="utf-8") as out:
            out.write(given.read().replace("/usr/bin/fairlead", self.inside("usr/bin/fairlead")))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        mine = [line for line in done.stdout.splitlines() if "fairlead.service" in line]
        self.assertEqual(mine, [])

    def test_the_executable_finds_its_modules_where_they_are(self):
        listed = run(self.inside("usr/bin/fairlead"), "options")
        for kind in ("pubsub.in-memory", "pubsub.sqlite", "bindings.http", "bindings.cron",
                     "bindings.localstorage"):
            self.assertIn(kind, listed)

    def test_the_folder_that_comes_with_it_is_sound(self):
        run(self.inside("usr/bin/fairlead"), "check", self.inside("etc/fairlead/resources"))

    def test_it_runs_under_the_name_of_daprd(self):
        daprd = self.inside("usr/lib/fairlead/.dapr/bin/daprd")
        self.assertTrue(os.path.islink(daprd))
        self.assertRegex(run(daprd, "--version").strip(), r"^\d+\.\d+\.\d+$")

    def test_it_serves_as_the_unit_starts_it(self):
        port = free_port()
        gateway = subprocess.Popen(
            [self.inside("usr/bin/fairlead"), "--app-id", "fairlead", "--resources-path",
             self.inside("etc/fairlead/resources"), "--data-dir", self.folder,
             "--dapr-listen-addresses", "127.0.0.1", "--metrics-listen-address", "127.0.0.1",
             "--dapr-http-port", str(port), "--metrics-port", str(free_port())],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(gateway.kill)

        def is_up():
            try:
                with Client(("127.0.0.1", port)) as client:
                    return client.exchange("GET", "/v1.0/healthz").status == 204
            except OSError:
                return False

        wait_for(is_up, "healthz is 204")
        with Client(("127.0.0.1", port)) as client:
            got = client.exchange("POST", "/v1.0/publish/pubsub/orders", b"{}",
                                  Content_Type="application/json")
        self.assertEqual(got.status, 204, got)
        gateway.send_signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(timeout=20), 0)


@unittest.skipUnless(os.environ.get("FAIRLEAD_SOAK"), "only in the long form (make soak)")
@unittest.skipUnless(os.getuid() == 0 and shutil.which("debootstrap"),
                     "needs root and debootstrap")
class FreshTree(WithPackages):
    """A Debian tree of its own, with the machine's own package sources."""

    SAID = ("published 204", "left with 0", "page 1", "the connector is gone",
            "removed, settings kept", "purged")
    IN_THE_TREE = """set -e
apt-get update -q >/dev/null
cd /packages
apt-get install -q -y --no-install-recommends ./*.deb curl >/dev/null
fairlead check /etc/fairlead/resources
fairlead --app-id fairlead --resources-path /etc/fairlead/resources --data-dir /var/lib/fairlead \\
  --dapr-listen-addresses 127.0.0.1 >/var/log/fairlead.log 2>&1 &
pid=$!
for _ in $(seq 100); do
  curl -sf -o /dev/null http://127.0.0.1:3500/v1.0/healthz && break
  sleep 0.1
done
curl -sf -w 'published %{http_code}\\n' -H 'Content-Type: application/json' -d '{}' \\
  http://127.0.0.1:3500/v1.0/publish/pubsub/orders
kill $pid
wait $pid
echo "left with $?"
man_page=$(zcat /usr/share/man/man1/fairlead.1.gz | head -3 | grep -c FAIRLEAD)
echo "page $man_page"
apt-get install -q -y --reinstall --allow-downgrades ./*.deb >/dev/null
apt-get remove -q -y fairlead-connector-sqlite >/dev/null
fairlead options | grep -q pubsub.sqlite && echo "still there" || echo "the connector is gone"
apt-get remove -q -y fairlead >/dev/null
test ! -e /usr/bin/fairlead && test -e /etc/default/fairlead && echo "removed, settings kept"
dpkg --purge fairlead fairlead-dev fairlead-connector-cron fairlead-connector-http \\
  fairlead-connector-localstorage fairlead-connector-sqlite >/dev/null 2>&1 || true
find / -xdev -ipath '*fairlead*' ! -path '/packages*' ! -path '/var/log/*' ! -path '/proc/*' \\
  | sed 's/^/left behind: /'
echo "purged"
"""

    def source(self):
        for path in glob.glob("/etc/apt/sources.list.d/*") + ["/etc/apt/sources.list"]:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as sources:
                    for line in sources:
                        archives = [word for word in line.split()
                                    if "://" in word and word.rstrip("/").endswith("/debian")]
                        if archives and line.startswith(("URIs:", "deb ")):
                            return archives[0]
        return self.skipTest("the machine has no package source")

    def test_installed_run_updated_removed_and_purged(self):
        tree = os.path.join(self.folder, "tree")
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", tree,
            self.source())
        shutil.copy("/etc/resolv.conf", os.path.join(tree, "etc"))
        for name in ("sources.list.d", "apt.conf.d"):
            shutil.copytree(f"/etc/apt/{name}", os.path.join(tree, "etc/apt", name),
                            dirs_exist_ok=True)
        with open(os.path.join(tree, "etc/apt/sources.list"), "w", encoding="ascii"):
            pass
        shutil.copytree(self.out, os.path.join(tree, "packages"))
        run("mount", "--bind", "/proc", os.path.join(tree, "proc"))
        run("mount", "--bind", "/dev", os.path.join(tree, "dev"))
        try:
            began = time.monotonic()
            said = run("chroot", tree, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                       "DEBIAN_FRONTEND=noninteractive", "sh", "-c", self.IN_THE_TREE)
        finally:
            run("umount", os.path.join(tree, "dev"))
            run("umount", os.path.join(tree, "proc"))
        print(f"figure: in a fresh tree, {time.monotonic() - began:.0f} s: "
              + "; ".join(line for line in said.splitlines() if line in self.SAID), flush=True)
        for line in self.SAID:
            self.assertIn(line, said.splitlines())
        self.assertNotIn("left behind", said)


if __name__ == "__main__":
    unittest.main()
