"""The official Dapr SDK for JavaScript, unmodified, over HTTP (js/story.js). Its packages are
installed by the lock file into the build folder, once.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import FAIRLEAD, Story, component, free_port

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "js")
POLICY = """apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: story}
spec:
  policies:
    retries:
      three: {policy: constant, duration: 50ms, maxRetries: 3}
  targets:
    components:
      pubsub: {inbound: {retry: three}}
"""
with open(os.path.join(HERE, "story.js"), encoding="utf-8") as source:
    CLAIMS = re.findall(r'^  async "(.*)"\(', source.read(), re.M)


def install():
    """The folder that has node_modules; its name says for which lock file."""
    with open(os.path.join(HERE, "package-lock.json"), "rb") as lock:
        digest = hashlib.sha256(lock.read()).hexdigest()[:12]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
    folder = os.path.join(root, "build", f"sdk-js-{digest}")
    if os.path.exists(os.path.join(folder, "installed")):
        return folder
    os.makedirs(folder, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    done = subprocess.run(["npm", "ci", "--omit=dev", "--no-audit", "--no-fund",
                           "--ignore-scripts"], cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=240, check=False)
    if done.returncode:
        raise AssertionError(f"npm ci: {done.stdout[-2000:]}")
    with open(os.path.join(folder, "installed"), "w", encoding="ascii"):
        return folder


@unittest.skipUnless(shutil.which("node") and shutil.which("npm"), "node or npm is not here")
class Sdk(Story):
    """One run of the story; each claim is a test."""

    def test_the_story(self):
        modules = install()
        shutil.copy(os.path.join(HERE, "story.js"), modules)
        app_port = free_port()
        gateway = self.gateway(
            "--app-port", str(app_port), awaits=None, documents=(
                component(), POLICY,
                component("ticks", "bindings.cron", schedule="@every 300ms"),
                component("failing-ticks", "bindings.cron", schedule="@every 300ms"),
                component("files", "bindings.localstorage", rootPath="files"),
                component("web", "bindings.http", url=f"http://127.0.0.1:{app_port}")))
        environment = dict(os.environ, APP_PORT=str(app_port), APP_ID="story",
                           DAPR_HTTP_PORT=str(gateway.port))
        done = subprocess.run(["node", "story.js"], cwd=modules, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=150,
                              check=False)
        told = {line["claim"]: line["failure"] for line in map(json.loads, done.stdout.splitlines())}
        for claim in CLAIMS:
            with self.subTest(claim):
                self.assertIsNone(told.get(claim, "it was not told: " + done.stderr[-2000:]))
        self.assertEqual(gateway.wait_end(), 0)
        self.assertNotIn("level=error", gateway.log())


if __name__ == "__main__":
    unittest.main()
