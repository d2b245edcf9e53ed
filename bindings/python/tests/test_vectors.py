"""The golden frames of the server, byte for byte: what they say is what the app sees."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import ROOT
from peer import CALL, HELLO, HISTORY, PRESENCE, PUBLISH, STATUS, Peer, varint, written

import moorline


def vectors(frame: str) -> list[Any]:
    return [each for each in json.loads((ROOT / f"tests/vectors/server/{frame}.json").read_text())["vectors"] if each["json"]]


def golden(frame: str, *, but: Callable[[Any], bool] = lambda json: False) -> Any:
    """One test for each vector of a frame."""
    params = [pytest.param(each["json"], bytes.fromhex(each["binary"]), id=each["name"]) for each in vectors(frame) if not but(each["json"])]
    assert params
    return pytest.mark.parametrize(("said", "frame"), params)


def named(frame: str, name: str) -> tuple[Any, bytes]:
    return next((each["json"], bytes.fromhex(each["binary"])) for each in vectors(frame) if each["name"] == name)


WELCOME = named("welcome", "of a user")[1]


def welcome_with_calls() -> bytes:
    """The golden welcome with everything, whose server can do calls in place of something of a later version."""
    size, frame = varint(named("welcome", "everything")[1])
    frame = frame.replace(b"\x05later", b"\x04call")
    assert len(frame) == size - 1
    return written(len(frame)) + frame


def answers(kind: int, frame: bytes) -> Peer:
    """A server that answers one request with a golden frame."""
    async def script(peer: Peer) -> None:
        await peer.hear(HELLO)
        peer.say(welcome_with_calls() if kind == CALL else WELCOME)
        await peer.answer(kind, frame)

    return Peer(script)


def payload(said: Any) -> tuple[str, Any]:
    if "bin" in said:
        return "bytes", base64.b64decode(said["bin"])
    return ("text", said["text"]) if "text" in said else ("data", said["data"])


def same(said: Any, message: moorline.Message, replayed: bool) -> None:
    kind, carried = payload(said)
    assert (message.kind, getattr(message, kind)) == (kind, carried)
    assert (message.id, message.user, message.offset) == (said["id"], said.get("user"), said.get("offset"))
    assert (message.time, dict(message.headers)) == (said["time"] / 1000, said.get("headers", {}))
    assert (message.replayed, message.redelivered) == (replayed, False)


@golden("page")
async def test_pages_of_history(client, said, frame):
    async with answers(HISTORY, frame) as peer:
        page = await client(url=peer.url).channel("room:42").history()
        assert (page.first, page.head, page.more, page.epoch) == (said["first"], said["head"], said["more"], said["epoch"])
        assert len(page.messages) == len(said["messages"])
        for golden_message, message in zip(said["messages"], page.messages, strict=True):
            same(golden_message, message, replayed=True)


@golden("members")
async def test_pages_of_members(client, said, frame):
    async with answers(PRESENCE, frame) as peer:
        page = await client(url=peer.url).channel("room:42").presence.page()
        found = [(member.user, member.state, member.since) for member in page.members]
        assert found == [(each["user"], each.get("state"), each["since"] / 1000) for each in said["members"]]
        assert (page.count, page.cursor) == (said["count"], said.get("cursor"))


@golden("statuses", but=lambda said: "req" not in said)
async def test_who_is_online(client, said, frame):
    async with answers(STATUS, frame) as peer:
        found = await client(url=peer.url).status(list(said["users"]) or ["nobody"])
        expected = {user: (status["online"], status.get("since") and status["since"] / 1000) for user, status in said["users"].items()}
        assert {user: (status.online, status.since) for user, status in found.items()} == expected


@golden("result")
async def test_results_of_calls(client, said, frame):
    async with answers(CALL, frame) as peer:
        assert await client(url=peer.url).call("cart.add") == payload(said)[1]


@golden("published")
async def test_what_is_stored(client, said, frame):
    async with answers(PUBLISH, frame) as peer:
        stored = await client(url=peer.url).channel("room:42").publish("hi", qos=1).stored()
        assert (stored.epoch, stored.offset, stored.duplicate) == (said["epoch"], said.get("offset"), said["duplicate"])


DELIVERIES = [
    ("live", "live"), ("live", "live, several"), ("live", "live, by name"), ("replay", "a replay page"),
    ("replay", "the last replay page"), ("replay", "after expired messages"), ("replay", "the tail has expired"),
]


@pytest.mark.parametrize(("start", "name"), DELIVERIES, ids=[name for _, name in DELIVERIES])
async def test_deliveries(client, start, name):
    said, frame = named("deliver", name)

    async def script(peer: Peer) -> None:
        await peer.hear(HELLO)
        peer.say(WELCOME + named("subscribed", start)[1] + frame)

    async with Peer(script) as peer:
        messages = client(url=peer.url).channel("room:42").messages()
        for golden_message in said["messages"]:
            same(golden_message, await anext(messages), replayed=said.get("replay", False))


@pytest.mark.parametrize("name", ["reset: trimmed, replay follows", "reset: epoch, live"])
async def test_resets(client, name):
    said, frame = named("subscribed", name)

    async def script(peer: Peer) -> None:
        await peer.hear(HELLO)
        peer.say(WELCOME + frame)

    async with Peer(script) as peer:
        events = client(url=peer.url).channel("room:42").events()
        while not isinstance(reset := await anext(events), moorline.Reset):
            pass
        assert reset == moorline.Reset(said["reason"], said["epoch"], said["first"], said["head"], said["from"])
