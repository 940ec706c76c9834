"""`fairlead run`: what it takes from the environment, and what it says when the application ends."""
import signal
import sys
import unittest

from cli_test import CommandStory
from harness import FAIRLEAD, free_port


class Environment(CommandStory):
    def variables(self, done):
        lines = [line[10:] for line in done.stdout.splitlines() if line.startswith("== APP == ")]
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def test_variables_of_dapr_run_count_before_the_defaults(self):
        given = {"APP_ID": "mine", "APP_PORT": "1234", "DAPR_HTTP_PORT": str(free_port()),
                 "DAPR_GRPC_PORT": str(free_port()), "DAPR_METRICS_PORT": str(free_port())}
        done = self.call("run", "-d", "r", "env", **given)
        self.assertEqual(done.returncode, 0, done.stdout)
        got = self.variables(done)
        self.assertEqual({name: got[name] for name in given}, given)
        self.assertIn("--app-id is APP_ID of the environment", done.stdout)

    def test_a_run_within_a_run_finds_ports_of_its_own(self):
        """The inner one has the outer one's ports in its environment."""
        outer = self.start("-d", "r", "-a", "outer", "--", "sh", "-c",
                           f"{sys.executable} -c 'import os; print(os.environ[\"DAPR_HTTP_PORT\"])';"
                           "\"$FAIRLEAD\" run -d r -a inner env", FAIRLEAD=FAIRLEAD)
        self.assertEqual(outer.wait_end(), 0)
        ports = {line.split("=")[1] for line in outer.log().splitlines()
                 if line.startswith("== APP == == APP == DAPR_HTTP_PORT=")}
        self.assertEqual(len(ports), 1, outer.log())
        self.assertNotIn(f"== APP == {ports.pop()}", outer.log().splitlines())
        self.assertRegex(outer.log(), r"port \d+ is taken: the API's is \d+")

    def test_a_wrong_variable_is_named(self):
        done = self.call("run", "-d", "r", "true", APP_PORT="eighty")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error parsing APP_PORT environment variable: ", done.stdout)



class Ends(CommandStory):
    def test_a_signal_says_what_is_waited_for(self):
        run = self.start("-d", "r", "-p", str(free_port()), "--dapr-graceful-shutdown-seconds", "7",
                         "--", sys.executable, "app.py")
        run.wait_subscribed()
        run.process.terminate()
        self.assertEqual(run.wait_end(), 0)
        self.assertIn("Waiting for the application to end, 21s at most", run.log())
        self.assertIn("the application ended with status 0", run.log())
        self.assertNotIn("Blocking graceful shutdown", run.log())

    def test_a_block_period_of_the_users_own_is_called_so(self):
        run = self.start("-d", "r", "--dapr-block-shutdown-duration", "10ms", "--", "sleep", "100")
        run.wait_log("dapr initialized")
        run.process.send_signal(signal.SIGTERM)
        run.wait_end()
        self.assertIn("Blocking graceful shutdown for 10ms or until app reports unhealthy...",
                      run.log())

    def test_an_application_that_ends_is_not_waited_for(self):
        done = self.call("run", "-d", "r", "--", "sh", "-c", "exit 3")
        self.assertEqual(done.returncode, 3)
        self.assertIn("the application ended with status 3", done.stdout)
        self.assertNotIn("Waiting for the application", done.stdout)
        self.assertNotIn("Blocking", done.stdout)


if __name__ == "__main__":
    unittest.main()
