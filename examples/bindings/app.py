"""An application that is called by a clock, and calls two output bindings.

    python3 app.py PORT

`POST /report` comes from the input binding `report`. It asks the output binding `stock` how much is
left, and stores the answer as a file by the output binding `files`. Both calls go to the gateway,
whose port is in DAPR_HTTP_PORT. `GET /stock` stands for somebody else's service, one that fails every
other time. Nothing but Python's own library is used, and nothing of Fairlead.
"""
import http.server
import itertools
import json
import os
import sys
import urllib.request

GATEWAY = "http://127.0.0.1:" + os.environ.get("DAPR_HTTP_PORT", "3500")
stock_calls, reports = itertools.count(1), itertools.count(1)


def call_binding(name, operation, data=None, **metadata):
    """What the binding answers: bytes."""
    body = json.dumps({"operation": operation, "data": data, "metadata": metadata}).encode()
    with urllib.request.urlopen(f"{GATEWAY}/v1.0/bindings/{name}", body, timeout=30) as answer:
        return answer.read()


def write_report():
    left = json.loads(call_binding("stock", "get", path="stock"))
    name = f"report-{next(reports)}.json"
    call_binding("files", "create", left, fileName=name)
    print(f"{name}: {left}", flush=True)


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self):
        """The gateway asks, once: do you want the events of this binding?"""
        self.answer(200 if self.path == "/report" else 404)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            write_report()
            self.answer(200)
        except OSError as error:
            print(f"no report: {error}", flush=True)
            self.answer(500)

    def do_GET(self):
        if self.path == "/stock" and next(stock_calls) % 2:
            self.answer(503)
        elif self.path == "/stock":
            self.answer(200, {"apples": 12, "pears": 7})
        else:
            self.answer(404)

    def log_message(self, *_):
        """The gateway's log tells enough."""


try:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Application).serve_forever()
except KeyboardInterrupt:
    pass
