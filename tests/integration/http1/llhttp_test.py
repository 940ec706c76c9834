"""Our parser beside llhttp on mutated requests: tests/fuzz/llhttp_diff.c, built here with Debian's
node-llhttp in its strict form. 100,000 requests; 10,000,000 with FAIRLEAD_SOAK=1. Without the
package the test is skipped and says so."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

SOURCES = ["/usr/share/llhttp/llhttp.c", "/usr/share/llhttp/api.c", "/usr/share/llhttp/http.c"]
HEADERS = "/usr/share/include/llhttp"
COUNT = 10000000 if wire.SOAK else 100000


@unittest.skipUnless(all(map(os.path.exists, SOURCES)), "Debian's node-llhttp is not installed")
class Llhttp(unittest.TestCase):
    def build(self):
        """llhttp is 500 KiB of generated C: its object is kept, ours is linked anew."""
        folder = os.path.join(wire.BUILD, "tests", "fuzz")
        program = os.path.join(folder, "llhttp_diff")
        common = [os.environ.get("CC", "gcc"), "-O2", "-std=c11", "-D_GNU_SOURCE", "-I.",
                  "-I" + HEADERS, "-DLLHTTP_STRICT_MODE=1"]
        os.makedirs(folder, exist_ok=True)
        objects = []
        for source in SOURCES:
            objects.append(os.path.join(folder, os.path.basename(source)[:-2] + ".o"))
            if not os.path.exists(objects[-1]):
                subprocess.run(common + ["-c", source, "-o", objects[-1]], check=True)
        subprocess.run(common + ["-Wall", "-Wextra", "-Werror"] + wire.sanitize_flags() +
                       ["tests/fuzz/llhttp_diff.c"] + objects + wire.archives("net", "base") +
                       ["-o", program], cwd=wire.ROOT, check=True)
        return program

    def test_what_llhttp_refuses_is_refused_and_the_rest_framed_alike(self):
        done = subprocess.run([self.build(), str(COUNT)], stdout=subprocess.PIPE, text=True,
                              errors="replace", check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("UNEXPLAINED", done.stdout)


if __name__ == "__main__":
    unittest.main()
