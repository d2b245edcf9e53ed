"""What was published before, during and after a fault arrives once and in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import moorline
from moorline.testing import FaultProxy, TestServer


@pytest.fixture
def survives(client: Any, room: str) -> Iterator[Any]:
    """Publishes around what is done to the network."""
    async def survives(network: FaultProxy, during: Callable[[Awaitable[Any]], Awaitable[None]]) -> None:
        alice, bob = (client(user, url=network.url, connect_timeout=2) for user in ("alice", "bob"))
        events = bob.channel(room, qos=2).events()
        assert isinstance(await anext(events), moorline.Subscribed)
        writer = alice.channel(room, qos=2)

        def publish(start: int) -> Awaitable[Any]:
            receipts = [writer.publish(start + n) for n in range(10)]
            return asyncio.gather(*(receipt.stored() for receipt in receipts))

        await publish(0)
        middle = publish(10)
        await during(middle)
        await middle
        await publish(20)
        received: list[Any] = []
        while len(received) < 30:
            event = await anext(events)
            if isinstance(event, moorline.Message):
                received.append(event.data)
            else:
                assert isinstance(event, (moorline.Subscribed, moorline.Acked))
        assert received == list(range(30))

    yield survives


async def test_goes_on_after_a_cut(survives, proxy: FaultProxy):
    async def during(_: Any) -> None:
        proxy.cut()

    await survives(proxy, during)


async def test_goes_on_after_cut_upon_cut(survives, proxy: FaultProxy):
    async def during(_: Any) -> None:
        for _ in range(3):
            proxy.cut()

    await survives(proxy, during)


async def test_goes_on_when_a_black_hole_lets_go(survives, proxy: FaultProxy):
    async def during(_: Any) -> None:
        proxy.black_hole()
        proxy.heal()

    await survives(proxy, during)


async def test_goes_on_over_a_slow_line(survives, proxy: FaultProxy):
    async def during(middle: Awaitable[Any]) -> None:
        proxy.delay(0.1)
        await middle

    await survives(proxy, during)


async def test_goes_on_over_a_killed_server(survives, own_server: TestServer):
    async def during(_: Any) -> None:
        own_server.kill()
        own_server.start()

    async with FaultProxy(own_server.url) as network:
        await survives(network, during)


async def test_says_why_it_is_not_connected(client, proxy: FaultProxy):
    proxy.refuse()
    alice = client(url=proxy.url)
    connecting = asyncio.ensure_future(alice.connect())
    async for now in alice.states():
        if now.state == "connecting" and now.attempt > 1:
            break
    assert (now.reason, now.cause and now.cause.origin) == ("transport-failed", "transport")
    proxy.heal()
    await connecting
    assert alice.state == "online"


async def test_keeps_what_was_published_offline_over_a_reload(client, proxy: FaultProxy, room, tmp_path):
    proxy.refuse()
    alice = client(url=proxy.url, store=tmp_path / "alice.moor")
    receipts = [alice.channel(room, qos=2).publish(n) for n in range(5)]
    await asyncio.gather(*(receipt.queued() for receipt in receipts))
    await alice.close()
    proxy.heal()
    again = client(url=proxy.url, store=tmp_path / "alice.moor")
    restored = again.restored
    await again.connect()
    await asyncio.gather(*(receipt.stored() for receipt in restored))
    page = await again.channel(room).history()
    ids = [receipt.id for receipt in receipts]
    assert ([receipt.id for receipt in restored], [message.id for message in page.messages]) == (ids, ids)
    assert [message.data for message in page.messages] == [0, 1, 2, 3, 4]
    assert again.outbox == moorline.Outbox(0, 0)


async def test_goes_on_at_the_durable_cursor_after_a_reload(client, room, tmp_path):
    sends = client("alice").channel(room)
    bob = client("bob", store=tmp_path / "bob.moor")
    events = bob.channel(room, durable=True).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    await sends.publish("a").stored()
    assert (await anext(events)).text == "a"
    # Whoever asks for more is done with what came.
    assert await anext(events) == moorline.Acked(1)
    await bob.close()
    await sends.publish("b").stored()
    again = client("bob", store=tmp_path / "bob.moor").channel(room, durable=True).messages()
    message = await anext(again)
    assert (message.text, message.replayed) == ("b", True)
