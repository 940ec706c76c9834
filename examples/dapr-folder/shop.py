"""An application as it is written for Dapr: it publishes through the sidecar's port and takes events by
POST. Which topics it gets stands in a Subscription, so it is asked for none.

    python3 shop.py PORT

`POST /checkout` with an order publishes it. An order of nothing is refused each time
it comes, until it is a dead letter. It knows of nothing but DAPR_HTTP_PORT.
"""
import http.server
import json
import os
import sys
import urllib.request

SIDECAR = "http://127.0.0.1:" + os.environ.get("DAPR_HTTP_PORT", "3500")


def publish(topic, data):
    request = urllib.request.Request(f"{SIDECAR}/v1.0/publish/pubsub/{topic}",
                                     json.dumps(data).encode(),
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/checkout":
            publish("orders", given)
            self.answer(202)
        elif self.path == "/orders" and not given["data"].get("items"):
            print("refused:", given["data"], flush=True)
            self.answer(200, {"status": "RETRY"})
        else:
            print(f"{self.path[1:]}:", given["data"], flush=True)
            self.answer(200, {"status": "SUCCESS"})

    def do_GET(self):
        self.answer(404)

    def log_message(self, *_):
        """The sidecar's log tells enough."""


try:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
except KeyboardInterrupt:
    pass
