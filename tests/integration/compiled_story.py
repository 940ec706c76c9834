"""Stories with a connector of their own, in C, that does what a test orders and logs what it hears.

It is compiled into a module beside a copy of the gateway; without a C compiler such stories are
skipped.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import FAIRLEAD, Story

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


class CompiledStory(Story):
    """`source` is the connector's file, from tests/integration; `executable` the gateway's copy."""

    source = None

    @classmethod
    def setUpClass(cls):
        compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
        if not compiler:
            raise unittest.SkipTest("no C compiler for the story's connector")
        cls.folder = tempfile.mkdtemp(prefix="fairlead-story-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.mkdir(os.path.join(cls.folder, "connectors"))
        cls.executable = os.path.join(cls.folder, "fairlead")
        shutil.copy(FAIRLEAD, cls.executable)
        subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-g", "-I", ROOT,
                        "-o", os.path.join(cls.folder, "connectors", "connector-story.so"),
                        os.path.join(ROOT, "tests", "integration", cls.source)], check=True)

    @staticmethod
    def heard(gateway, pattern=".*"):
        """The lines of the connector that match as a whole."""
        lines = re.findall(r'story: (.*?)"? (?:scope|app_id|instance)=', gateway.log())
        return [line for line in lines if re.fullmatch(pattern, line)]

    def wait_heard(self, gateway, pattern, count=1):
        return gateway.wait_for(lambda: (lambda got: len(got) >= count and got)(
            self.heard(gateway, pattern)), f"{count} times {pattern!r}")
