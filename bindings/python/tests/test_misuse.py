"""What an app says wrongly is refused where it says it, as this library does; and what it says in another order works."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import moorline
from moorline.testing import TestServer

HALF = "\ud800"
CLIENTS: list[dict[str, Any]] = [
    {"token": HALF}, {"store": 5}, {"store": HALF}, {"compression": "x"}, {"root_certificates": 5},
    {"root_certificates": b"pem"}, {"root_certificates": ["x"]}, {"url": 5}, {"url": "ws://" + HALF}, {"url": "ws://h:99999/ws"},
    {"connect_timeout": 0}, {"outbox_messages": 0}, {"outbox_bytes": 0},
]
CALLS: list[Callable[[moorline.Client, moorline.Channel], Any]] = [
    lambda client, _: client.channel("room", presence=[]),
    lambda client, _: client.channel("room", durable="yes"),
    lambda client, _: client.status(None),
    lambda client, _: client.status("alice"),
    lambda client, _: client.status([5]),
    lambda client, _: client.status([HALF]),
    lambda client, _: client.watch_status(5),
    lambda client, _: client.watch_status([HALF]),
    lambda client, _: client.set_push_handle(5),
    lambda client, _: client.set_push_handle(HALF),
    lambda client, _: client.call("m", timeout="x"),
    lambda client, _: client.call("m", timeout=float("inf")),
    lambda client, _: client.call("m", id=5),
    lambda client, _: client.call("m", id=HALF),
    lambda client, _: client.lifecycle([]),
    lambda _, room: room.publish("x", headers="abc"),
    lambda _, room: room.publish("x", headers=[1]),
    lambda _, room: room.ack(None),
    lambda _, room: room.ack("x"),
    lambda _, room: room.ack(moorline.Position("x", -1)),
    lambda _, room: room.ack(moorline.Position(HALF, 1)),
    lambda _, room: room.ack(moorline.Position(5, 1)),
    lambda _, room: room.presence.page(5),
    lambda _, room: room.presence.page(HALF),
]


@pytest.mark.parametrize("options", CLIENTS, ids=repr)
def test_an_option_that_is_none_is_refused(options):
    with pytest.raises(moorline.RejectedError) as refused:
        moorline.Client(**{"url": "ws://127.0.0.1:1/ws", **options})
    assert refused.value.code == "request.malformed"


@pytest.mark.parametrize("number", range(len(CALLS)))
async def test_an_argument_that_is_none_is_refused(client, room, number):
    alice = client()
    with pytest.raises(moorline.RejectedError) as refused:
        answer = CALLS[number](alice, alice.channel(room))
        if asyncio.iscoroutine(answer):
            await answer
    assert refused.value.code == "request.malformed"
    # The client is none the worse for it.
    await alice.connect()


async def test_a_message_is_acknowledged_on_its_own_channel(client, room):
    alice = client()
    one, other = (alice.channel(name, durable=True, ack="manual", since="first") for name in (room, f"{room}-b"))
    await asyncio.gather(*(channel.publish("x").stored() for channel in (one, other)))
    message = await anext(one.messages())
    with pytest.raises(moorline.RejectedError, match="is not acknowledged on"):
        other.ack(message)
    one.ack(message)


async def test_a_message_of_an_inbox_is_acknowledged_by_its_short_name(client):
    alice = client("alice-of-misuse")
    inbox = alice.channel("@me", durable=True, ack="manual", since="first")
    events = inbox.events()
    assert isinstance(await anext(events), moorline.Subscribed)
    await inbox.publish("x").stored()
    message = await anext(events)
    inbox.ack(message)
    assert isinstance(await anext(events), moorline.Acked)


async def test_a_first_use_by_presence_asks_for_a_token(server: TestServer, room):
    alice = moorline.Client(server.url, token=lambda _: "dev:alice")
    await alice.channel(room, presence="watch").presence.enter({"at": 1})
    await alice.close()


@pytest.mark.parametrize("token", [5, HALF])
async def test_a_token_that_is_none_is_told(client, token):
    alice = client(token=lambda _: token)
    states = alice.states()
    waits = asyncio.ensure_future(alice.connect())
    while (cause := (await anext(states)).cause) is None:
        pass
    assert "token provider failed" in str(cause)
    waits.cancel()


async def test_a_wait_for_a_connection_ends_when_it_is_called_off(client):
    alice = client(url="ws://127.0.0.1:1/ws")
    waits = asyncio.ensure_future(alice.connect())
    states = alice.states()
    while (await anext(states)).state != "connecting":
        pass
    alice.disconnect()
    with pytest.raises(moorline.RejectedError) as ended:
        await waits
    assert ended.value.code == "request.order"


async def test_after_a_final_refusal_every_call_says_why(client, room, token_server: TestServer):
    alice = client(url=token_server.url, token="none")
    with pytest.raises(moorline.AuthError):
        await alice.connect()
    channel = alice.channel(room)
    calls = (lambda: channel.publish("x"), channel.messages, channel.history, lambda: alice.call("m"), lambda: alice.status(["a"]))
    for call in calls:
        with pytest.raises(moorline.MoorlineError) as refused:
            answer = call()
            if asyncio.iscoroutine(answer):
                await answer
        assert refused.value.code == "auth.invalid"
