"""Calls, through a real server, of a real backend."""

import asyncio
import json
import pickle
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

import moorline
from moorline.testing import FaultProxy, TestServer


class Backend(BaseHTTPRequestHandler):
    """Answers with what it was asked, or refuses, fails, hangs."""

    server: "BackendServer"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        carried = {kind: asked[kind] for kind in ("data", "text", "bin") if kind in asked}
        status, answer = 200, carried
        if asked["method"] == "who":
            answer = {"data": [asked["user"], asked["id"]]}
        elif asked["method"] == "refuse":
            status, answer = 409, {"code": "sold_out", "message": "none left"}
        elif asked["method"] == "fail":
            status = 500
        elif asked["method"] == "full":
            status = 503
        elif asked["method"] == "hang":
            self.server.hung.append(asked["id"])
            self.server.arrived.set()
            self.server.released.wait()
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class BackendServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Backend)
        # What hangs, hangs until then.
        self.released = Event()
        self.arrived = Event()
        self.hung: list[str] = []


@pytest.fixture
def backend() -> Iterator[BackendServer]:
    """A backend, as it is told to be."""
    backend = BackendServer()
    Thread(target=backend.serve_forever, daemon=True).start()
    yield backend
    backend.released.set()
    backend.shutdown()
    backend.server_close()


@pytest.fixture
def calling_server(request: pytest.FixtureRequest, backend: BackendServer) -> Iterator[TestServer]:
    """A server whose app has a backend."""
    config = f"""
{getattr(request, "param", "")}
[[callouts]]
name = "calls"
url = "http://127.0.0.1:{backend.server_port}/calls"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
asks = ["call"]
allow_private = true
"""
    with TestServer(config) as server:
        yield server
        # What ends is asked no more.
        backend.released.set()


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
    for method, code, retryable in (("fail", "call.failed", False), ("full", "call.unavailable", True)):
        with pytest.raises(moorline.MoorlineError) as failed:
            await alice.call(method)
        assert (failed.value.code, failed.value.retryable, failed.value.origin) == (code, retryable, "server")
    with pytest.raises(moorline.MoorlineError) as late:
        await alice.call("hang", timeout=0.2)
    assert late.value.code == "call.timeout"
    # The connection has stood all the while.
    assert await alice.call("echo", "x") == "x"
    for wrong in ({"method": "no method"}, {"method": "echo", "timeout": 31}, {"method": "echo", "id": ""}):
        with pytest.raises(moorline.MoorlineError) as malformed:
            await alice.call(**wrong)
        assert malformed.value.code == "request.malformed"
    with pytest.raises(moorline.MoorlineError) as unsupported:
        await client("alice", url=server.url).call("echo")
    assert unsupported.value.code == "request.unsupported"


@pytest.mark.parametrize("calling_server", ["[limits]\npublish_rate = 1\npublish_burst = 1"], indirect=True)
async def test_who_calls_too_often_is_told_when_to_call_again(client, calling_server: TestServer):
    alice = client("alice", url=calling_server.url)
    await alice.connect()
    # They arrive together: of so many some come too early, however slow the machine is.
    answers = await asyncio.gather(*(alice.call("echo", n) for n in range(20)), return_exceptions=True)
    early = [answer for answer in answers if isinstance(answer, moorline.MoorlineError)]
    assert early
    for error in early:
        assert (type(error), error.code, error.retryable) == (moorline.LimitError, "limit.rate", True)
        assert error.retry_after is not None and 0 < error.retry_after <= 1
    copy = pickle.loads(pickle.dumps(early[0]))
    assert (copy.retry_after, str(copy)) == (early[0].retry_after, str(early[0]))
    with pytest.raises(moorline.MoorlineError) as malformed:
        await alice.call("no method")
    assert malformed.value.retry_after is None


async def test_a_call_needs_a_grant_for_its_method(client, calling_server: TestServer):
    alice = client(url=calling_server.url, token=calling_server.token("alice", channels="ech*"))
    assert await alice.call("echo", 1) == 1
    with pytest.raises(moorline.MoorlineError) as denied:
        await alice.call("who")
    assert denied.value.code == "call.denied"


async def test_a_call_whose_connection_ends_is_uncertain_and_not_made_again(client, calling_server: TestServer, backend: BackendServer):
    async with FaultProxy(calling_server.url) as proxy:
        alice = client("alice", url=proxy.url)
        call = asyncio.ensure_future(alice.call("hang", id="cut", timeout=20))
        await asyncio.to_thread(backend.arrived.wait)
        proxy.cut()
        with pytest.raises(moorline.MoorlineError) as uncertain:
            await call
        assert uncertain.value.code == "call.uncertain"
        assert await alice.call("echo", "back") == "back"
        assert backend.hung == ["cut"]
        await alice.close()
