"""Calls of output bindings under policies, when the component is away, the client leaves, or the
component says too much.

The bindings are those of input_test.py's story, and bindings.http where somebody has to answer.
"""
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Client, free_port, resiliency, wait_for  # noqa: E402
from input_test import Inputs, binding  # noqa: E402


def outbound(policies, name="tick", **names):
    """A Resiliency for the calls of a binding."""
    return resiliency(policies, {name: {"outbound": names}})


def for_ever(duration, name="tick"):
    return outbound({"retries": {"ever": {"policy": "constant", "duration": duration}}},
                    name=name, retry="ever")


class Outputs(Inputs):
    @staticmethod
    def call(client, name="tick", operation="emit", **more):
        body = json.dumps({"operation": operation, **more}).encode()
        return client.send("POST", f"/v1.0/bindings/{name}", body)

    def under_way(self, gateway):
        """Requests that the gateway owes something, by its own word."""
        lines = gateway.log().count("requests_under_way=")
        gateway.signal(signal.SIGUSR1)
        gateway.wait_for(lambda: gateway.log().count("requests_under_way=") > lines, "its state")
        last = gateway.log().rsplit("requests_under_way=", 1)[1]
        return int(last.split(" ")[0].rstrip('"'))

    def away(self, policy):
        """A gateway whose component is away for long."""
        gateway = self.inputs(documents=[binding(), policy])
        self.order(gateway, "down", ms=600000)
        gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 0, "it is down")
        return gateway


class Retries(Outputs):
    def test_no_wait_between_attempts_leaves_the_rest_alone(self):
        """Calls of a component that is away fail at once, and are made again at once."""
        for duration in ("0s", "0"):
            gateway = self.away(for_ever(duration))
            with Client(gateway.address) as client:
                self.call(client)
                gateway.wait_for(lambda: gateway.health() == 204, "others are served")

    def test_nobody_is_called_for_who_has_left(self):
        gateway = self.away(for_ever("20ms"))
        clients = [Client(gateway.address) for _ in range(20)]
        for client in clients:
            self.call(client)
        wait_for(lambda: self.under_way(gateway) == 20, "all are under way")
        for number, client in enumerate(clients):
            (client.reset if number % 2 else client.close)()
        wait_for(lambda: self.under_way(gateway) == 0, "none is under way")

    def test_who_has_left_is_found_out_while_its_connection_was_to_end_anyway(self):
        gateway = self.away(for_ever("20ms"))
        with Client(gateway.address) as client:
            body = json.dumps({"operation": "emit"}).encode()
            client.send("POST", "/v1.0/bindings/tick", body, Connection="close")
            wait_for(lambda: self.under_way(gateway) == 1, "it is under way")
        wait_for(lambda: self.under_way(gateway) == 0, "it is not under way")


class Secrets(Outputs):
    def test_failures_do_not_tell_them(self):
        secret = "127.0.0.1:%d/hush-hush-4711" % free_port()
        document = ("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: out}\nspec:\n"
                    "  type: bindings.http\n  version: v1\n"
                    "  metadata: [{name: url, envRef: HIDDEN_URL}]\n")
        gateway = self.gateway(documents=[document], env={"HIDDEN_URL": "http://" + secret})
        with Client(gateway.address) as client:
            got = self.call(client, "out", "get").read()
        self.assertEqual(got.status, 500, got)
        self.assertNotIn("hush", got.body.decode())
        self.assertNotIn(secret.split("/")[0], got.body.decode())


if __name__ == "__main__":
    unittest.main()
