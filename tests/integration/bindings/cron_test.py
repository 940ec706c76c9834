"""bindings.cron with a gateway and an application: what an event is, who gets it, what a handler
that fails or hangs does to the next ones, and what health, SIGHUP and SIGTERM do.

Clocks that jump are tests/unit/cron/ticker_test.c's matter; here a change of clocks is brought about
by a zone whose rule has one in a few seconds.
"""
import re
import signal
import time
import unittest

from harness import OK, ZERO_TRACE, Story, answer, by_method, component, wait_for

HEALTH_FLAGS = ("--enable-app-health-check", "--app-health-probe-interval", "1",
                "--app-health-threshold", "1")


def cron(schedule, name="tick", **metadata):
    return component(name, "bindings.cron", schedule=schedule, **metadata)


class Events(Story):
    def test_an_event_is_empty_and_tells_zone_and_time(self):
        app = self.app()
        self.gateway(app=app, documents=[cron("@every 10ms")], env={"TZ": "Asia/Tokyo"})
        event = app.wait_got("/tick", 1)[0]
        self.assertEqual(event.body, b"")
        self.assertEqual(event.fields["content-type"], "application/json")
        self.assertEqual(event.fields["timezone"], "Asia/Tokyo")
        self.assertRegex(event.fields["readtimeutc"],
                         r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})? \+0000 UTC$")
        self.assertEqual(event.fields["traceparent"], ZERO_TRACE)

    def test_each_second_has_one_at_most(self):
        app = self.app()
        self.gateway(app=app, documents=[cron("* * * * * *")])
        got = app.wait_got("/tick", 3)
        seconds = [re.match(r"[^.+]*\d", event.fields["readtimeutc"]).group() for event in got]
        self.assertEqual(len(set(seconds)), len(seconds), seconds)

    def test_route_and_direction(self):
        app = self.app(on_event=by_method(options=answer(404)))
        gateway = self.gateway(app=app, documents=[
            cron("@every 10ms", "asked"),
            cron("@every 10ms", "told", direction="input", route="/jobs/now"),
            cron("@every 10ms", "outward", direction="output")])
        app.wait_got("/jobs/now", 5)
        self.assertEqual([r.path for r in app.got(method="OPTIONS")], ["/asked"])
        self.assertEqual({r.path for r in app.got()}, {"/jobs/now"})
        self.assertEqual(gateway.metric("fairlead_connector_ticks_total", component="asked"), 0)

    def test_repetitions_end(self):
        app = self.app()
        gateway = self.gateway(app=app, documents=[cron("R3/PT0.01S"), cron("@every 10ms", "more")])
        app.wait_got("/more", 20)
        self.assertEqual(len(app.wait_got("/tick", 3)), 3)
        self.assertEqual(gateway.metric("fairlead_connector_ticks_total", component="tick"), 3)

    def test_the_shortest_interval_is_a_millisecond(self):
        began = time.monotonic()
        app = self.app()
        gateway = self.gateway(app=app, documents=[cron("@every 0s")])
        app.wait_got("/tick", 50)
        self.assertEqual(gateway.health(), 204)
        ticks = gateway.metric("fairlead_connector_ticks_total", component="tick") + \
            gateway.metric("fairlead_connector_skipped_total", component="tick")
        self.assertLessEqual(ticks, (time.monotonic() - began) * 1000)
        gateway.wait_log('shorter than the shortest interval, 1ms')


class Handlers(Story):
    def test_a_handler_that_fails_gets_the_next_one(self):
        app = self.app(on_event=by_method(post=answer(500)))
        self.gateway(app=app, documents=[cron("@every 10ms")])
        app.wait_got("/tick", 5)

    def test_what_failed_does_not_come_again(self):
        app = self.app(on_event=by_method(post=answer(500)))
        gateway = self.gateway(app=app, documents=[cron("R3/PT0.01S"), cron("@every 10ms", "more")])
        app.wait_got("/tick", 3)
        before = len(app.got("/more"))
        app.wait_got("/more", before + 20)
        self.assertEqual(len(app.got("/tick")), 3)
        self.assertEqual(gateway.metric("fairlead_connector_ticks_total", component="tick"), 3)

    def test_a_handler_that_hangs_is_overlapped_up_to_the_window(self):
        hold = self.hold()
        app = self.app(on_event=by_method(post=lambda request: hold.wait() and OK))
        gateway = self.gateway(app=app, documents=[cron("@every 2ms")])
        gateway.wait_for(lambda: gateway.metric("fairlead_connector_skipped_total") >= 5,
                         "ticks are left out")
        held = gateway.metric("fairlead_connector_ticks_total")
        self.assertGreater(held, 1)
        gateway.wait_for(lambda: app.handling == held, "the application has them all")
        self.assertEqual(gateway.metric("fairlead_connector_ticks_total"), held)
        hold.set()
        app.wait_got("/tick", int(held) + 10)

    def test_a_handler_that_hangs_does_not_hold_up_others(self):
        hold = self.hold()
        app = self.app(on_event=by_method(
            post=lambda request: OK if request.path == "/other" else hold.wait() and OK))
        gateway = self.gateway(app=app, documents=[cron("@every 2ms"), cron("@every 2ms", "other")])
        gateway.wait_for(
            lambda: gateway.metric("fairlead_connector_skipped_total", component="tick") > 0,
            "ticks are left out")
        app.wait_got("/other", len(app.got("/other")) + 10)


class Life(Story):
    def test_an_unhealthy_application_gets_nothing(self):
        app = self.app()
        gateway = self.gateway(*HEALTH_FLAGS, app=app, documents=[cron("R5/PT0.01S")])
        app.wait_got("/tick", 5)
        app.on_health = lambda: 503
        asked = len(app.got("/tick", "OPTIONS"))
        gateway.wait_for(lambda: gateway.health("healthz/outbound") == 204, "it lives")
        probes = len(app.got(None, "GET"))
        wait_for(lambda: len(app.got(None, "GET")) >= probes + 3, "the application is unhealthy")
        self.assertEqual(len(app.got("/tick")), 5)
        app.on_health = lambda: 200
        app.wait_got("/tick", 10)  # the count begins anew
        self.assertEqual(len(app.got("/tick", "OPTIONS")), asked + 1)

    def test_sighup_begins_anew(self):
        app = self.app()
        gateway = self.gateway(app=app, documents=[cron("R2/PT0.01S")])
        app.wait_got("/tick", 2)
        gateway.signal(signal.SIGHUP)
        app.wait_got("/tick", 4)

    def test_sigterm_waits_for_the_handler_and_for_nothing_more(self):
        hold = self.hold()
        app = self.app(on_event=by_method(post=lambda request: hold.wait() and OK))
        gateway = self.gateway("--dapr-graceful-shutdown-seconds", "60", app=app,
                               documents=[cron("R1/PT0.01S")])
        app.wait_got("/tick", 1)
        gateway.signal()
        wait_for(lambda: gateway.health() != 204, "it is ending")
        self.assertIsNone(gateway.process.poll())
        hold.set()
        self.assertEqual(gateway.wait_end(), 0)
        self.assertEqual(len(app.got("/tick")), 1)


class Refusals(Story):
    def expect_refused(self, document, words):
        gateway = self.gateway(documents=[document], awaits=None)
        self.assertEqual(gateway.wait_end(), 1)
        self.assertIn(words, gateway.log())

    def test_a_schedule_that_cannot_be_stops_the_start(self):
        self.expect_refused(cron("0 0 * * 7"),
                            'schedule: found \\"0 0 * * 7\\": weekday: found \\"7\\"')
        self.expect_refused(cron("TZ=../../etc/passwd @daily"), "is no name of a time zone")
        self.expect_refused(cron("TZ=Nowhere/X @daily"), 'there is no time zone \\"Nowhere/X\\"')
        self.expect_refused(component("tick", "bindings.cron"), "schedule")

    def test_one_that_never_comes_is_told(self):
        gateway = self.gateway(app=self.app(), documents=[cron("0 0 30 feb *")])
        gateway.wait_log("has no time within 5 years")

    def test_a_zone_of_the_environment_that_is_none_is_told(self):
        app = self.app()
        gateway = self.gateway(app=app, documents=[cron("@every 10ms")], env={"TZ": "Nowhere/X"})
        gateway.wait_log("the local time zone is unknown, UTC is used")
        self.assertEqual(app.wait_got("/tick", 1)[0].fields["timezone"], "UTC")


class Clocks(Story):
    def test_a_change_of_clocks_is_followed(self):
        """In a zone whose clocks go forward by an hour in a moment, what is due an hour and two
        seconds later by the wall clock comes two seconds later, and what is due in between never
        comes. Where the gateway was not up in time, a later moment is tried."""
        for lead in (4, 15, 45):
            change = int(time.time()) + lead
            app = self.with_change_at(change)
            if time.time() < change - 1:
                app.wait_got("/after", 1)
                self.assertEqual(app.got("/left-out"), [])
                return
        self.fail("the gateway was never up in time")

    def with_change_at(self, change):
        utc = time.gmtime(change)
        rule = (f"AAA0BBB,{utc.tm_yday - 1}/{time.strftime('%H:%M:%S', utc)},"
                f"{(utc.tm_yday + 180) % 365}")

        def shown(seconds):
            """A schedule of each day at the time that a clock without the change shows."""
            at = time.gmtime(seconds)
            return f"{at.tm_sec} {at.tm_min} {at.tm_hour} * * *"

        app = self.app()
        self.gateway(app=app, env={"TZ": rule}, documents=[
            cron(shown(change + 1), "left-out"), cron(shown(change + 3602), "after")])
        return app


if __name__ == "__main__":
    unittest.main()
