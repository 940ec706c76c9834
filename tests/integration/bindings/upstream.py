"""A server for stories of bindings.http that does whatever a test says, to the byte.

`paths` maps a path to bytes, which are sent as they are, or to a function of (request, connection),
which may send bytes itself and returns bytes, None (nothing more, the connection stays), or CLOSE.
"""
import json
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import App, answer, component, wait_for

CLOSE = object()
BODY = b'{"from":"upstream"}'


def reset(_request, connection):
    """Ends the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return CLOSE


def closing(data):
    """Sends bytes, then ends the connection."""
    def handler(_request, connection):
        connection.sendall(data)
        return CLOSE
    return handler


def chunked(*chunks):
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


class Upstream(App):
    """Started by the story as an App is."""

    def __init__(self, context=None, port=None):
        super().__init__(context=context, port=port)
        self.paths = {}

    def converse(self, connection, number):
        with connection.makefile("rb") as stream:
            place = 0
            while True:
                request = self.read(stream, number, place)
                if not request:
                    return
                with self.lock:
                    self.requests.append(request)
                    self.sockets[connection] = True
                reply = self.paths.get(request.path, answer(200, BODY, "X-Up: 1"))
                if callable(reply):
                    reply = reply(request, connection)
                if reply is CLOSE:
                    return
                if reply:
                    connection.sendall(reply)
                place += 1
                with self.lock:
                    self.sockets[connection] = False

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def at(self, path):
        with self.lock:
            return [request for request in self.requests if request.path == path]


def http_binding(name="web", **metadata):
    return component(name, "bindings.http", **metadata)


def call(gateway, operation="get", path=None, data=None, binding="web", client=None, **metadata):
    """One call of a binding; the answer, with `error` the message of a failure."""
    body = {"operation": operation, "metadata": metadata}
    if path is not None:
        metadata["path"] = path
    if data is not None:
        body["data"] = data
    text = json.dumps(body).encode()
    if client:
        got = client.exchange("POST", f"/v1.0/bindings/{binding}", text)
    else:
        from harness import Client
        with Client(gateway.address) as own:
            got = own.exchange("POST", f"/v1.0/bindings/{binding}", text)
    got.error = got.json["message"] if got.status >= 400 else ""
    return got
