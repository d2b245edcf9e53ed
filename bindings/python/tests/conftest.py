"""A real server, a proxy in front of it that can be made to fail, and what every test may need."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import FaultProxy

import moorline

ROOT = Path(__file__).parents[3]
PROGRAM = os.environ.get("MOORLINE_SERVER", str(ROOT / "target/debug/moorline-server"))
KEY = "a secret of the tests, long enough for HS256"
CONFIG = f"""
[[apps]]
name = "default"
[[apps.keys]]
alg = "HS256"
secret = "{KEY}"
"""
_count = itertools.count(1)


class Server:
    """A real server, with a folder of its own that outlives its restarts."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.folder = folder
        self.args = args
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> None:
        command = [PROGRAM, "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder / "data"), *self.args]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.child.stdout is not None
        seen = ""
        for line in self.child.stdout:
            seen += line
            if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
                self.port = int(found[1])
                return
        raise AssertionError(f"the server ended: {seen}")

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), "--dev")
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that a test may kill."""
    server = Server(tmp_path / "server", "--dev")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that wants real tokens."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "moorline.toml").write_text(CONFIG)
    server = Server(folder, "--config", str(folder / "moorline.toml"))
    yield server
    server.kill()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    proxy = await FaultProxy.start(server.port)
    yield proxy
    await proxy.close()


def token(user: str, seconds: float) -> str:
    """A token as a backend would make it."""
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = time.time()
    claims = {"sub": user, "aud": "default", "iat": int(now), "exp": int(now + seconds), "grants": [{"match": "*", "can": ["subscribe", "publish", "history", "presence"]}]}
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(KEY.encode(), signed.encode(), hashlib.sha256)).rstrip(b"=")
    return f"{signed}.{signature.decode()}"


@pytest.fixture
def room() -> str:
    """A channel that nobody else uses."""
    return f"room:{os.getpid()}-{next(_count)}"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Any]:
    """Makes clients, and closes them."""
    made: list[moorline.Client] = []

    def make(user: str = "alice", url: str | None = None, **options: Any) -> moorline.Client:
        options = {"token": f"dev:{user}", "min_backoff": 0.05, "max_backoff": 0.2, **options}
        made.append(moorline.Client(url or server.url, **options))
        return made[-1]

    yield make
    await asyncio.gather(*(each.close() for each in made))


async def reaches(client: moorline.Client, state: str) -> moorline.Connection:
    """Waits until the connection is so."""
    async with client.states() as states:
        async for now in states:
            if now.state == state:
                return now
    raise AssertionError(f"the client was closed before it was {state}")


async def take(stream: moorline.Stream[Any], count: int) -> list[Any]:
    """The next so many."""
    return [await anext(stream) for _ in range(count)]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counts for who runs this among other tests."""
    counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error")}
    verdict = "FAILED" if counts["failed"] + counts["error"] else "ok"
    terminalreporter.write_line(f"test result: {verdict}. {counts['passed']} passed; {counts['failed'] + counts['error']} failed")
