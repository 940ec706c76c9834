"""Resources that change: a change on disk is said, SIGHUP reads it, and nothing is left behind of
what was removed.
"""
import os
import signal
import unittest

from harness import IS_SANITIZED, Story, component, subscription

DECLARED = """apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {{name: declared-{number}}}
spec:
  pubsubname: pubsub
  topic: topic-{number}
  routes: {{default: /declared}}
"""
ROUNDS, SUBSCRIPTIONS = 10, 1000


class Reload(Story):
    def put(self, gateway, name, text):
        """As editors do: beside it, then renamed over it."""
        path = os.path.join(gateway.resources, name)
        with open(path + ".tmp", "w", encoding="utf-8") as out:
            out.write(text)
        os.rename(path + ".tmp", path)
        return path

    def reload(self, gateway):
        before = gateway.log().count("dapr initialized")
        gateway.signal(signal.SIGHUP)
        gateway.wait_for(lambda: gateway.log().count("dapr initialized") > before
                         and gateway.health() == 204, "it has started again")

    def names(self, gateway):
        return sorted(one["name"] for one in gateway.get("/v1.0/metadata").json["components"])

    def test_a_change_on_disk_is_said_once(self):
        gateway = self.gateway()
        self.put(gateway, "more.yaml", component("more"))
        os.unlink(os.path.join(gateway.resources, "00.yaml"))
        gateway.wait_log("Resources changed on disk: ")
        line = next(line for line in gateway.log().splitlines() if "changed on disk" in line)
        self.assertIn("/resources/more.yaml", line)
        self.assertIn("/resources/00.yaml", line)
        self.assertIn("until SIGHUP or the next start", line)
        self.assertNotIn(".tmp", line)
        self.assertEqual(self.names(gateway), ["pubsub"])

    def test_sighup_reads_it(self):
        gateway = self.gateway()
        self.put(gateway, "more.yaml", component("more"))
        self.reload(gateway)
        self.assertEqual(self.names(gateway), ["more", "pubsub"])

    def test_a_configuration_file_is_watched_too(self):
        gateway = self.gateway("--config", "{folder}/config.yaml", awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        path = os.path.join(gateway.folder, "config.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("kind: Configuration\n")
        gateway = self.gateway("--config", path)
        with open(path, "a", encoding="utf-8") as out:
            out.write("# changed\n")
        gateway.wait_log("Resources changed on disk: " + path)

    def test_other_files_are_not_mentioned(self):
        gateway = self.gateway()
        with open(os.path.join(gateway.resources, "notes.txt"), "w", encoding="utf-8") as out:
            out.write("nothing")
        self.put(gateway, "more.yaml", component("more"))
        gateway.wait_log("Resources changed on disk: ")
        self.assertNotIn("notes.txt", gateway.log())

    def test_subscriptions_that_come_and_go_leave_no_memory(self):
        app = self.app(subscription("own"))
        gateway = self.gateway(app=app)
        text = "---\n".join(DECLARED.format(number=number) for number in range(SUBSCRIPTIONS))
        sizes = []
        for _ in range(ROUNDS + 1):
            path = self.put(gateway, "subscriptions.yaml", text)
            self.reload(gateway)
            listed = gateway.get("/v1.0/metadata").json["subscriptions"]
            self.assertEqual(len(listed), SUBSCRIPTIONS + 1)
            os.unlink(path)
            self.reload(gateway)
            self.assertEqual(len(gateway.get("/v1.0/metadata").json["subscriptions"]), 1)
            sizes.append(gateway.memory_bytes("VmRSS"))
        print(f"{ROUNDS * SUBSCRIPTIONS} subscriptions came and went: resident "
              f"{sizes[0] / 2**20:.1f} MiB before, {sizes[-1] / 2**20:.1f} MiB after", flush=True)
        if not IS_SANITIZED:  # which keeps what was freed, and tells of leaks itself
            self.assertLess(abs(sizes[-1] - sizes[0]), 0.1 * sizes[0])


if __name__ == "__main__":
    unittest.main()
