"""What is published, and what becomes of it."""

import pytest

import moorline
from moorline.testing import TestServer


async def publishes(client, room, qos):
    events = client("bob").channel(room, qos=qos).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    alice = client("alice")
    await alice.connect()
    receipt = alice.channel(room).publish({"text": "hi"}, qos=qos, headers={"a": "1"})
    message = await anext(events)
    assert (message.id, message.user, message.data) == (receipt.id, "alice", {"text": "hi"})
    assert (message.headers, message.replayed) == ({"a": "1"}, False)
    return receipt, message


async def test_publishes_at_QoS_0(client, room):
    receipt, message = await publishes(client, room, 0)
    with pytest.raises(moorline.RejectedError) as nothing:
        await receipt.stored()
    assert (nothing.value.code, message.offset, receipt.state) == ("request.unsupported", None, "sent")


async def test_publishes_at_QoS_1(client, room):
    await publishes_and_stores(client, room, 1)


async def test_publishes_at_QoS_2(client, room):
    await publishes_and_stores(client, room, 2)


async def publishes_and_stores(client, room, qos):
    receipt, message = await publishes(client, room, qos)
    stored = await receipt.stored()
    assert (stored.offset, stored.duplicate, message.offset, receipt.state) == (1, False, 1, "stored")


async def test_carries_texts_bytes_and_values_as_they_are(client, room):
    events = client("bob").channel(room).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    channel = client("alice").channel(room)
    payloads = ["naïve 日本語 🦀 \0 end", b"\0\xff\x80", bytearray(b"\1"), {"a": [1, None, "ü"]}, None, "", b"", 2**53 + 1, 1.5, False]
    for payload in payloads:
        channel.publish(payload)
    for payload in payloads:
        message = await anext(events)
        kind = "text" if isinstance(payload, str) else "bytes" if isinstance(payload, (bytes, bytearray)) else "data"
        assert (message.kind, getattr(message, kind)) == (kind, payload)


async def test_a_receipt_says_when_it_is_kept_sent_and_stored(client, room):
    receipt = client("alice").channel(room).publish("hi", qos=2)
    states = [receipt.state]
    await receipt.queued()
    states.append(receipt.state)
    await receipt.stored()
    assert (states[0], states[1] in ("queued", "sent", "stored"), receipt.state) == ("queued", True, "stored")


async def test_a_thousand_keep_their_order(client, room):
    events = client("bob").channel(room, qos=2).events()
    assert isinstance(await anext(events), moorline.Subscribed)
    writer = client("alice").channel(room, qos=2)
    for n in range(1000):
        writer.publish(n)
    assert [(await anext(events)).data for _ in range(1000)] == list(range(1000))


async def test_a_channel_that_is_not_granted_is_refused(client, room, token_server: TestServer):
    alice = client(url=token_server.url, token=token_server.token("alice", channels="lobby:*"))
    channel = alice.channel(room)
    for act in (lambda: anext(channel.messages()), lambda: channel.publish("x").stored(), channel.history):
        with pytest.raises(moorline.RejectedError) as refused:
            await act()
        error = refused.value
        assert (error.code, error.number, error.origin, error.retryable) == ("channel.denied", 411, "server", False)
    assert alice.state == "online"
