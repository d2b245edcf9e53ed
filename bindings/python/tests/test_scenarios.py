"""The scenarios that come out the same on every platform."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import reaches, take

import moorline
from moorline.testing import FaultProxy, TestServer


async def test_connects_and_says_so(client, caplog):
    caplog.set_level("INFO", logger="moorline")
    alice = client("alice")
    assert alice.state == "idle"
    await alice.connect()
    assert (alice.state, alice.user) == ("online", "alice")
    assert alice.connection.since > 1.7e9
    await alice.close()
    assert alice.state == "closed"
    words = [record.getMessage() for record in caplog.records]
    assert [word for word in words if word.startswith(("online", "closed"))] == ["online (welcome)", "closed (requested)"]


async def test_takes_the_next_address_where_the_first_is_dead(client, proxy: FaultProxy, server: TestServer):
    proxy.refuse()
    alice = client("alice", url=[proxy.url, server.url])
    await alice.connect()
    assert alice.state == "online"


async def test_a_refused_token_ends_it(client):
    alice = client(token="forged")
    with pytest.raises(moorline.AuthError) as refused:
        await alice.connect()
    assert (refused.value.code, refused.value.number, refused.value.origin) == ("auth.invalid", 300, "server")
    assert (alice.state, alice.connection.cause.code) == ("closed", "auth.invalid")


async def test_fetches_a_new_token_before_the_old_one_expires(client, token_server: TestServer, room):
    reasons: list[str] = []
    twice = asyncio.Event()

    async def provider(reason):
        reasons.append(reason)
        if len(reasons) == 2:
            twice.set()
        return token_server.token("alice", 2 if len(reasons) == 1 else 3600)

    alice = client(url=token_server.url, token=provider)
    await alice.connect()
    await twice.wait()
    assert not (await alice.channel(room).publish("hi").stored()).duplicate
    assert (reasons, alice.state) == (["connect", "expiring"], "online")


async def test_asks_again_for_a_token_that_could_not_be_had(client, token_server: TestServer):
    calls = 0

    def provider(reason):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("no way")
        return token_server.token("alice", 3600)

    alice = client(url=token_server.url, token=provider)
    await alice.connect()
    assert (calls, alice.state) == (2, "online")


async def test_follows_what_the_host_says_of_the_network_and_the_app(client, proxy: FaultProxy, room):
    alice = client(url=proxy.url)
    await alice.connect()
    alice.lifecycle("background")
    alice.lifecycle("foreground")
    alice.network(7)
    alice.lifecycle("offline")
    proxy.cut()
    recovering = await reaches(alice, "recovering")
    # Offline it does not try at once, though the pause between attempts is 0.2 s at most.
    assert recovering.retry_at is not None and recovering.retry_at - recovering.since > 5
    receipt = alice.channel(room).publish("later")
    await receipt.queued()
    assert receipt.state == "queued"
    alice.lifecycle("online")
    await receipt.stored()
    assert alice.state == "online"


async def test_disconnects_and_comes_back(client, room):
    alice = client()
    events = alice.channel(room).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    alice.disconnect()
    await reaches(alice, "idle")
    await alice.connect()
    assert isinstance(await anext(events), moorline.Subscribed)


async def test_gets_what_it_missed_when_it_comes_back(client, room):
    bob = client("bob")
    events = bob.channel(room).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    bob.disconnect()
    await reaches(bob, "idle")
    sends = client("alice").channel(room)
    await sends.publish("missed").stored()
    await bob.connect()
    assert isinstance(await anext(events), moorline.Subscribed)
    await sends.publish("live").stored()
    for text in ("missed", "live"):
        assert (await anext(events)).text == text


async def test_resumes_after_a_cut_without_loss(client, proxy: FaultProxy, room):
    alice, bob = client("alice"), client("bob", url=proxy.url)
    messages = bob.channel(room, qos=2).messages()
    waiting = asyncio.ensure_future(take(messages, 200))
    await reaches(bob, "online")
    sends = alice.channel(room, qos=2)
    first = [sends.publish({"n": n}) for n in range(100)]
    await asyncio.gather(*(receipt.stored() for receipt in first))
    proxy.cut()
    await asyncio.gather(*(sends.publish({"n": n}).stored() for n in range(100, 200)))
    assert [message.data["n"] for message in await waiting] == list(range(200))


async def test_gives_up_a_connection_that_is_mute(client, proxy: FaultProxy, room):
    alice = client(url=proxy.url)
    await alice.connect()
    proxy.black_hole()
    receipt = alice.channel(room).publish("into the dark")
    alice.lifecycle("wake")
    assert (await reaches(alice, "recovering")).reason == "silent"
    proxy.heal()
    assert (await receipt.stored()).offset == 1


async def test_a_receipt_tells_how_far_its_message_has_come(client, proxy: FaultProxy, room):
    alice = client(url=proxy.url)
    await alice.connect()
    proxy.black_hole()
    receipt = alice.channel(room).publish("x")
    states = receipt.states()
    # The server cannot answer: however slow this is, it gets to see that the message was sent.
    while (state := await anext(states)) != "sent":
        assert state == "queued"
    proxy.heal()
    assert [state async for state in states] == ["stored"]
    assert [state async for state in receipt.states()] == ["stored"]
    proxy.refuse()
    unsettled = alice.channel(room).publish("y").states()
    assert await anext(unsettled) in ("queued", "sent")
    await alice.close()
    assert [state async for state in unsettled if state not in ("queued", "sent")] == []


async def test_the_logger_hears_what_happens_to_a_client(client, caplog, proxy: FaultProxy, room):
    caplog.set_level("DEBUG", logger="moorline")
    alice = client("alice", url=proxy.url + "?secret=yes")
    await alice.connect()
    proxy.cut()
    await alice.channel(room).publish("a payload").stored()
    assert await failed(alice.channel(room).publish("late", ttl=0)) == "publish.expired"
    await alice.close()
    lines = [(record.name, record.levelname, record.getMessage()) for record in caplog.records if record.name == "moorline"]
    texts = [text for _, _, text in lines]
    assert lines[:3] == [
        ("moorline", "INFO", "connecting (requested)"),
        ("moorline", "DEBUG", f"opens {proxy.url}"),
        ("moorline", "INFO", "online (welcome)"),
    ]
    assert [level for _, level, text in lines if text.startswith("recovering (transport-")] != []
    assert {level for _, level, text in lines if text.startswith("recovering")} == {"WARNING"}
    assert [level for _, level, text in lines if text.startswith(f"{room}: a message is not stored")] == ["WARNING"]
    assert lines[-1] == ("moorline", "INFO", "closed (requested)")
    assert not [text for text in texts if "secret" in text or "dev:alice" in text or "payload" in text]
    # Nothing is heard of a closed client.
    count = len(caplog.records)
    await asyncio.sleep(0)
    assert len(caplog.records) == count


async def failed(receipt: moorline.Receipt) -> str:
    """The code of what became of a message."""
    with pytest.raises(moorline.MoorlineError) as failure:
        await receipt.stored()
    return failure.value.code


async def test_a_killed_server_is_resumed(client, own_server: TestServer, room):
    alice = client(url=own_server.url)
    messages = alice.channel(room, qos=2).messages()
    sends = alice.channel(room, qos=2)
    await sends.publish(0).stored()
    own_server.kill()
    receipts = [sends.publish(n) for n in range(1, 20)]
    await reaches(alice, "recovering")
    own_server.start()
    assert [(await receipt.stored()).duplicate for receipt in receipts] == [False] * 19
    assert [message.data for message in await take(messages, 20)] == list(range(20))


OFFLINE = """
import asyncio, os, signal, sys
import moorline

async def main(url, store, room):
    client = moorline.Client(url, token="dev:alice", store=store)
    receipts = [client.channel(room, qos=2).publish({"n": n}) for n in range(50)]
    await asyncio.gather(*(receipt.queued() for receipt in receipts))
    print("kept", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_process_published_offline_goes_out_with_the_next(client, proxy, server, room, tmp_path: Path):
    proxy.refuse()
    store = tmp_path / "alice.moor"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OFFLINE, proxy.url, str(store), room, stdout=subprocess.PIPE
    )
    printed, _ = await child.communicate()
    assert (printed, child.returncode) == (b"kept\n", -signal.SIGKILL)
    alice = client(store=store)
    restored = alice.restored
    assert (len(restored), restored[0].channel, alice.outbox.messages) == (50, room, 50)
    messages = alice.channel(room, qos=2, since="first").messages()
    assert [message.data["n"] for message in await take(messages, 50)] == list(range(50))
    assert {(await receipt.stored()).duplicate for receipt in restored} == {False}
    assert alice.outbox.messages == 0


DURABLE = """
import asyncio, os, signal, sys
import moorline

async def main(url, store, name):
    room = moorline.Client(url, token="dev:bob", store=store).channel(name, durable=True, since="first", ack="manual")
    acked, seen = 0, None
    async for event in room.events():
        if isinstance(event, moorline.Acked):
            acked = event.offset
        elif isinstance(event, moorline.Message):
            seen = event.data
            if seen < 9:
                room.ack(event)
        if (acked, seen) == (9, 9):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_reader_goes_on_after_what_it_was_done_with(client, server, room, tmp_path: Path):
    store = tmp_path / "bob.moor"
    sends = client("alice").channel(room, qos=2)
    for n in range(10):
        await sends.publish(n).stored()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DURABLE, server.url, str(store), room)
    assert await child.wait() == -signal.SIGKILL
    await sends.publish(10).stored()
    messages = client("bob", store=store).channel(room, durable=True).messages()
    # What it was handed and was not done with comes again, and says that it may.
    assert [(message.data, message.redelivered) for message in await take(messages, 2)] == [(9, True), (10, True)]


async def test_shows_who_joins_changes_and_leaves(client, room):
    alice = client("alice").channel(room, presence="join", state={"nick": "Al"})
    changes = alice.presence.changes()
    first = await anext(changes)
    assert first.snapshot
    while (alice.presence.members.count or 0) < 1:
        await anext(changes)
    assert alice.presence.members.list[0].state == {"nick": "Al"}
    bob = client("bob").channel(room, presence="watch")
    await bob.presence.enter({"nick": "Bo"})
    # Her own joining may be in the first look at all members, or come after it.
    joined = await anext(changes)
    if [change.user for change in joined.changes] == ["alice"]:
        joined = await anext(changes)
    assert [(change.event, change.user, change.state) for change in joined.changes] == [("join", "bob", {"nick": "Bo"})]
    await bob.presence.update({"nick": "Bob"})
    assert (await anext(changes)).changes[0] == moorline.MemberChange("update", "bob", {"nick": "Bob"})
    assert [member.user for member in (await bob.presence.page()).members] == ["alice", "bob"]
    await bob.presence.leave()
    assert (await anext(changes)).changes[0].event == "leave"
    assert alice.presence.members.count == 1


async def test_tells_who_is_online_once_and_from_now_on(client):
    alice, carol = client("alice"), client("carol")
    await alice.connect()
    assert not (await alice.status(["carol"]))["carol"].online
    feed = alice.watch_status(["carol"])
    assert not (await anext(feed))["carol"].online
    await carol.connect()
    assert (await anext(feed))["carol"].online
    await carol.close()
    assert not (await anext(feed))["carol"].online


async def test_asks_for_history_in_both_directions(client, room):
    channel = client().channel(room)
    for n in range(5):
        await channel.publish(n).stored()
    newest = await channel.history(limit=2)
    assert ([message.data for message in newest.messages], newest.more, newest.first, newest.head) == ([3, 4], True, 1, 5)
    before = await channel.history(before=newest.messages[0].offset, limit=10)
    assert ([message.data for message in before.messages], before.more) == ([0, 1, 2], False)
    assert [message.data for message in (await channel.history(after=3)).messages] == [3, 4]
    assert len((await channel.history(after_time=0)).messages) == 5
    assert (await channel.history(before_time=1.0)).messages == []


async def test_what_compresses_crosses_compressed(client, proxy: FaultProxy, room):
    text = "the quick brown fox jumps over the lazy dog, " * 20
    sizes = {}
    for compression in (True, False):
        reader = client("bob", url=proxy.url, compression=compression)
        messages = reader.channel(room, since="first").messages()
        begin = proxy.bytes_sent
        if compression:
            sends = client("alice").channel(room)
            await asyncio.gather(*(sends.publish({"n": n, "text": text}).stored() for n in range(50)))
        got = await take(messages, 50)
        assert [message.data["text"] for message in got] == [text] * 50
        sizes[compression] = proxy.bytes_sent - begin
        await reader.close()
    assert sizes[True] * 3 < sizes[False]


async def test_begins_where_it_is_told(client, room):
    alice = client()
    for n in range(6):
        stored = await alice.channel(room).publish(n).stored()
    starts = {
        "first": [0, 1, 2, 3, 4, 5],
        moorline.Last(2): [4, 5],
        moorline.Position(stored.epoch, 4): [4, 5],
        moorline.Time(0.0): [0, 1, 2, 3, 4, 5],
    }
    for user, (since, expected) in enumerate(starts.items()):
        messages = client(f"reader{user}").channel(room, since=since).messages()
        assert [message.data for message in await take(messages, len(expected))] == expected


async def test_says_so_when_a_position_is_of_another_log(client, room):
    alice = client()
    await alice.channel(room).publish("x").stored()
    events = client("bob").channel(room, since=moorline.Position("1.1", 7)).events()
    seen = [await anext(events), await anext(events)]
    assert any(isinstance(event, moorline.Reset) and event.reason == "epoch" for event in seen)


async def test_the_same_id_is_stored_once(client, room):
    channel = client().channel(room)
    first = await channel.publish("hello", id="one").stored()
    again = await channel.publish("hello", id="one").stored()
    assert (first.offset, first.duplicate, again.offset, again.duplicate) == (1, False, 1, True)
    with pytest.raises(moorline.ContinuityError) as reused:
        await channel.publish("another", id="one").stored()
    assert reused.value.code == "publish.reused"


async def test_wipes_its_store_on_a_logout(client, proxy: FaultProxy, room, tmp_path: Path):
    store = tmp_path / "alice.moor"
    proxy.refuse()
    alice = client(url=proxy.url, store=store)
    receipt = alice.channel(room).publish("secret of alice")
    await receipt.queued()
    await alice.close(wipe=True)
    assert b"secret of alice" not in store.read_bytes()
    assert (receipt.state, client(store=store).restored) == ("failed", [])


async def test_push_handles_and_the_black_box(client):
    alice = client()
    alice.set_push_handle("fcm:abc")
    await alice.connect()
    assert len(alice.blackbox()) > 100
    with pytest.raises(moorline.RejectedError):
        alice.set_push_handle("x" * 513)
