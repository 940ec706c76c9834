"""`fairlead check` and `fairlead options`: what they say of folders and types, and their status."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import DEADLINE_S, FAIRLEAD, component


def document(kind, name, spec, version="v1alpha1", more=""):
    return (f"apiVersion: dapr.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
            f"spec:\n{spec}{more}")


def subscription(name, pubsub="pubsub", topic="t", more="", scopes=""):
    return document("Subscription", name, f"  pubsubname: {pubsub}\n  topic: {topic}\n"
                    f"  routes: {{default: /a}}\n{more}", "v2alpha1", scopes)


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fairlead-check-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def write(self, name, *documents):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write("---\n".join(documents))

    def call(self, *arguments, **env):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("DAPR_", "APP_", "NAMESPACE"))}
        done = subprocess.run([FAIRLEAD, *arguments], check=False, capture_output=True, text=True,
                              cwd=self.folder, env={**clean, **env}, timeout=DEADLINE_S)
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            self.assertNotIn(word, done.stderr)
        return done

    def check(self, *arguments, **env):
        """(status, lines but the sums, the sums)"""
        done = self.call("check", *arguments, **env)
        lines = done.stdout.splitlines()
        self.assertEqual(done.stderr, "")
        return done.returncode, lines[:-1], lines[-1]

    def assert_found(self, lines, *wanted):
        """One line for each text wanted, in any order, and no other."""
        left = list(lines)
        for text in wanted:
            found = [line for line in left if line.startswith(text)]
            self.assertTrue(found, f"{text!r} is not in\n" + "\n".join(lines))
            left.remove(found[0])
        self.assertEqual(left, [])


class Check(Command):
    def test_a_sound_folder(self):
        self.write("r/a.yaml", component(), subscription("s"))
        self.assertEqual(self.check("r"),
                         (0, [], "0 errors, 0 warnings; looked at 1 component and 1 subscription"))

    def test_all_errors_come_at_once_with_their_places(self):
        self.write("r/a.yaml", component(allowedTopic="x", consumerMode="sometimes"),
                   component("two", "pubsub.in-memori"),
                   document("Component", "three", "  type: pubsub.in-memory\n  initTimeut: 3s\n"))
        self.write("r/b.yml", component("pubsub"), "a: [\n")
        self.write("r/c.yaml", subscription("s", "pubsubb"),
                   subscription("s2", "two", topic="u"))
        status, lines, sums = self.check("r")
        self.assertEqual(status, 1)
        self.assert_found(
            lines,
            'r/a.yaml:8: error: pubsub (pubsub.in-memory/v1): "allowedTopic" is not a known key; '
            'the nearest known one is "allowedTopics"',
            'r/a.yaml:9: error: pubsub (pubsub.in-memory/v1): consumerMode: found "sometimes"; '
            'accepted: ',
            "r/a.yaml:15: error: two (pubsub.in-memori/v1): no connector serves pubsub.in-memori; "
            "did you mean pubsub.in-memory?",
            'r/a.yaml:23: error: spec: "initTimeut" is not a known field; the nearest known one is '
            '"initTimeout"',
            "r/b.yml:1: error: duplicate definition of Component name pubsub (pubsub.in-memory/v1)",
            "r/b.yml:9:1: error: ",
            'r/c.yaml:1: error: Subscription "s": pubsubname: there is no pub/sub component named '
            '"pubsubb"; the nearest is "pubsub"')
        self.assertTrue(sums.startswith("7 errors, 0 warnings; "), sums)

    def test_json(self):
        self.write("r/a.yaml", component(allowedTopic="x"))
        done = self.call("check", "--json", "r")
        finding, sums = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((finding["severity"], finding["file"], finding["line"]),
                         ("error", "r/a.yaml", 8))
        self.assertEqual(sums, {"errors": 1, "warnings": 0, "components": 1, "subscriptions": 0})
        self.assertEqual(done.returncode, 1)

    def test_folders_that_are_none(self):
        self.write("r/a.yaml", component())
        status, lines, _ = self.check("nowhere", "r/a.yaml", "r")
        self.assertEqual(status, 1)
        self.assert_found(lines, "nowhere: error: there is no such folder",
                          "r/a.yaml: error: it is no folder; accepted: folders of resource files")

    def test_configuration(self):
        self.write("a.yaml", document("Configuration", "a", "  metric: {enabled: 3}\n  fooo: 1\n"))
        self.write("b.yaml", document("Configuration", "b", "  barr: 1\n"))
        status, lines, _ = self.check("--config", "a.yaml", "--config", "b.yaml", "-c", "none.yaml")
        self.assertEqual(status, 1)
        self.assertIn('a.yaml:6: error: spec: "fooo" is not a known field', lines)
        self.assertIn('b.yaml:5: error: spec: "barr" is not a known field', lines)
        self.assertTrue(any(line.startswith("a.yaml:5: error: ") for line in lines), lines)
        self.assertTrue(any("none.yaml" in line and "error: " in line for line in lines), lines)

    def test_topics_outside_of_scopes(self):
        self.write("r/a.yaml", component(allowedTopics="t,u", subscriptionScopes="one=t;two=u",
                                         publishingScopes="one=u;two=u"))
        self.write("r/s.yaml", subscription("for-all", topic="x", more="  deadLetterTopic: z\n"),
                   subscription("for-one", more="  deadLetterTopic: t2\n", scopes="scopes: [one]\n"),
                   subscription("for-two", topic="t", scopes="scopes: [two]\n"))
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        where = " is not among the allowedTopics of pubsub (pubsub.in-memory/v1)"
        self.assert_found(
            lines, f'r/s.yaml:1: error: Subscription "for-all": topic: "x"{where}',
            f'r/s.yaml:1: error: Subscription "for-all": deadLetterTopic: "z"{where}',
            f'r/s.yaml:10: error: Subscription "for-one": deadLetterTopic: "t2"{where}',
            'r/s.yaml:20: error: Subscription "for-two": topic: "t" is not in the '
            'subscriptionScopes that application "two" has in pubsub')
        status, lines, _ = self.check("--app-id", "one", "r")
        self.assertEqual(status, 1)
        self.assertFalse([line for line in lines if "for-two" in line])

    def test_namesakes_for_different_applications_are_fine(self):
        for name in "one", "two":
            self.write(f"r/{name}.yaml", component() + f"scopes: [{name}]\n",
                       subscription("s-" + name, scopes=f"scopes: [{name}]\n"))
        self.assertEqual(self.check("r")[:2], (0, []))
        self.write("r/three.yaml", component() + "scopes: [two, three]\n")
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assert_found(lines, "r/two.yaml:1: error: duplicate definition of Component name ")

    def test_a_subscription_for_applications_that_have_no_such_component(self):
        self.write("r/a.yaml", component() + "scopes: [one]\n",
                   subscription("s", scopes="scopes: [two]\n"))
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assert_found(lines, 'r/a.yaml:9: error: Subscription "s": pubsubname: pubsub '
                                 '(pubsub.in-memory/v1) is in the scope of none of the applications')

    def test_subscriptions(self):
        self.write("r/a.yaml", component(), subscription(
            "s", more="  metadata: {startFrom: earliest, consumerMod: x, rawPayload: '7'}\n"))
        self.write("r/b.yaml", document(
            "Subscription", "t", "  pubsubname: pubsub\n  topic: u\n  routes:\n    rules:\n"
            "    - {match: event.type =, path: /b}\n", "v2alpha1"))
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assert_found(
            lines,
            'r/a.yaml:15: error: Subscription "s": "consumerMod" is not a known key; the nearest',
            'r/a.yaml:15: error: Subscription "s": rawPayload: found "7"',
            'r/a.yaml:15: error: Subscription "s": startFrom: found "earliest"; accepted: nothing',
            'r/b.yaml:1: error: Subscription "t": rule 1, match event.type =')

    def test_what_a_connectors_own_check_finds_has_a_place(self):
        self.write("r/a.yaml", component(), component("tick", "bindings.cron", schedule="at noon",
                                                      direction="sideways"))
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assertTrue(lines[0].startswith("r/a.yaml:"), lines)
        self.assertIn("error: tick (bindings.cron/v1): schedule: ", lines[0])

    def test_other_building_blocks_are_noted_and_fine(self):
        self.write("r/a.yaml", component(), component("store", "state.redis"))
        status, lines, _ = self.check("--strict", "r")
        self.assertEqual(status, 0)
        self.assert_found(lines, "r/a.yaml:8: note: store (state.redis/v1): it is skipped")

    def test_warnings_count_under_strict(self):
        self.write("r/a.yaml", component())
        self.write("r/README.md", "words\n")
        status, lines, _ = self.check("r")
        self.assertEqual((status, len(lines)), (0, 1))
        self.assertIn("warning: ", lines[0])
        self.assertEqual(self.check("--strict", "r")[0], 1)

    def test_a_secret_store_that_is_not_there(self):
        self.write("r/a.yaml", component().rstrip() +
                   "\n  metadata:\n  - {name: consumerID, secretKeyRef: {name: a, key: b}}\n"
                   "auth: {secretStore: nowhere}\n")
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("r/a.yaml:1: error: pubsub (pubsub.in-memory/v1): "), lines)
        self.assertIn("nowhere", lines[0])

    def test_no_secret_is_printed(self):
        with open(os.path.join(self.folder, "secrets.json"), "w", encoding="utf-8") as out:
            json.dump({"mode": "hunter2hunter2"}, out)
        self.write("r/a.yaml", component("store", "secretstores.local.file",
                                         secretsFile=os.path.join(self.folder, "secrets.json")),
                   component().rstrip() +
                   "\n  metadata:\n  - {name: consumerMode, secretKeyRef: {name: mode}}\n"
                   "auth: {secretStore: store}\n")
        done = self.call("check", "r")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("consumerMode: ", done.stdout)
        self.assertNotIn("hunter2", done.stdout)

    def test_undefined_policies(self):
        self.write("r/a.yaml", component())
        self.write("r/b.yaml", document(
            "Resiliency", "x", "  policies:\n    retries: {again: {policy: constant}}\n  targets:\n"
            "    components:\n      pubsub: {outbound: {retry: agai, circuitBreaker: nope}}\n"))
        status, lines, _ = self.check("r")
        self.assertEqual(status, 1)
        self.assertTrue(any("nope" in line and line.startswith("r/b.yaml:") for line in lines), lines)
        self.assertTrue(any("agai" in line and line.startswith("r/b.yaml:") for line in lines), lines)


class Options(Command):
    def test_the_list(self):
        done = self.call("options")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("pubsub.in-memory\n    A broker inside the process", done.stdout)
        names = self.call("options", "--names").stdout.split()
        self.assertEqual(names, sorted(names))
        self.assertIn("pubsub.in-memory", names)
        for name in names:
            self.assertIn(name, done.stdout)

    def test_every_type_has_a_manual(self):
        for name in self.call("options", "--names").stdout.split():
            with self.subTest(name=name):
                done = self.call("options", name)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith(name + "\n"))
                if not name.startswith("secretstores."):
                    self.assertIn("\nKnown to every ", done.stdout)
                # A line is longer than a terminal only where a single word is.
                for line in done.stdout.splitlines():
                    self.assertTrue(len(line) <= 80 or " " not in line.strip(), line)

    def test_an_unknown_type(self):
        done = self.call("options", "pubsub.in-memori")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("did you mean pubsub.in-memory?", done.stderr)


if __name__ == "__main__":
    unittest.main()
