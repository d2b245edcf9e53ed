"""A real server, a proxy in front of it that can be made to fail, and what every test may need."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import moorline
from moorline.testing import FaultProxy, TestServer

ROOT = Path(__file__).parents[3]
os.environ.setdefault("MOORLINE_SERVER", str(ROOT / "target/debug/moorline-server"))
_count = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[TestServer]:
    with TestServer() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[TestServer]:
    """One that a test may kill."""
    with TestServer() as server:
        yield server


@pytest.fixture(scope="session")
def token_server() -> Iterator[TestServer]:
    """One that wants real tokens."""
    with TestServer(dev=False) as server:
        yield server


@pytest.fixture
async def proxy(server: TestServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def room() -> str:
    """A channel that nobody else uses."""
    return f"room:{os.getpid()}-{next(_count)}"


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[Any]:
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
