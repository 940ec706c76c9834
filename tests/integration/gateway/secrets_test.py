"""Values of components from secret stores and the environment, and the folder that `dapr init`
writes: what is served, what is skipped with a line, and that no secret is ever shown."""
import json
import os
import re
import signal
import tempfile
import unittest

from harness import Story, component, subscription

SECRET = "hunter2-Zq8vX1"
SHOWN_NOWHERE = (SECRET, "other-Kk3wB7", "env-Yp5tR9", "deep-Hc2nM4")


def needing(name, store, kind="pubsub.in-memory", key="topics", secret="topics", extra=""):
    """A component whose `allowedTopics` comes from a store."""
    return (f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n"
            f"spec:\n  type: {kind}\n  version: v1\n{extra}  metadata:\n"
            f"  - name: {key}\n    secretKeyRef: {{name: {secret}}}\n"
            f"auth: {{secretStore: {store}}}\n").replace("name: topics\n    sec",
                                                        "name: allowedTopics\n    sec")


def lenient(document):
    return document.replace("spec:", "spec:\n  ignoreErrors: true")


class WithFolder(Story):
    """A folder for the files of secrets."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="fairlead-secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file_store(self, name="store", content=None, mode=0o600, **metadata):
        path = os.path.join(self.folder, name + ".json")
        with open(path, "w", encoding="utf-8") as out:
            out.write(content if content is not None else json.dumps({
                "topics": "good," + SECRET, "prefix": "MY_", "number": SECRET,
                "deep": {"er": SHOWN_NOWHERE[3]}, "list": ["zero", SHOWN_NOWHERE[1]]}))
        os.chmod(path, mode)
        return component(name, "secretstores.local.file", secretsFile=path, **metadata)

    def allows(self, gateway, pubsub, *topics):
        for topic in topics + ("other",):
            status = gateway.publish(topic, pubsub=pubsub).status
            self.assertEqual(status, 204 if topic in topics else 403, topic)

    def ends(self, *texts, documents, **more):
        gateway = self.gateway(documents=documents, awaits=None, **more)
        self.assertEqual(gateway.wait_end(), 1, gateway.log())
        for text in texts:
            self.assertIn(text, gateway.log())
        return gateway.log()


class Secrets(WithFolder):
    def test_a_value_comes_from_a_file_whatever_the_order_of_the_documents(self):
        gateway = self.gateway(documents=(needing("x", "store"), self.file_store()))
        self.allows(gateway, "x", "good")
        log = gateway.log()
        self.assertLess(log.index("Component loaded: store (secretstores.local.file/v1)"),
                        log.index("Component loaded: x (pubsub.in-memory/v1)"))
        self.assertNotIn("level=warning msg=\"store", log)

    def test_a_store_may_need_another_store(self):
        env = needing("envs", "store", "secretstores.local.env", "prefix", "prefix")
        gateway = self.gateway(documents=(needing("x", "envs", secret="TOPICS"), env,
                                          self.file_store()), env={"MY_TOPICS": "good"})
        self.allows(gateway, "x", "good")

    def test_a_component_without_its_store_is_absent_and_the_others_serve(self):
        gateway = self.gateway(documents=(component(), needing("x", "nope"),
                                          needing("state", "nope", "state.redis")))
        self.published(gateway, "t")
        self.assertEqual(gateway.publish("t", pubsub="x").status, 404)
        self.assertIn("Component x references a secret store that isn't loaded: nope",
                      gateway.log())
        self.assertNotIn("Component state references", gateway.log())
        state = gateway.get("/v1.0/metadata?state=true").json["fairlead"]["components"]
        self.assertEqual([(c["name"], c["state"]) for c in state],
                         [("pubsub", "up"), ("x", "absent")])

    def test_a_strict_start_takes_an_absent_store_for_an_error(self):
        gateway = self.gateway("--strict", documents=(needing("x", "nope"),), awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("process component x error: [INIT_COMPONENT_FAILURE]: initialization error "
                      "occurred for x (pubsub.in-memory/v1): Component x references a secret store "
                      "that isn't loaded: nope", gateway.log())

    def test_a_secret_that_is_not_there_is_told_and_the_value_stays_unset(self):
        gateway = self.gateway(documents=(self.file_store(), needing("x", "store", secret="nope")))
        self.published(gateway, "anything", pubsub="x")
        self.assertRegex(gateway.log(),
                         r"01\.yaml:\d+: component x: \w+: Error getting secret: store .{1,3}store"
                         r".{1,3}: secret nope not found; the value stays empty")

    def test_a_file_that_is_broken_ends_the_start_without_showing_it(self):
        bad = self.file_store(content='{"password": ' + SECRET + "}")
        begin = ("[INIT_COMPONENT_FAILURE]: initialization error occurred for store "
                 "(secretstores.local.file/v1): [INIT_COMPONENT_FAILURE]: initialization error "
                 "occurred for store (secretstores.local.file/v1): ")
        log = self.ends("Failed to init component store (secretstores.local.file/v1): " + begin,
                        "Fatal error from runtime: process component store error: " + begin,
                        "store.json:1:", documents=(component(), bad, needing("x", "store")))
        self.assertNotIn(SECRET[:6], log)
        os.unlink(os.path.join(self.folder, "store.json"))
        self.ends(begin + "open " + self.folder + "/store.json: no such file or directory",
                  documents=(component(), bad))

    def test_a_broken_store_that_may_be_ignored_parks_who_needs_it(self):
        bad = lenient(self.file_store(content="{"))
        gateway = self.gateway(documents=(component(), bad, needing("x", "store")))
        self.published(gateway, "t")
        for text in ("Ignoring error processing component: process component store error: ",
                     "Component x references a secret store that isn't loaded: store"):
            self.assertIn(text, gateway.log())
        self.assertEqual(gateway.metric("dapr_runtime_component_init_fail_total",
                                        componentName="store", reason="init"), 1)

    def test_a_file_that_everybody_may_read_is_one_warning(self):
        gateway = self.gateway(documents=(self.file_store(mode=0o644), needing("x", "store")))
        self.assertEqual(gateway.log().count("can be read by every user of this machine"), 1)

    def test_daprs_own_variables_are_never_read(self):
        gateway = self.gateway(
            documents=(component("envs", "secretstores.local.env"),
                       needing("x", "envs", secret="DAPR_FL_TEST")), env={"DAPR_FL_TEST": "good"})
        self.published(gateway, "anything", pubsub="x")
        self.assertIn("may not be read by resources", gateway.log())

    def test_a_store_that_is_not_here_is_skipped_and_breaks_only_who_needs_it(self):
        vault = component("vault", "secretstores.hashicorp.vault", vaultAddr="http://127.0.0.1:1")
        gateway = self.gateway(documents=(component(), vault, lenient(needing("x", "vault"))))
        self.published(gateway, "t")
        for text in ("Component vault (secretstores.hashicorp.vault/v1) is skipped",
                     "is of type secretstores.hashicorp.vault, which is not part of Fairlead"):
            self.assertIn(text, gateway.log())
        self.ends("process component x error: ", "which is not part of Fairlead",
                  documents=(component(), vault, needing("x", "vault")))
        self.ends("couldn't find secret store secretstores.local.fiel/v1",
                  documents=(component(), component("odd", "secretstores.local.fiel")))

    def test_the_scopes_of_the_secrets_api_are_named_as_without_effect(self):
        path = os.path.join(self.folder, "config.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write("spec: {secrets: {scopes: [{storeName: store, defaultAccess: deny}]}}\n")
        gateway = self.gateway("--config", path, documents=(self.file_store(),
                                                            needing("x", "store")))
        self.allows(gateway, "x", "good")
        self.assertEqual(len(re.findall(r"spec\.secrets: has no effect", gateway.log())), 1)
        self.assertEqual(gateway.get("/v1.0/secrets/store/topics").status, 404)


class Shown(WithFolder):
    """Every way in which a value could get out, with everything that writes switched on."""

    def hides(self, text):
        for value in SHOWN_NOWHERE:
            self.assertNotIn(value, text)

    def test_a_value_that_an_option_refuses_is_not_shown(self):
        for name in ("concurrencyMode", "startFrom"):
            with self.subTest(name=name):
                log = self.ends(name, documents=(
                    self.file_store(), needing("x", "store", key=name, secret="number")))
                self.hides(log)

    def test_what_a_connector_says_of_its_settings_hides_them(self):
        if not self.has_sqlite():
            self.skipTest("this build has no pubsub.sqlite")
        log = self.ends("cannot look at the folder ***: Not a directory", documents=(
            self.file_store(content=json.dumps({"path": f"/dev/null/{SECRET}/x.db"})),
            needing("x", "store", "pubsub.sqlite", "connectionString", "path")))
        self.hides(log)

    def has_sqlite(self):
        gateway = self.gateway(documents=(component("p", "pubsub.sqlite"),), awaits=None)
        gateway.wait_for(lambda: gateway.process.poll() is not None or
                         gateway.health() == 204, "a start")
        gateway.end()
        return "no connector serves" not in gateway.log()

    def test_no_answer_metric_or_line_of_the_log_has_a_secret(self):
        app = self.app(subscription("good", pubsub="x"), subscription("t", pubsub="x"))
        more = needing("w", "store", secret="deep:er") + (
            "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: z}\n"
            "spec:\n  type: pubsub.in-memory\n  version: v1\n"
            "  metadata: [{name: allowedTopics, envRef: FL_STORY},"
            " {name: note, secretKeyRef: {name: 'list:1'}}]\nauth: {secretStore: store}\n")
        gateway = self.gateway("--log-level", "debug", "--enable-api-logging", app=app,
                               documents=(self.file_store(), needing("x", "store"), more),
                               env={"FL_STORY": SHOWN_NOWHERE[2]})
        self.allows(gateway, "x", "good")
        for pubsub in "wz":
            self.assertEqual(gateway.publish("t", pubsub=pubsub).status, 403)
        app.wait_got("/good", 1)
        self.hides(gateway.get("/v1.0/metadata?state=true").body.decode())
        self.hides(gateway.publish("bad", pubsub="x").body.decode())
        self.hides(json.dumps(list(map(str, gateway.metrics().values()))))
        if self.catches(gateway, signal.SIGUSR1):
            before = len(gateway.log())
            gateway.signal(signal.SIGUSR1)
            gateway.wait_for(lambda: len(gateway.log()) > before, "the state is in the log")
        gateway.signal(signal.SIGHUP)
        gateway.wait_for(lambda: gateway.log().count("Component loaded: x ") == 2, "read again")
        gateway.wait_for(lambda: gateway.health() == 204, "serves again")
        gateway.end()
        self.hides(gateway.log())

    @staticmethod
    def catches(gateway, number):
        with open(f"/proc/{gateway.pid}/status", encoding="ascii") as status:
            caught = re.search(r"SigCgt:\s+(\w+)", status.read()).group(1)
        return int(caught, 16) >> (number - 1) & 1


# The files of `dapr init`, as its folder has them.
PUBSUB = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: pubsub
spec:
  type: pubsub.redis
  version: v1
  metadata:
  - name: redisHost
    value: localhost:1
  - name: redisPassword
    value: ""
"""
STATE = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.redis
  version: v1
  metadata:
  - name: redisHost
    value: localhost:1
  - name: redisPassword
    value: ""
  - name: actorStateStore
    value: "true"
"""
CONFIGURATION = """apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprConfig
spec:
  tracing:
    samplingRate: "1"
    zipkin:
      endpointAddress: http://localhost:9411/api/v2/spans
"""


class DaprInit(Story):
    def started(self, pubsub, **more):
        folder = tempfile.TemporaryDirectory(prefix="fairlead-init-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "config.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write(CONFIGURATION)
        return self.gateway("--config", path, documents=(pubsub, STATE), **more)

    def test_the_folder_starts_and_tells_once_what_it_does_without(self):
        app = self.app(subscription("t"))
        memory = PUBSUB.replace("pubsub.redis", "pubsub.in-memory")
        gateway = self.started(memory[:memory.index("  metadata:\n  - ")], app=app)
        self.published(gateway, "t")
        app.wait_got("/t", 1)
        log = gateway.log()
        self.assertEqual(log.count("Component statestore (state.redis/v1) is skipped"), 1)
        self.assertEqual(len(re.findall("level=warning.*spans are not exported", log)), 1)
        self.assertEqual([c["name"] for c in gateway.get("/v1.0/metadata").json["components"]],
                         ["pubsub"])

    def test_the_true_folder_is_told_which_connector_it_lacks(self):
        gateway = self.started(PUBSUB, awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn("00.yaml:6: pubsub (pubsub.redis/v1): no connector serves pubsub.redis",
                      gateway.log())


if __name__ == "__main__":
    unittest.main()
