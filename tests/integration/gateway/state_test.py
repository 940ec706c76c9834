"""SIGUSR1: the state of everything in the log, while the gateway goes on."""
import re
import signal
import unittest

from harness import (OK, Client, Story, answer, component, resiliency, subscription, verdict,
                     wait_for)


class State(Story):
    def dump(self, gateway, count=1):
        """The lines of the latest dump: texts of the messages."""
        gateway.process.send_signal(signal.SIGUSR1)

        def texts():
            found = re.findall(r'msg="([^"]*)".* scope=fairlead.state ', gateway.log())
            starts = [i for i, text in enumerate(found) if text.startswith("process ")]
            return found[starts[count - 1]:] if len(starts) >= count else None
        lines = gateway.wait_for(texts, "the state is in the log")
        # The lines of one dump come in one turn, and the last of them before any later answer.
        self.assertEqual(gateway.health("healthz/outbound"), 204)
        return texts() or lines

    @staticmethod
    def line(lines, start):
        found = [line for line in lines if line.startswith(start)]
        assert len(found) == 1, (start, lines)
        return dict(re.findall(r"(\w+)=('[^']*'|\S+)", found[0]))

    def test_what_is_there(self):
        app = self.app(subscription("t"), subscription("u", pubsub="nowhere"))
        gateway = self.gateway(app=app, documents=(component(), component("other")))
        lines = self.dump(gateway)
        process = self.line(lines, "process ")
        self.assertEqual(process["phase"], "running")
        self.assertEqual(process["budget_used_bytes"], "0")
        self.assertEqual(self.line(lines, "application ")["health"], "good")
        one = self.line(lines, "component name=pubsub ")
        self.assertEqual((one["state"], one["line"], one["calls_in_flight"]), ("up", "0", "0"))
        self.assertRegex(one["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.line(lines, "component name=other ")
        active = self.line(lines, "subscription pubsub=pubsub topic=t ")
        self.assertEqual((active["state"], active["unsettled"]), ("active", "0"))
        self.assertEqual(self.line(lines, "subscription pubsub=nowhere ")["state"], "inert")
        # What is in trouble stands first.
        places = [i for i, line in enumerate(lines) if line.startswith("subscription ")]
        self.assertIn("nowhere", lines[places[0]])

    def test_it_is_written_whatever_the_level_and_again(self):
        gateway = self.gateway("--log-level", "fatal")
        self.dump(gateway)
        self.dump(gateway, count=2)

    def test_work_under_way(self):
        hold = self.hold()
        app = self.app(subscription("t"), on_event=lambda request: hold.wait() and OK)
        gateway = self.gateway(app=app)
        with Client(gateway.address) as client:
            client.exchange("POST", "/v1.0/publish/pubsub/t", b"1")
        app.wait_got("/t", 1)
        state = self.line(self.dump(gateway), "subscription ")
        self.assertEqual((state["unsettled"], state["in_flight"], state["waiting_for_retry"]),
                         ("1", "1", "0"))
        hold.set()

    def test_deliveries_that_wait_for_a_retry(self):
        app = self.app(subscription("t"), on_event=lambda request: verdict("RETRY"))
        gateway = self.gateway(app=app)
        with Client(gateway.address) as client:
            client.exchange("POST", "/v1.0/publish/pubsub/t", b"1")
        app.wait_got("/t", 1)
        count = 0

        def waits():
            nonlocal count
            count += 1
            return self.line(self.dump(gateway, count), "subscription ")["waiting_for_retry"] == "1"
        wait_for(waits, "one waits for its retry")

    def test_many_are_cut_short(self):
        app = self.app(*[subscription(f"t{i}") for i in range(130)])
        lines = self.dump(self.gateway(app=app))
        self.assertEqual(len([line for line in lines if line.startswith("subscription pubsub=")]),
                         100)
        self.assertIn("subscription: and 30 more", lines)

    def test_an_open_breaker(self):
        app = self.app(subscription("t"), on_event=lambda request: answer(500))
        policy = resiliency("circuitBreakers: {trip: {maxRequests: 1, timeout: 100s, "
                            "trip: consecutiveFailures >= 1}}",
                            "pubsub: {inbound: {circuitBreaker: trip}}")
        gateway = self.gateway(app=app, documents=(component(), policy))
        with Client(gateway.address) as client:
            client.exchange("POST", "/v1.0/publish/pubsub/t", b"1")
        gateway.wait_for(lambda: "changed state from closed to open" in gateway.log(), "it opens")
        breaker = self.line(self.dump(gateway), "circuit breaker ")
        self.assertEqual((breaker["component"], breaker["policy"], breaker["state"]),
                         ("pubsub", "trip", "open"))
        self.assertGreater(int(breaker["half_open_in_ms"]), 0)

    def test_input_bindings(self):
        tick = component("tick", "bindings.cron", schedule="@every 100s")
        quiet = component("quiet", "bindings.cron", schedule="@every 100s", route="no")
        app = self.app(on_event=lambda request: answer(404) if request.path == "/no" else OK)
        lines = self.dump(self.gateway(app=app, documents=(tick, quiet)))
        read = self.line(lines, "input binding binding=tick ")
        self.assertEqual((read["path"], read["wanted"], read["state"], read["unsettled"]),
                         ("/tick", "true", "reading", "0"))
        refused = self.line(lines, "input binding binding=quiet ")
        self.assertEqual((refused["wanted"], refused["state"]), ("false", "idle"))

    def test_names_cannot_look_like_other_words(self):
        app = self.app(subscription("t' state=active", route="/t"))
        lines = self.dump(self.gateway(app=app))
        text = [line for line in lines if line.startswith("subscription ")][0]
        self.assertIn(r"topic='t\\x27 state=active' state=", text)


if __name__ == "__main__":
    unittest.main()
