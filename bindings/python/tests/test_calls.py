"""Calls, through a real server, of a real backend."""

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest


import moorline
from moorline.testing import TestServer


class Backend(BaseHTTPRequestHandler):
    """Answers with what it was asked, or refuses."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        carried = {kind: asked[kind] for kind in ("data", "text", "bin") if kind in asked}
        status, answer = 200, carried
        if asked["method"] == "who":
            answer = {"data": [asked["user"], asked["id"]]}
        elif asked["method"] == "refuse":
            status, answer = 409, {"code": "sold_out", "message": "none left"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def calling_server() -> Iterator[TestServer]:
    """A server whose app has a backend."""
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    Thread(target=backend.serve_forever, daemon=True).start()
    config = f"""
[[callouts]]
name = "calls"
url = "http://127.0.0.1:{backend.server_port}/calls"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
asks = ["call"]
allow_private = true
"""
    with TestServer(config) as server:
        yield server
    backend.shutdown()
    backend.server_close()


async def test_the_backend_answers_a_call_with_what_it_was_asked_with(client, calling_server: TestServer):
    alice = client("alice", url=calling_server.url)
    values = [{"a": [1, None, "ü"]}, None, 0, "naïve 🦀", "", b"\0\xff"]
    assert await asyncio.gather(*(alice.call("echo", value) for value in values)) == values
    assert await alice.call("who", id="order-1") == ["alice", "order-1"]


async def test_what_goes_wrong_with_a_call_has_a_code(client, calling_server: TestServer, server: TestServer):
    alice = client("alice", url=calling_server.url)
    with pytest.raises(moorline.MoorlineError) as refused:
        await alice.call("refuse")
    assert (refused.value.code, refused.value.args[0]) == ("call.refused.sold_out", "none left")
    for wrong in ({"method": "no method"}, {"method": "echo", "timeout": 31}, {"method": "echo", "id": ""}):
        with pytest.raises(moorline.MoorlineError) as malformed:
            await alice.call(**wrong)
        assert malformed.value.code == "request.malformed"
    with pytest.raises(moorline.MoorlineError) as unsupported:
        await client("alice", url=server.url).call("echo")
    assert unsupported.value.code == "request.unsupported"
