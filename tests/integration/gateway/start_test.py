"""How the gateway starts: what it is given, what it refuses and with which words, and the ways to
reach it."""
import os
import tempfile
import unittest

from harness import (FAIRLEAD, OK, Client, Story, component, free_port, make_certificate,
                     parse_metrics, subscription)


class Refusals(Story):
    """What ends the process before it serves. Each ends with status 1 unless said otherwise."""

    def ends(self, status, *texts, flags=(), documents=(component(),), **more):
        gateway = self.gateway(*flags, documents=documents, awaits=None, **more)
        self.assertEqual(gateway.wait_end(), status, gateway.log())
        for text in texts:
            self.assertIn(text, gateway.log())
        return gateway.log()

    def starts(self, *texts, flags=(), documents=(component(),)):
        """Serves all the same, and says why it does not do everything."""
        gateway = self.gateway(*flags, documents=documents)
        for text in texts:
            self.assertIn(text, gateway.log())
        self.published(gateway, "t")
        return gateway

    def test_unknown_component_type(self):
        self.ends(1, "Fatal error from runtime: ", "process component other error: ",
                  "[CREATE_COMPONENT_FAILURE]: initialization error occurred for "
                  "other (pubsub.in-memori/v1): couldn't find message bus pubsub.in-memori/v1",
                  "Error processing component, daprd will exit gracefully",
                  documents=(component(), component("other", "pubsub.in-memori")))

    def test_unknown_category(self):
        self.ends(1, "process component other error: incorrect type pubsup.in-memory",
                  documents=(component("other", "pubsup.in-memory"),))

    def test_unknown_component_type_that_may_be_ignored(self):
        lenient = component("other", "pubsub.nothing").replace("spec:", "spec:\n  ignoreErrors: true")
        self.starts("Ignoring error processing component: process component other error: ",
                    documents=(component(), lenient))

    def test_component_of_another_building_block(self):
        self.starts("store (state.redis/v1) is skipped",
                    documents=(component(), component("store", "state.redis")))

    def test_value_that_an_option_does_not_take(self):
        log = self.ends(1, documents=(component(concurrencyMode="sideways"),))
        for text in ("concurrencyMode", "sideways", "parallel", "00.yaml"):
            self.assertIn(text, log)

    def test_option_that_is_nearly_known(self):
        log = self.ends(1, documents=(component(concurencyMode="parallel"),))
        self.assertIn("concurrencyMode", log)

    def test_option_that_is_unknown(self):
        self.starts("colour", documents=(component(colour="blue"),))
        self.ends(1, "colour", flags=("--strict",), documents=(component(colour="blue"),))

    def test_two_components_of_one_name(self):
        self.ends(1, "duplicate definition of Component name pubsub (pubsub.in-memory/v1) with "
                     "existing pubsub (pubsub.in-memory/v1)", documents=(component(), component()))

    def test_document_that_is_no_yaml(self):
        """It is left out and told; the other files count."""
        self.starts("01.yaml", documents=(component(), "kind: Component\n  broken: [\n"))

    def test_document_of_a_wrong_type(self):
        wrong = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: x}\nspec: [1]\n"
        self.starts("01.yaml", documents=(component(), wrong))

    def test_subscription_with_a_rule_that_does_not_parse(self):
        bad = ("apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\nspec:\n"
               "  pubsubname: pubsub\n  topic: t\n"
               "  routes: {rules: [{match: 'event.type ==', path: /a}]}\n")
        self.ends(1, "failed to load declarative subscriptions", documents=(component(), bad))

    def test_folder_that_is_not_there(self):
        log = self.ends(1, "Fatal error from runtime: ", flags=("--resources-path", "/no/such"))
        self.assertIn("/no/such", log)

    def test_configuration_that_is_not_there(self):
        self.ends(1, "error loading configuration", flags=("--config", "/no/such.yaml"))

    def test_command_lines(self):
        port = str(free_port())
        for flags, status, text in (
                (["--version"], 0, ""),
                (["--nonsense"], 2, "unknown flag: --nonsense"),
                (["--app-id"], 2, "flag needs an argument: --app-id"),
                (["--app-max-concurrency", "x"], 2, 'invalid argument "x" for '
                                                    '"--app-max-concurrency" flag'),
                ([], 1, "parameter app-id cannot be empty"),
                (["--app-id", "a.b"], 1, "parameter app-id cannot contain dots"),
                (["--app-id", "a", "--mode", "x"], 1, "invalid mode: x"),
                (["--app-id", "a", "--app-protocol", "x"], 1, "invalid value for 'app-protocol': x"),
                (["--app-id", "a", "--app-port", port, "--dapr-http-port", port], 1,
                 f"the 'dapr-http-port' argument value {port} conflicts with 'app-port'"),
                (["--app-id", "a", "--max-body-size", "4Q"], 1, "Failed to parse flags: "),
                (["--app-id", "a", "--log-level", "loud"], 1,
                 "invalid value for --log-level: loud"),
                (["--app-id", "a", "--enable-mtls"], 1, "mtls"),
        ):
            with self.subTest(flags=flags):
                self.ends(status, text, is_bare=True, flags=flags)

    def test_ports_that_are_taken(self):
        first = self.gateway()
        self.ends(1, "bind", flags=("--metrics-port", str(first.metrics_port)))


class Ways(Story):
    def test_empty_environment_and_absolute_path(self):
        """Nothing is looked for by PATH, HOME or the working folder."""
        app = self.app(subscription("t"))
        gateway = self.gateway(app=app, executable=os.path.abspath(FAIRLEAD), environment={})
        self.published(gateway, "t", 1)
        app.wait_got("/t", 1)

    def test_tokens(self):
        app = self.app(subscription("t"))
        gateway = self.gateway("--enable-app-health-check", "--app-health-probe-interval", "1",
                               app=app, env={"DAPR_API_TOKEN": "into", "APP_API_TOKEN": "out of"})
        refused = gateway.publish("t")
        self.assertEqual((refused.status, refused.body), (401, b"invalid api token\n"))
        self.assertEqual(gateway.publish("t", dapr_api_token="inte").status, 401)
        self.assertEqual(gateway.get("/v1.0/metadata").status, 401)
        self.assertEqual(gateway.health("healthz/outbound"), 204)
        gateway.wait_for(lambda: gateway.metric("fairlead_window") > 0, "it is subscribed")
        self.assertEqual(gateway.publish("t", 1, dapr_api_token="into").status, 204)
        app.wait_got("/t", 1)
        sent = {r.path: r.fields.get("dapr-api-token") for r in app.got() + app.got(method="GET")}
        self.assertEqual(sent, {"/t": "out of", "/dapr/config": "out of",
                                "/dapr/subscribe": "out of", "/healthz": None})

    def test_application_behind_tls(self):
        """Its certificate is its own; nobody checks it, as daprd does not."""
        with tempfile.TemporaryDirectory() as folder:
            app = self.app(subscription("t"), context=make_certificate(folder))
        gateway = self.gateway("--app-protocol", "https", app=app)
        for number in range(5):
            self.published(gateway, "t", number)
        app.wait_got("/t", 5)
        self.published(gateway, "t", "x" * 300000)
        self.assertEqual(app.wait_got("/t", 6)[-1].data, "x" * 300000)
        # Looking for the port is a connection of its own; the others carry everything.
        self.assertLessEqual(app.connection_count, 3)
        app.close_idle()
        self.published(gateway, "t", "again")
        app.wait_got("/t", 7)
        self.assertEqual(gateway.metric("fairlead_retried_total"), 0)

    def test_unix_socket(self):
        app = self.app(subscription("t"))
        with tempfile.TemporaryDirectory(prefix="fl-") as folder:
            path = os.path.join(folder, "dapr-story-http.socket")
            gateway = self.gateway("--unix-domain-socket", folder, app=app, awaits=None)
            gateway.address = path
            gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")
            self.published(gateway, "t", 1)
            app.wait_got("/t", 1)
            with self.assertRaises(ConnectionError):
                Client(("127.0.0.1", gateway.port))
            gateway.signal()
            self.assertEqual(gateway.wait_end(), 0)
            self.assertFalse(os.path.exists(path))

    def test_public_port(self):
        port = free_port()
        gateway = self.gateway("--dapr-public-port", str(port), "--dapr-public-listen-address",
                               "127.0.0.1", env={"DAPR_API_TOKEN": "into"})
        with Client(("127.0.0.1", port)) as client:
            self.assertEqual(client.exchange("GET", "/v1.0/healthz").status, 204)
            self.assertEqual(client.exchange("GET", "/v1.0/metadata").json["id"], "story")
            missing = client.exchange("POST", "/v1.0/publish/pubsub/t", b"{}")
            self.assertEqual((missing.status, missing.body), (404, b"404 page not found\n"))
        self.assertEqual(gateway.health(), 204)

    def test_metrics_text(self):
        app = self.app(subscription("t"), on_event=lambda request: OK)
        gateway = self.gateway(app=app)
        topic = 'odd "quoted" \\ topic\n'
        self.published(gateway, "t")
        self.published(gateway, "odd%20%22quoted%22%20%5C%20topic%0A")
        app.wait_got("/t", 1)
        gateway.wait_for(lambda: gateway.metric("fairlead_delivered_total") == 1, "delivered")
        with Client(("127.0.0.1", gateway.metrics_port)) as client:
            got = client.exchange("GET", "/any/path")
        self.assertEqual(got.fields["content-type"].split(";")[:2], ["text/plain", " version=0.0.4"])
        text = got.body.decode()
        families = parse_metrics(text)
        for name in ("dapr_http_server_request_count", "dapr_component_pubsub_ingress_count",
                     "dapr_component_pubsub_egress_count", "dapr_runtime_component_loaded",
                     "fairlead_published_total", "fairlead_budget_bytes", "fairlead_connections",
                     "fairlead_loop_lag_seconds", "process_resident_memory_bytes"):
            self.assertIn(name, families)
        topics = {dict(labels)["topic"] for labels in families["fairlead_published_total"]}
        self.assertIn(topic.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"), topics)
        buckets = {}
        for labels, value in families["dapr_http_server_latency_bucket"].items():
            labels = dict(labels)
            bound = float(labels.pop("le"))
            buckets.setdefault(tuple(labels.items()), []).append((bound, value))
        for labels, rows in buckets.items():
            counts = [value for _, value in sorted(rows)]
            self.assertEqual(counts, sorted(counts))
            self.assertEqual(counts[-1], families["dapr_http_server_latency_count"][labels])
        typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        self.assertLessEqual({name for name in families if name.startswith("fairlead_")}, typed)

    def test_metrics_that_are_switched_off(self):
        gateway = self.gateway("--enable-metrics=false")
        with self.assertRaises(ConnectionError):
            Client(("127.0.0.1", gateway.metrics_port))

    def test_wait_client(self):
        gateway = self.gateway()
        waiting = self.gateway("--wait", "--dapr-http-port", str(gateway.port), is_bare=True,
                               awaits=None)
        self.assertEqual(waiting.wait_end(), 0)


if __name__ == "__main__":
    unittest.main()
