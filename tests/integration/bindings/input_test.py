"""Input bindings: who is asked and read, what the application gets, what becomes of an event, and
how reading stops and starts again.

The bindings are the story's (story_binding.c), which is compiled into a module beside a copy of the
gateway: it emits what a test orders and logs what it hears. Without a C compiler all is skipped.
"""
import json
import os
import re
import signal
import unittest

from compiled_story import CompiledStory
from harness import (OK, ZERO_TRACE, App, Client, Cut, answer, by_method, component, metric_of,
                     resiliency, wait_for)

# Not sent once more, as it would be if a kept connection ended without any byte.
NO_ANSWER = Cut(b"HTTP/1.1 2")
SOME_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def binding(name="tick", **metadata):
    return component(name, "bindings.story", **metadata)


def inbound(policies, **names):
    """A Resiliency for the events of `tick`."""
    return resiliency(policies, {"tick": {"inbound": names}})


def retries(**policy):
    return inbound({"retries": {"some": {"policy": "constant", "duration": "10ms", **policy}}},
                   retry="some")


class Inputs(CompiledStory):
    source = "bindings/story_binding.c"

    def inputs(self, *flags, app=None, documents=(binding(),), **more):
        return self.gateway(*flags, app=app, documents=documents, executable=self.executable,
                            **more)

    def order(self, gateway, operation="emit", data=None, name="tick", **metadata):
        body = {"operation": operation, "data": data,
                "metadata": {key: str(value) for key, value in metadata.items()}}
        with Client(gateway.address) as client:
            got = client.exchange("POST", f"/v1.0/bindings/{name}", json.dumps(body).encode())
        self.assertEqual(got.status, 204, got)

    def settled(self, gateway):
        """What the settlements say, without their delays."""
        return [re.sub(" after .*?( stale|$)", r"\1", line[len("settle "):])
                for line in self.heard(gateway, "settle .*")]

    def end_with(self, gateway, status=0, number=signal.SIGTERM):
        gateway.signal(number)
        self.assertEqual(gateway.wait_end(), status, gateway.log()[-2000:])


class Questions(Inputs):
    def test_statuses_decide_one_after_the_other(self):
        statuses = {"a200": 200, "b204": 204, "c202": 202, "d405": 405,
                    "e404": 404, "f500": 500, "g400": 400, "h301": 301}
        handling, most = [0], [0]

        def on_options(request):
            handling[0] += 1
            most[0] = max(most[0], handling[0])
            status = statuses[request.path[1:]]
            handling[0] -= 1
            return answer(status)

        app = self.app(on_event=by_method(on_options))
        gateway = self.inputs(app=app, documents=[binding(name) for name in statuses] +
                              [component()])
        got = [(r.method, r.path) for r in app.requests]
        self.assertEqual(got, [("GET", "/dapr/config"), ("GET", "/dapr/subscribe")] +
                         [("OPTIONS", "/" + name) for name in statuses])
        self.assertEqual(most[0], 1)
        for name in statuses:
            self.order(gateway, name=name)
        wanted = ["/a200", "/b204", "/c202", "/d405"]
        gateway.wait_for(lambda: len(app.got()) >= 4, "four events")
        self.assertEqual(len(self.heard(gateway, "subscribe")), 4)
        self.assertEqual(sorted(r.path for r in app.got()), wanted)
        for name in statuses:
            line = f"app has not subscribed to binding {name}."
            self.assertEqual(line in gateway.log(), "/" + name not in wanted, line)
        log = gateway.log()
        for side in ("input", "output"):
            self.assertIn(f"successful init for {side} binding (a200 (bindings.story/v1))", log)

    def test_no_answer_leaves_the_rest_alone(self):
        def on_options(request):
            return NO_ANSWER if request.path == "/b" else OK
        app = self.app(on_event=by_method(on_options))
        gateway = self.inputs(app=app, documents=[binding("a"), binding("b"), binding("c")])
        self.assertEqual([r.path for r in app.got(method="OPTIONS")], ["/a", "/b"])
        self.assertIn("failed to read from bindings: OPTIONS /b: ", gateway.log())
        for name in "abc":
            self.order(gateway, name=name)
        app.wait_got("/a", 1)
        self.assertEqual(len(self.heard(gateway, "subscribe")), 1)
        self.assertEqual(len(app.got()), 1)

    def test_readiness_waits_three_seconds_for_an_answer(self):
        held = self.hold()
        app = self.app(on_event=by_method(lambda request: held.wait() and OK))
        gateway = self.inputs(app=app, documents=[binding("a"), binding("b")], awaits=None)
        wait_for(lambda: app.got(method="OPTIONS"), "the question")
        self.assertEqual(gateway.health("healthz/outbound"), 204)
        self.assertEqual(gateway.health(), 500)
        gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")
        self.assertIn("failed to read from bindings: OPTIONS /a: ", gateway.log())
        self.assertEqual([r.path for r in app.got(method="OPTIONS")], ["/a"])
        self.assertEqual(self.heard(gateway, "subscribe"), [])

    def test_the_end_does_not_wait_for_an_answer(self):
        held = self.hold()
        app = self.app(on_event=by_method(lambda request: held.wait() and OK))
        gateway = self.inputs(app=app, awaits=None)
        wait_for(lambda: app.got(method="OPTIONS"), "the question")
        self.end_with(gateway)
        self.assertNotIn("failed to read from bindings", gateway.log())

    def test_who_names_input_is_not_asked(self):
        app = self.app(on_event=by_method(lambda request: NO_ANSWER))
        gateway = self.inputs(app=app, documents=[
            binding("asked"), binding("named", direction="input, output"),
            binding("also", direction="input"), binding("out", direction="output")])
        self.assertEqual([r.path for r in app.got(method="OPTIONS")], ["/asked"])
        self.wait_heard(gateway, "subscribe", 2)
        self.order(gateway, name="named")
        app.wait_got("/named", 1)
        self.assertEqual(len(self.heard(gateway, "subscribe")), 2)
        with Client(gateway.address) as client:
            body = json.dumps({"operation": "emit"}).encode()
            self.assertEqual(client.exchange("POST", "/v1.0/bindings/also", body).status, 500)

    def test_routes_are_for_questions_and_events(self):
        app = self.app(on_event=by_method())
        routes = {"a": "/some/path", "b": "bare", "c": "with?query=1", "d": "ä b"}
        gateway = self.inputs(app=app, documents=[binding(name, route=route)
                                                  for name, route in routes.items()])
        targets = ["/some/path", "/bare", "/with?query=1", "/%C3%A4%20b"]
        self.assertEqual([r.target for r in app.got(method="OPTIONS")], targets)
        for name in routes:
            self.order(gateway, name=name)
        gateway.wait_for(lambda: len(app.got()) >= 4, "four events")
        self.assertEqual(sorted(r.target for r in app.got()), sorted(targets))

    def test_without_an_application_nothing_is_read(self):
        gateway = self.inputs(documents=[binding(direction="input, output")])
        self.order(gateway)
        self.wait_heard(gateway, "order emit")
        self.assertEqual(self.heard(gateway, "subscribe"), [])


class Requests(Inputs):
    @staticmethod
    def read_with_lines(stream, number, place):
        """A request with the lines of its head as they came."""
        class Tap:
            def __init__(self):
                self.lines = []

            def readline(self):
                self.lines.append(stream.readline())
                return self.lines[-1]

            def read(self, length):
                return stream.read(length)
        tap = Tap()
        request = App.read(tap, number, place)
        if request:
            request.lines = tap.lines
        return request

    def sent(self, *flags, data=None, env=None, **metadata):
        """The event as the application gets it, and the question before."""
        app = self.app(on_event=by_method())
        app.read = self.read_with_lines
        gateway = self.inputs(*flags, app=app, env=env)
        self.order(gateway, data=data, **metadata)
        return app.wait_got("/tick", 1)[0], app.got(method="OPTIONS")[0]

    def configuration(self, tracing):
        path = os.path.join(self.folder, "configuration.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
                      f"spec: {{tracing: {tracing}}}\n")
        return "--config", path

    def test_an_event_is_its_bytes_and_its_metadata(self):
        event, question = self.sent(data={"n": [1, "x"]}, **{
            "x:plain": "v 1", "x:X-Foo": "", "x:content-type": "text/plain", "x:connection": "close",
            "x:content-length": "999", "x:some-bin": "AAAA", "x:destination-app-id": "other",
            "x:grpc-status": "1", "x:pubsubName": "mine", "x:user-agent": "theirs"})
        self.assertEqual(event.body, b'{"n":[1,"x"]}')
        fields = {name: value for name, value in event.fields.items() if name != "host"}
        self.assertEqual(fields, {
            "content-type": "application/json", "content-length": "13", "traceparent": ZERO_TRACE,
            "plain": "v 1", "x-foo": "", "dapr-grpc-status": "1", "pubsubname": "mine",
            "user-agent": "theirs"})
        names = [line.split(b":")[0].lower() for line in event.lines[1:-1]]
        self.assertEqual(len(names), len(set(names)), names)
        self.assertEqual(sorted(question.fields), ["content-type", "host", "user-agent"])
        self.assertEqual(question.fields["content-type"], "application/json")

    def test_an_event_may_be_empty(self):
        event, _ = self.sent()
        self.assertEqual(event.body, b"")
        self.assertEqual(event.fields["content-length"], "0")
        self.assertRegex(event.fields["user-agent"], "^Fairlead/")

    def test_both_carry_the_token_and_no_other(self):
        event, question = self.sent(env={"APP_API_TOKEN": "s3cret"},
                                    **{"x:dapr-api-token": "false one"})
        self.assertEqual(event.fields["dapr-api-token"], "s3cret")
        self.assertEqual(question.fields["dapr-api-token"], "s3cret")

    def test_a_trace_passes_through(self):
        event, _ = self.sent(**{"x:traceparent": SOME_TRACE})
        self.assertEqual(event.fields["traceparent"], SOME_TRACE)

    def test_with_sampling_it_is_the_parent(self):
        event, _ = self.sent(*self.configuration("{samplingRate: '1'}"),
                             **{"x:traceparent": SOME_TRACE})
        self.assertRegex(event.fields["traceparent"], f"^{SOME_TRACE[:36]}[0-9a-f]{{16}}-01$")
        self.assertNotEqual(event.fields["traceparent"], SOME_TRACE)

    def test_with_sampling_there_is_always_one(self):
        event, _ = self.sent(*self.configuration("{samplingRate: '1'}"))
        self.assertRegex(event.fields["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
        self.assertNotIn("0" * 16, event.fields["traceparent"])

    def test_without_tracing_there_is_none(self):
        event, _ = self.sent(*self.configuration("{samplingRate: '0'}"))
        self.assertNotIn("traceparent", event.fields)

    def test_large_events_arrive_whole(self):
        event, _ = self.sent(data="y" * 3000000)
        self.assertEqual(event.body, b'"' + b"y" * 3000000 + b'"')


class Verdicts(Inputs):
    def judged(self, post, *documents, count=1, flags=(), settings=None, **metadata):
        """An application that answers so, and the gateway when `count` events are settled."""
        app = self.app(on_event=by_method(post=post))
        gateway = self.inputs(*flags, app=app,
                              documents=(binding(**(settings or {})),) + documents)
        self.order(gateway, count=count, **metadata)
        self.wait_heard(gateway, "settle .*", count)
        return app, gateway

    def counted(self, gateway, good, bad):
        metrics = gateway.metrics()
        for success, number in (("true", good), ("false", bad)):
            self.assertEqual(metric_of(metrics, "dapr_component_input_binding_count",
                                       component="tick", success=success), number)

    def test_any_2xx_accepts(self):
        for status in (200, 201, 204, 299):
            app, gateway = self.judged(answer(status))
            self.assertEqual(self.settled(gateway), ["0 accepted"], status)
            self.assertEqual(len(app.got()), 1)
            self.counted(gateway, 1, 0)

    def test_anything_else_fails_and_is_told(self):
        for status in (301, 400, 404, 500):
            app, gateway = self.judged(answer(status, b"no \x1b way"))
            self.assertEqual(self.settled(gateway), ["0 modified"], status)
            self.assertEqual(len(app.got()), 1)
            self.counted(gateway, 0, 1)
            self.assertRegex(gateway.log(), r"events of input binding tick fail: error invoking "
                             r"app: fails to send binding event to http app channel, status code: "
                             rf"{status} body: no .*way")
            self.assertEqual(gateway.metric("dapr_http_client_completed_count", path="/tick",
                                            method="POST", status=str(status)), 1)

    def test_failures_are_told_once_a_minute(self):
        _, gateway = self.judged(answer(500), count=50)
        self.assertEqual(self.settled(gateway).count("0 modified"), 1)
        self.assertEqual(gateway.log().count("events of input binding tick fail"), 1)
        self.counted(gateway, 0, 50)

    def test_no_answer_fails(self):
        _, gateway = self.judged(NO_ANSWER)
        self.assertEqual(self.settled(gateway), ["0 modified"])
        self.counted(gateway, 0, 1)

    def test_what_was_refused_comes_again_after_the_back_off(self):
        answers = [answer(500), OK]
        app, gateway = self.judged(lambda request: answers.pop(0), settings={"redelivers": "true"})
        self.wait_heard(gateway, "settle .*", 2)
        self.assertEqual(self.settled(gateway), ["0 modified", "0 accepted"])
        delay = int(re.search(r"after (\d+)", self.heard(gateway, "settle .*")[0]).group(1))
        self.assertTrue(800 <= delay <= 1200, delay)
        first, second = app.got("/tick")
        self.assertGreaterEqual(second.at - first.at, 0.75)

    def test_with_a_retry_policy_only_200_counts(self):
        app, gateway = self.judged(answer(204), retries(maxRetries=2))
        self.assertEqual(self.settled(gateway), ["0 modified"])
        self.assertEqual(len(app.got()), 3)
        self.counted(gateway, 0, 1)
        self.assertIn("error invoking app: response object is nil", gateway.log())
        activations = gateway.metric("dapr_resiliency_activations_total", policy="retry",
                                     target="Binding_tick", flow_direction="inbound")
        self.assertEqual(activations, 1)
        self.assertEqual(gateway.metric("dapr_resiliency_count", policy="retry",
                                        target="Binding_tick", flow_direction="inbound"), 1)

    def test_a_retry_that_succeeds_is_one_event(self):
        answers = [answer(204), NO_ANSWER, OK]
        app, gateway = self.judged(lambda request: answers.pop(0), retries(maxRetries=5))
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        self.assertEqual(len(app.got()), 3)
        self.counted(gateway, 1, 0)

    def test_statuses_that_do_not_match_are_not_retried(self):
        policy = retries(maxRetries=3, matching={"httpStatusCodes": "500"})
        self.assertEqual(len(self.judged(answer(503), policy)[0].got()), 1)
        self.assertEqual(len(self.judged(answer(500), policy)[0].got()), 4)

    def test_a_time_limit_ends_an_attempt(self):
        held = self.hold()
        policy = inbound({"timeouts": {"short": "150ms"},
                          "retries": {"one": {"policy": "constant", "duration": "1ms",
                                              "maxRetries": 1}}}, timeout="short", retry="one")
        app, gateway = self.judged(lambda request: held.wait() and OK, policy)
        self.assertEqual(self.settled(gateway), ["0 modified"])
        self.assertEqual(len(app.wait_got("/tick", 2)), 2)  # it may be slow to look
        self.assertEqual(gateway.metric("dapr_resiliency_activations_total", policy="timeout",
                                        target="Binding_tick"), 1)

    def test_a_breaker_spares_the_application(self):
        status = [500]
        policy = inbound({"circuitBreakers": {"trips": {"maxRequests": 1, "timeout": "400ms",
                                                        "trip": "consecutiveFailures > 1"}}},
                         circuitBreaker="trips")
        app, gateway = self.judged(lambda request: answer(status[0]), policy)
        for number in (2, 3, 4):
            self.order(gateway)
            self.wait_heard(gateway, "settle .*", number)
        self.assertEqual(len(app.got()), 2)
        self.assertEqual(self.settled(gateway), [f"{n} modified" for n in range(4)])
        self.counted(gateway, 0, 4)
        self.assertIn("Circuit breaker \\\"trips-tick\\\" changed state from closed to open",
                      gateway.log())
        status[0] = 200

        def is_accepted():
            self.order(gateway)
            return any("accepted" in line for line in self.settled(gateway))
        gateway.wait_for(is_accepted, "the breaker closes")
        self.assertIn("changed state from half-open to closed", gateway.log())

    def test_what_a_breaker_refuses_comes_again_when_it_may_succeed(self):
        policy = inbound({"circuitBreakers": {"trips": {"timeout": "30s",
                                                        "trip": "consecutiveFailures > 0"}}},
                         circuitBreaker="trips")
        app, gateway = self.judged(answer(500), policy)
        self.order(gateway)
        line = self.wait_heard(gateway, "settle 1 modified .*")[0]
        self.assertGreater(int(re.search(r"after (\d+)", line).group(1)), 5000)
        self.assertEqual(len(app.got()), 1)

    def test_metadata_that_is_no_header_fails_without_a_call(self):
        app, gateway = self.judged(OK, retries(maxRetries=3), **{"x:bad name": "v"})
        self.assertEqual(self.settled(gateway), ["0 modified"])
        self.assertEqual(app.got(), [])
        self.assertIn("metadata cannot be sent as headers", gateway.log())


class Held(Inputs):
    """Sources that would offer an event again at once, or behind others of its lane: it stays here
    until it may be tried again."""

    def refused_first(self, *documents, **settings):
        """The first call fails, any other does not."""
        answers = [answer(500)]
        app = self.app(on_event=by_method(post=lambda r: answers.pop() if answers else OK))
        gateway = self.inputs(app=app, documents=(binding(**settings),) + documents)
        return app, gateway

    def test_a_hasty_source_is_no_hot_loop(self):
        app, gateway = self.refused_first(hurries="true")
        self.order(gateway)
        self.wait_heard(gateway, "settle .*")
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        first, second = app.got("/tick")
        self.assertGreaterEqual(second.at - first.at, 0.75)
        for success in ("true", "false"):
            self.assertEqual(gateway.metric("dapr_component_input_binding_count",
                                            success=success), 1)

    def test_a_lane_stays_in_order(self):
        for how in ("hurries", "redelivers"):
            app, gateway = self.refused_first(**{how: "true"})
            for data in ("first", "second"):
                self.order(gateway, data=data, lane=7)
            self.order(gateway, data="other", lane=8)
            self.wait_heard(gateway, "settle .*", 3)
            bodies = [r.body for r in app.got() if r.body != b'"other"']
            self.assertEqual(bodies, [b'"first"', b'"first"', b'"second"'], how)
            self.assertEqual(sorted(self.settled(gateway)),
                             ["0 accepted", "1 accepted", "2 accepted"])

    def test_what_a_breaker_refuses_waits_in_its_line(self):
        policy = inbound({"circuitBreakers": {"trips": {"timeout": "400ms",
                                                        "trip": "consecutiveFailures > 0"}}},
                         circuitBreaker="trips")
        app, gateway = self.refused_first(policy, hurries="true")
        self.order(gateway)
        gateway.wait_log("changed state from closed to open")
        self.order(gateway, count=20)
        self.wait_heard(gateway, "settle .*", 21)
        self.assertEqual(set(line.split()[1] for line in self.settled(gateway)), {"accepted"})
        self.assertEqual(len(app.got()), 22)
        self.assertEqual(gateway.log().count("changed state"), 3)

    def test_it_is_given_back_at_the_end(self):
        policy = inbound({"circuitBreakers": {"trips": {"timeout": "10m",
                                                        "trip": "consecutiveFailures > 0"}}},
                         circuitBreaker="trips")
        for documents in ((), (policy,)):
            app, gateway = self.refused_first(*documents, hurries="true")
            self.order(gateway)
            gateway.wait_for(lambda: gateway.metric("dapr_component_input_binding_count",
                                                    success="false") >= 1, "it failed")
            self.end_with(gateway)
            self.assertEqual(self.settled(gateway), ["0 modified"])
            self.assertEqual(len(app.got()), 1)

    def test_it_is_forgotten_with_its_connection(self):
        app, gateway = self.refused_first(hurries="true")
        self.order(gateway, lane=7, count=2)
        gateway.wait_for(lambda: gateway.metric("dapr_component_input_binding_count",
                                                success="false") == 1, "it failed")
        self.order(gateway, "down", ms=20)
        self.wait_heard(gateway, "settle .*", 2)
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])
        self.assertEqual(len(app.got()), 3)


class Bounds(Inputs):
    def test_a_thousand_at_once_stay_within_the_window(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(app=app)
        self.order(gateway, count=1000)
        gateway.wait_for(lambda: app.handling == 64, "the window is full")
        self.assertEqual(self.heard(gateway, "window .*"), ["window 64 16777216"])
        self.assertEqual(self.heard(gateway, "settle .*"), [])
        held.set()
        self.wait_heard(gateway, "settle .*", 1000)
        self.assertEqual(set(self.settled(gateway)), {f"{n} accepted" for n in range(1000)})
        self.assertEqual(app.most_handling, 64)

    def test_the_connector_may_want_another_window(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(app=app, documents=[binding(window="5")])
        self.order(gateway, count=20)
        self.assertEqual(self.heard(gateway, "window .*"), ["window 5 16777216"])
        gateway.wait_for(lambda: app.handling == 5, "the window is full")
        held.set()
        self.wait_heard(gateway, "settle .*", 20)
        self.assertEqual(app.most_handling, 5)

    def test_the_limit_of_concurrent_calls_holds(self):
        app = self.app(on_event=by_method())
        gateway = self.inputs("--app-max-concurrency", "1", app=app,
                              documents=[binding(), binding("tock")])
        for name in ("tick", "tock"):
            self.order(gateway, count=50, name=name)
        self.wait_heard(gateway, "settle .*", 100)
        self.assertEqual(app.most_handling, 1)

    def test_a_lane_is_worked_on_in_order(self):
        held = self.hold()

        def on_post(request):
            if request.body == b'"first"':
                held.wait()
            return answer(500) if request.body == b'"second"' else OK
        app = self.app(on_event=by_method(post=on_post))
        gateway = self.inputs(app=app)
        for data in ("first", "second", "third"):
            self.order(gateway, data=data, lane=7)
        self.order(gateway, data="other", lane=8)
        self.order(gateway, data="none")
        self.wait_heard(gateway, "settle .*", 2)
        self.assertNotIn(b'"second"', [r.body for r in app.got()])
        held.set()
        self.wait_heard(gateway, "settle .*", 5)
        bodies = [r.body for r in app.got() if r.body not in (b'"other"', b'"none"')]
        self.assertEqual(bodies, [b'"first"', b'"second"', b'"third"'])

    def test_a_line_of_events_that_cannot_be_sent_ends(self):
        app = self.app(on_event=by_method())
        gateway = self.inputs(app=app, documents=[binding(window="2000")])
        self.order(gateway, count=1500, lane=1, **{"x:bad name": "v"})
        self.wait_heard(gateway, "settle .* modified .*", 1500)
        self.order(gateway, lane=1)
        app.wait_got("/tick", 1)

    def test_a_lane_that_goes_elsewhere_is_released_when_it_is_idle(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(app=app)
        for data in ("first", "second"):
            self.order(gateway, data=data, lane=7)
        app.wait_got("/tick", 1)
        self.order(gateway, "revoke", lane=7)
        self.assertEqual(self.heard(gateway, "release .*"), [])
        held.set()
        self.wait_heard(gateway, "release 7")
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        self.assertEqual([r.body for r in app.got()], [b'"first"'])
        self.order(gateway, "revoke", lane=9)  # nothing of it is here
        self.wait_heard(gateway, "release 9")

    def test_leases_are_extended_while_the_application_works(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(app=app, documents=[binding(leaseTime="150ms")])
        self.order(gateway, count=100)
        self.wait_heard(gateway, "extend 0", 2)
        self.wait_heard(gateway, "extend 63", 2)
        self.assertEqual(self.heard(gateway, "extend .* stale"), [])


class Connections(Inputs):
    def test_an_event_of_a_lost_connection_is_not_settled(self):
        held = self.hold()
        app = self.app(on_event=by_method(
            post=lambda request: (len(app.got()) > 1 or held.wait()) and OK))
        gateway = self.inputs(app=app)
        self.order(gateway, data="x")
        app.wait_got("/tick", 1)
        self.order(gateway, "down", ms=20)
        app.wait_got("/tick", 2)
        self.wait_heard(gateway, "settle .*")
        held.set()
        gateway.wait_for(lambda: app.handling == 0, "both have their answer")
        self.order(gateway, data="y")
        self.wait_heard(gateway, "settle 1 .*")
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])
        self.assertEqual(gateway.metric("dapr_component_input_binding_count", success="true"), 2)
        self.assertEqual(len(self.heard(gateway, "subscribe")), 1)

    def test_what_waits_for_its_next_attempt_is_forgotten(self):
        answers = [answer(500), OK, OK]
        app = self.app(on_event=by_method(post=lambda request: answers.pop(0)))
        gateway = self.inputs(app=app, documents=[binding(), retries(duration="1h")])
        self.order(gateway, lane=1, count=2)
        wait_for(lambda: "Retrying in" in gateway.log(), "it waits")
        self.order(gateway, "down", ms=20)
        self.wait_heard(gateway, "settle .*", 2)
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])
        self.assertEqual(len(app.got()), 3)

    def test_the_window_bounds_the_calls_of_all_connections(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(app=app, documents=[binding(window="10")])
        self.order(gateway, count=50)
        gateway.wait_for(lambda: app.handling == 10, "a window is under way")
        for _ in range(4):
            self.order(gateway, "down", ms=10)
            gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 0, "it is down")
            gateway.wait_for(lambda: gateway.metric("fairlead_connector_up") == 1, "it is up")
            self.assertEqual(gateway.health(), 204)
        self.assertEqual(app.handling, 10)
        held.set()
        gateway.wait_for(lambda: self.settled(gateway).count("49 accepted"), "all are settled")
        self.assertEqual(app.most_handling, 10)

    def test_lanes_that_went_elsewhere_are_handed_out_anew(self):
        held = self.hold()
        app = self.app(on_event=by_method(
            post=lambda request: (len(app.got()) > 1 or held.wait()) and OK))
        gateway = self.inputs(app=app)
        self.order(gateway, lane=7)
        app.wait_got("/tick", 1)
        self.order(gateway, "revoke", lane=7)
        self.order(gateway, "down", ms=20)
        self.wait_heard(gateway, "window .*")
        wait_for(lambda: len(app.got()) == 1, "the first one is still held")
        held.set()
        self.wait_heard(gateway, "settle .*")
        self.order(gateway, lane=7)
        self.wait_heard(gateway, "settle 1 .*")
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])
        self.assertEqual(self.heard(gateway, "release .*"), [])

    def test_the_application_may_go_and_come_back(self):
        app = self.app(on_event=by_method())
        gateway = self.inputs(app=app)
        self.order(gateway)
        self.wait_heard(gateway, "settle 0 accepted .*")
        app.stop()
        self.order(gateway)
        self.wait_heard(gateway, "settle 1 modified .*")
        app.start()
        self.order(gateway)
        self.wait_heard(gateway, "settle 2 accepted .*")


class Health(Inputs):
    FLAGS = ("--enable-app-health-check", "--app-health-probe-interval", "1",
             "--app-health-threshold", "1")

    def checked(self, on_event, *documents, flags=()):
        """A gateway whose application turned healthy."""
        app = self.app(on_event=on_event)
        gateway = self.inputs(*self.FLAGS, *flags, app=app, documents=documents or (binding(),))
        self.wait_heard(gateway, "window .*")
        return app, gateway

    def turn(self, app, gateway, status):
        app.on_health = lambda: status
        word = "App entered healthy" if status == 200 else "App entered un-healthy"
        count = gateway.log().count(word)
        gateway.wait_for(lambda: gateway.log().count(word) > count, word)

    def test_nothing_is_asked_before_it_is_healthy(self):
        app = self.app(on_event=by_method())
        app.on_health = lambda: 500
        gateway = self.inputs(*self.FLAGS, app=app, documents=[binding(direction="input, output")])
        gateway.wait_for(lambda: app.got("/healthz", "GET"), "a probe")
        self.assertEqual(app.got(method="OPTIONS"), [])
        self.assertEqual(self.heard(gateway, "subscribe"), [])
        self.turn(app, gateway, 200)
        self.wait_heard(gateway, "subscribe")

    def test_unhealthy_stops_reading_and_healthy_asks_again(self):
        held = self.hold()
        app, gateway = self.checked(by_method(post=lambda request: held.wait() and OK))
        self.order(gateway)
        app.wait_got("/tick", 1)
        self.turn(app, gateway, 500)
        self.wait_heard(gateway, "unsubscribe")
        self.order(gateway)
        self.assertEqual(self.heard(gateway, "left"), [])
        held.set()
        self.wait_heard(gateway, "left")
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        self.assertEqual(len(app.got()), 1)
        self.turn(app, gateway, 200)
        app.wait_got("/tick", 2)
        self.assertEqual(len(app.got(method="OPTIONS")), 2)
        self.assertEqual(self.heard(gateway, "(un)?subscribe.*|left"),
                         ["subscribe", "unsubscribe", "left", "subscribe"])

    def test_it_may_refuse_when_it_is_asked_again(self):
        wants = [OK, answer(404)]
        app, gateway = self.checked(by_method(options=lambda request: wants.pop(0)))
        self.turn(app, gateway, 500)
        self.wait_heard(gateway, "left")
        self.turn(app, gateway, 200)
        gateway.wait_log("app has not subscribed to binding tick.")
        self.assertEqual(len(self.heard(gateway, "subscribe")), 1)

    def test_who_gave_no_answer_is_asked_again(self):
        wants = [NO_ANSWER, OK]
        app = self.app(on_event=by_method(options=lambda request: wants.pop(0)))
        gateway = self.inputs(*self.FLAGS, app=app)
        gateway.wait_log("failed to read from bindings")
        self.turn(app, gateway, 500)
        self.turn(app, gateway, 200)
        self.wait_heard(gateway, "subscribe")

    def test_healthy_again_while_the_last_one_is_in_flight(self):
        held = self.hold()
        app, gateway = self.checked(by_method(
            post=lambda request: (len(app.got()) > 1 or held.wait()) and OK),
            binding(direction="input, output"))
        self.order(gateway)
        app.wait_got("/tick", 1)
        self.turn(app, gateway, 500)
        self.turn(app, gateway, 200)
        self.order(gateway)
        held.set()
        app.wait_got("/tick", 2)
        self.wait_heard(gateway, "settle .*", 2)
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])

    def test_an_event_that_the_source_took_back_is_not_settled(self):
        held = self.hold()
        app, gateway = self.checked(by_method(
            post=lambda request: (len(app.got()) > 1 or held.wait()) and OK),
            binding(abandons="true"))
        self.order(gateway, data="x")
        app.wait_got("/tick", 1)
        self.turn(app, gateway, 500)
        self.wait_heard(gateway, "left")
        self.turn(app, gateway, 200)
        self.wait_heard(gateway, "settle .*")
        held.set()
        gateway.wait_for(lambda: app.handling == 0, "both have their answer")
        self.order(gateway, data="y")
        self.wait_heard(gateway, "settle 1 .*")
        self.assertEqual(self.settled(gateway), ["0 accepted", "1 accepted"])

    def test_what_waits_for_its_next_attempt_is_given_back(self):
        app, gateway = self.checked(by_method(post=answer(500)), binding(), retries(duration="1h"))
        self.order(gateway, lane=1)
        self.order(gateway, lane=1)
        gateway.wait_for(lambda: "Retrying in" in gateway.log(), "it waits")
        self.turn(app, gateway, 500)
        self.wait_heard(gateway, "left")
        self.assertEqual(sorted(self.settled(gateway)), ["0 modified", "1 released"])
        self.assertEqual(len(app.got()), 1)

    def test_a_subscribe_that_fails_is_repeated(self):
        app, gateway = self.checked(by_method())
        self.turn(app, gateway, 500)
        self.wait_heard(gateway, "left")
        self.order(gateway, "refuse", count=2)
        self.order(gateway)
        self.turn(app, gateway, 200)
        app.wait_got("/tick", 1)
        self.assertEqual(len(self.heard(gateway, "subscribe")), 4)
        self.assertEqual(gateway.log().count("cannot read from input binding tick "
                                             "(bindings.story/v1): the story says no"), 2)
        self.assertIn("reading from input binding tick (bindings.story/v1)", gateway.log())

    def test_a_breaker_forgets_a_trial_without_a_verdict(self):
        held, status = self.hold(), [500]

        def on_post(request):
            return held.wait() and answer(status[0]) if len(app.got()) == 2 else answer(status[0])
        policy = inbound({"circuitBreakers": {"trips": {"maxRequests": 1, "timeout": "200ms",
                                                        "trip": "consecutiveFailures > 0"}}},
                         circuitBreaker="trips")
        app, gateway = self.checked(by_method(post=on_post), binding(), policy)

        def emit_until(claim, what):
            def emitted_and_so():
                self.order(gateway)
                return claim()
            gateway.wait_for(emitted_and_so, what)
        emit_until(lambda: len(app.got()) == 2, "the trial of an open breaker")
        self.turn(app, gateway, 500)
        held.set()
        self.wait_heard(gateway, "left")
        status[0] = 200
        self.turn(app, gateway, 200)
        emit_until(lambda: any("accepted" in line for line in self.settled(gateway)),
                   "another trial")


class Ends(Inputs):
    GRACE = ("--dapr-graceful-shutdown-seconds", "60")

    def with_one_in_flight(self, *flags, documents=(binding(),)):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs(*flags, app=app, documents=documents)
        self.order(gateway)
        app.wait_got("/tick", 1)
        return app, gateway, held

    def test_sigterm_waits_for_the_answer(self):
        app, gateway, held = self.with_one_in_flight(*self.GRACE)
        gateway.signal()
        self.wait_heard(gateway, "unsubscribe")
        self.assertIsNone(gateway.process.poll())
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        self.assertEqual(self.heard(gateway, "close.*"), ["close with 0 out"])
        self.assertEqual(len(app.got()), 1)

    def test_the_grace_period_bounds_it(self):
        _, gateway, _ = self.with_one_in_flight("--dapr-graceful-shutdown-seconds", "1")
        self.end_with(gateway, 1)
        self.assertEqual(self.heard(gateway, "settle .*"), [])

    def test_what_waits_is_given_back_at_once(self):
        app = self.app(on_event=by_method(post=answer(500)))
        gateway = self.inputs(*self.GRACE, app=app, documents=[binding(), retries(duration="1h")])
        self.order(gateway, lane=1, count=3)
        gateway.wait_for(lambda: "Retrying in" in gateway.log(), "it waits")
        self.end_with(gateway)
        self.assertEqual(sorted(self.settled(gateway)), ["0 modified", "1 released", "2 released"])
        self.assertEqual(len(app.got()), 1)

    def test_what_stands_in_the_line_of_calls_is_given_back(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and OK))
        gateway = self.inputs("--dapr-graceful-shutdown-seconds", "60", "--app-max-concurrency",
                              "1", app=app)
        self.order(gateway, count=5)
        app.wait_got("/tick", 1)
        gateway.signal(signal.SIGTERM)
        self.wait_heard(gateway, "settle . released .*", 4)
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(len(app.got()), 1)

    def test_an_answer_during_the_end_is_not_retried(self):
        held = self.hold()
        app = self.app(on_event=by_method(post=lambda request: held.wait() and answer(500)))
        gateway = self.inputs(*self.GRACE, app=app, documents=[binding(), retries(duration="1h")])
        self.order(gateway)
        app.wait_got("/tick", 1)
        gateway.signal()
        self.wait_heard(gateway, "unsubscribe")
        held.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(self.settled(gateway), ["0 modified"])

    def test_the_block_period_stops_reading_first(self):
        app, gateway, held = self.with_one_in_flight(
            *self.GRACE, "--dapr-block-shutdown-duration", "1s")
        gateway.signal()
        self.wait_heard(gateway, "unsubscribe")
        self.order(gateway)  # the API serves on, and nobody reads
        self.assertEqual(self.heard(gateway, "left"), [])
        held.set()
        self.wait_heard(gateway, "left")
        self.assertEqual(gateway.get("/v1.0/metadata").status, 200)
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        self.assertEqual(len(app.got()), 1)

    def test_sighup_reads_anew(self):
        app, gateway, held = self.with_one_in_flight(*self.GRACE)
        gateway.signal(signal.SIGHUP)
        self.wait_heard(gateway, "unsubscribe")
        held.set()
        self.wait_heard(gateway, "window .*", 2)
        self.assertEqual(self.settled(gateway), ["0 accepted"])
        gateway.wait_for(lambda: gateway.health() == 204, "healthz is 204")
        self.order(gateway)
        app.wait_got("/tick", 2)
        self.assertEqual(len(app.got(method="OPTIONS")), 2)

    def test_nothing_is_accepted_before_the_answer(self):
        _, gateway, _ = self.with_one_in_flight()
        gateway.process.kill()
        gateway.wait_end()
        self.assertEqual(self.heard(gateway, "settle .*"), [])


if __name__ == "__main__":
    unittest.main()
