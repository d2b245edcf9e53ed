"""The seam: order, cancelling, two consumers, a slow reader, nothing left behind."""

import asyncio
import gc
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from conftest import take

import moorline
from moorline.testing import TestServer
from moorline._ffi import moorline_mobile as ffi

T = TypeVar("T")


async def test_a_cancelled_wait_loses_nothing(client, room):
    alice = client()
    channel = alice.channel(room, qos=2)
    messages = channel.messages()
    got: list[int] = []
    sends = [channel.publish(n) for n in range(500)]
    while len(got) < 500:
        wait = asyncio.ensure_future(anext(messages))
        # Cancelled after none, one, two … turns of the loop: before it began, on its way, and done but not collected.
        for _ in range(len(got) % 7):
            await asyncio.sleep(0)
        if not wait.done():
            wait.cancel()
        try:
            got.append((await wait).data)
        except asyncio.CancelledError:
            got.append((await anext(messages)).data)
    assert got == list(range(500))
    assert all([not (await receipt.stored()).duplicate for receipt in sends])


async def test_an_idle_wait_is_cancelled_at_once_and_another_goes_on(client, room):
    channel = client().channel(room)
    messages = channel.messages()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(messages)
    channel.publish("after")
    assert (await anext(messages)).text == "after"


async def test_leaving_the_loop_leaves_the_channel_as_it_is(client, room):
    alice = client()
    channel = alice.channel(room, qos=2)
    got = []
    messages = channel.messages()
    for n in range(100):
        await channel.publish(n).stored()
    async for message in messages:
        got.append(message.data)
        if message.data == 10:
            break
    await messages.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(messages)
    async for message in channel.messages():
        got.append(message.data)
        if message.data == 99:
            break
    assert got == list(range(100))


async def test_who_goes_on_where_another_left_off_is_told_that_the_channel_is_read(client, room):
    channel = client().channel(room, since="first")
    for n in range(3):
        await channel.publish(n).stored()
    first = channel.events()
    begun = await anext(first)
    assert (type(begun), begun.start, begun.head) == (moorline.Subscribed, 0, 3)
    assert [message.data for message in await take(first, 2)] == [0, 1]
    await first.aclose()
    # Before what was left, and again while that is so.
    for _ in range(2):
        again = channel.events()
        begun = await anext(again)
        assert (type(begun), begun.start, begun.head) == (moorline.Subscribed, 2, 3)
        await again.aclose()
    rest = channel.events()
    assert (await anext(rest)).start == 2
    assert (await anext(rest)).data == 2
    await rest.aclose()
    # Nothing is left.
    last = channel.events()
    begun = await anext(last)
    assert (type(begun), begun.start, begun.head) == (moorline.Subscribed, 3, 3)


async def test_two_consumers_each_get_everything(client, room):
    channel = client().channel(room)
    fast, slow = channel.messages(), channel.messages()
    for n in range(300):
        await channel.publish(n).stored()
    assert [message.data for message in await take(fast, 300)] == list(range(300))
    assert [message.data for message in await take(slow, 300)] == list(range(300))


async def test_one_wait_at_a_time(client, room):
    messages = client().channel(room).messages()
    wait = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    with pytest.raises(moorline.RejectedError):
        await anext(messages)
    wait.cancel()


async def test_what_is_refused_is_raised_and_a_left_channel_ends(client, room):
    alice = client()
    with pytest.raises(moorline.MoorlineError) as refused:
        await anext(alice.channel("$system").messages())
    assert refused.value.code in ("channel.denied", "channel.invalid")
    channel = alice.channel(room)
    wait = asyncio.ensure_future(anext(channel.messages()))
    await asyncio.sleep(0)
    channel.leave()
    with pytest.raises(StopAsyncIteration):
        await wait
    with pytest.raises(moorline.RejectedError):
        channel.messages()


async def test_a_closed_client_ends_its_streams_and_calls_nobody(client, room, server: TestServer):
    asked: list[str] = []

    async def provider(reason):
        asked.append(reason)
        await asyncio.Event().wait()
        return "never"

    alice = client(token=provider)
    channel = alice.channel(room)
    wait = asyncio.ensure_future(anext(channel.messages()))
    states = [state async for state in first(alice.states())]
    while not asked:
        await asyncio.sleep(0)
    await alice.close()
    with pytest.raises(StopAsyncIteration):
        await wait
    assert states and alice.state == "closed"
    for use in (lambda: channel.publish("x"), lambda: channel.messages(), lambda: alice.set_push_handle("x")):
        with pytest.raises(moorline.ClosedError):
            use()
    with pytest.raises(moorline.ClosedError):
        await channel.history()
    with pytest.raises(moorline.ClosedError):
        await alice.connect()
    await alice.close()
    alice.lifecycle("online")
    alice.disconnect()
    await asyncio.sleep(0)
    assert asked == ["connect"]


async def test_a_logout_that_fails_says_why_and_leaves_nothing_running(client, room, tmp_path: Path):
    asked = asyncio.Event()

    async def provider(reason):
        asked.set()
        await asyncio.Event().wait()
        return "never"

    store = tmp_path / "alice.moor"
    alice = client(token=provider, store=store)
    await alice.channel(room).publish("secret").queued()
    await asked.wait()
    forbid_writing(store)
    with pytest.raises(moorline.InternalError) as refused:
        await alice.close(wipe=True)
    assert refused.value.code == "storage.unavailable"
    # Neither what was asked for a token nor what follows the log.
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert alice.state == "closed"
    assert [receipt.channel for receipt in client(store=store).restored] == [room]


def forbid_writing(path: Path) -> None:
    """Makes of this process's descriptor of a file one that only reads."""
    for name in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{name}") == str(path):
            reading = os.open(path, os.O_RDONLY)
            os.dup2(reading, int(name))
            os.close(reading)
            return
    raise AssertionError(f"{path} is not open")


async def first(stream):
    async for item in stream:
        yield item
        return


async def test_ten_thousand_messages_do_not_grow_the_heap(client, room):
    alice, bob = client("alice"), client("bob")
    messages = bob.channel(room, qos=1, since="first").messages()
    sends = alice.channel(room, qos=1)

    async def send(count: int) -> None:
        for n in range(0, count, 200):
            await asyncio.gather(*(sends.publish("x" * 200).stored() for _ in range(n, n + 200)))

    async def through(count: int) -> int:
        sender = asyncio.ensure_future(send(count))
        await take(messages, count)
        await sender
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    await through(1_000)
    before = ffi.live()
    tracemalloc.start()
    try:
        warm = await through(1_000)
        grown = await through(10_000) - warm
    finally:
        tracemalloc.stop()
    assert grown < 100_000, f"10,000 messages took {grown} bytes, and did not give them back"
    assert ffi.live() == before


async def test_a_slow_reader_holds_the_server_back_and_loses_nothing(client, proxy, room):
    bob = client("bob", url=proxy.url, queue_messages=50, compression=False)
    messages = bob.channel(room, qos=2, since="first").messages()
    sends = client("alice").channel(room, qos=2)
    for n in range(0, 2_000, 200):
        await asyncio.gather(*(sends.publish({"n": i, "x": "x" * 500}).stored() for i in range(n, n + 200)))
    # Everything is stored, and only what fits was sent.
    assert proxy.bytes_sent < 2_000 * 500 / 2
    assert [message.data["n"] for message in await take(messages, 2_000)] == list(range(2_000))


async def test_a_hundred_clients_leave_nothing(server: TestServer, tmp_path: Path):
    gc.collect()
    before, threads, files = ffi.live(), count("task"), count("fd")

    async def live(n: int) -> None:
        async with moorline.Client(server.url, token=lambda _: f"dev:u{n}", store=tmp_path / f"{n}.moor") as client:
            channel = client.channel("room:leaks", presence="join")
            messages, changes = channel.messages(), channel.presence.changes()
            await channel.publish("x").stored()
            await anext(messages)
            await anext(changes)

    for n in range(0, 100, 20):
        await asyncio.gather(*(live(each) for each in range(n, n + 20)))
    gc.collect()
    assert ffi.live() == before
    # Nobody tells when a thread that has ended is gone.
    await until(f"at most {threads} threads", lambda: count("task"), lambda now: now <= threads)
    await until(f"at most {files} open files", lambda: count("fd"), lambda now: now <= files)


def count(what: str) -> int:
    return len(os.listdir(f"/proc/self/{what}"))


async def until(awaited: str, look: Callable[[], T], is_so: Callable[[T], bool]) -> None:
    """Looks again and again; what never becomes so fails, and the failure says what it was instead."""
    seen = look()
    try:
        async with asyncio.timeout(50):
            while not is_so(seen):
                await asyncio.sleep(0)
                seen = look()
    except TimeoutError:
        raise AssertionError(f"awaited {awaited}; last seen: {seen}") from None


async def test_a_client_that_is_dropped_ends_by_itself(server: TestServer, room):
    gc.collect()
    before = ffi.live()
    client = moorline.Client(server.url, token="dev:alice")
    await client.channel(room).publish("x").stored()
    del client
    await until(f"{before}", collected, lambda now: now == before)


def collected() -> ffi.FfiLive:
    gc.collect()
    return ffi.live()


async def test_a_stream_that_nobody_takes_from_holds_up_no_other(client, room):
    alice = client(queue_messages=4)
    idle, busy = (alice.channel(room, since="first").events() for _ in range(2))
    assert isinstance(await anext(busy), moorline.Subscribed)
    writer = client("bob").channel(room)
    await asyncio.gather(*(writer.publish(n).stored() for n in range(40)))
    received = [event.data for event in await take(busy, 40) if isinstance(event, moorline.Message)]
    assert sorted(received) == list(range(40))
    told = await take(idle, 6)
    assert isinstance(told[0], moorline.Subscribed) and told[1] == moorline.Dropped(36)
    assert [event.data for event in told[2:]] == received[-4:]
