"""What goes in comes out: the golden frames through the mapper, every code, every misuse."""

import json
import math
from pathlib import Path

import pytest
from conftest import ROOT

import moorline
from moorline import errors
from moorline._codes import CODES
from moorline._ffi import moorline_mobile as ffi

VECTORS = json.loads((ROOT / "tests/vectors/client/publish.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", [pytest.param(each, id=each["name"]) for each in VECTORS if each["json"]])
async def test_golden_publishes_arrive_as_they_are(client, room, vector):
    frame = vector["json"]
    alice = client()
    channel = alice.channel(room)
    events = channel.events()
    assert isinstance(await anext(events), moorline.Subscribed)
    bytes_ = "bin" in frame
    payload = __import__("base64").b64decode(frame["bin"]) if bytes_ else frame.get("data", frame.get("text"))
    channel.publish(payload, qos=frame["qos"], id=frame.get("id"), headers=frame.get("headers"))
    message = await anext(events)
    assert isinstance(message, moorline.Message)
    kind = "bytes" if bytes_ else "text" if isinstance(payload, str) else "data"
    assert (message.kind, getattr(message, kind)) == (kind, payload)
    assert (message.channel, dict(message.headers), message.user) == (room, frame.get("headers", {}), "alice")
    assert frame.get("id") in (None, message.id)
    assert (message.offset is None) == (frame["qos"] == 0)


def test_every_code_has_its_class_and_the_core_agrees():
    core = {failure.code: (failure.number, failure.kind.name.lower(), failure.retryable) for failure in ffi.error_codes()}
    assert core == CODES
    for code, (number, kind, retryable) in CODES.items():
        made = errors.error(code, "words")
        assert type(made).__name__.lower() == f"{kind}error"
        assert (made.number, made.retryable, str(made)) == (number, retryable, f"words ({code})")


def test_a_code_of_a_newer_server_survives():
    later = errors.error("weather.bad", "rain", "server", "internal")
    assert (later.code, later.number, later.retryable, type(later)) == ("weather.bad", 0, False, moorline.InternalError)
    copy = __import__("pickle").loads(__import__("pickle").dumps(later))
    assert (copy.code, copy.origin, str(copy)) == ("weather.bad", "server", "rain (weather.bad)")


@pytest.mark.parametrize("payload", [object(), {1, 2}, math.nan, {"x": math.inf}, "\ud800", ["\ud800"]])
async def test_what_cannot_be_sent_is_refused_at_the_call(client, room, payload):
    with pytest.raises(moorline.RejectedError) as refused:
        client().channel(room).publish(payload)
    assert refused.value.code == "request.malformed"


@pytest.mark.parametrize("options", [
    {"qos": 3}, {"qos": True}, {"presence": "maybe"}, {"state": 1}, {"since": "yesterday"}, {"since": moorline.Last(-1)},
    {"since": moorline.Time(-1.0)}, {"since": moorline.Position("", 1)}, {"reset": "x"}, {"ack": "x"},
    {"presence": "join", "state": object()},
])
async def test_options_that_are_none_are_refused(client, room, options):
    with pytest.raises(moorline.RejectedError):
        client().channel(room, **options)


async def test_mistakes_are_named_on_the_spot(client, room, tmp_path: Path):
    with pytest.raises(moorline.RejectedError) as invalid:
        client().channel("a*b")
    assert invalid.value.code == "channel.invalid"
    for url in ("http://x", "", [], "ws://"):
        with pytest.raises(moorline.RejectedError):
            moorline.Client(url)
    with pytest.raises(moorline.RejectedError):
        moorline.Client("ws://x", token=7)  # type: ignore[arg-type]
    channel = client().channel(room)
    for query in ({"limit": 0}, {"limit": 257}, {"before": -1}, {"before": 1, "after": 2}):
        with pytest.raises(moorline.RejectedError):
            await channel.history(**query)
    for options in ({"ttl": -1}, {"ttl": 1e18}, {"headers": {"a": 1}}, {"id": ""}, {"id": "x" * 129}):
        with pytest.raises(moorline.RejectedError):
            channel.publish("x", **options)
    with pytest.raises(moorline.LimitError) as large:
        channel.publish("x" * 70_000)
    assert large.value.code == "limit.message"
    with pytest.raises(moorline.RejectedError) as ephemeral:
        await client().connect()
        await channel.history()
        await channel.publish("x", qos=0).stored()
    assert ephemeral.value.code == "request.unsupported"
    (tmp_path / "s.moor").write_bytes(b"this is no store at all, it never was" * 10)
    with pytest.raises(moorline.RejectedError) as corrupt:
        moorline.Client("ws://x", store=tmp_path / "s.moor")
    assert corrupt.value.code == "client.store_corrupt"
    closed = client()
    left = closed.channel(room)
    await closed.close()
    with pytest.raises(moorline.ClosedError) as late:
        left.publish("x")
    assert late.value.code == "client.closed"


async def test_an_outbox_that_is_full_says_so(client, proxy, room):
    proxy.refuse()
    alice = client(url=proxy.url, outbox_messages=3)
    channel = alice.channel(room)
    outboxes = alice.outboxes()
    for n in range(3):
        channel.publish(n)
    with pytest.raises(moorline.LimitError) as full:
        channel.publish(3)
    assert (full.value.code, full.value.retryable, alice.outbox.messages) == ("limit.outbox", True, 3)
    async for outbox in outboxes:
        if outbox.messages == 3:
            break
    proxy.heal()
    async for outbox in outboxes:
        if outbox.messages == 0:
            break


def test_a_client_is_used_inside_an_event_loop():
    client = moorline.Client("ws://127.0.0.1:1/ws")
    with pytest.raises(moorline.InternalError) as refused:
        client.channel("room:1").publish("x")
    assert refused.value.code == "client.runtime"


async def test_a_message_nested_too_deeply_harms_only_who_reads_it():
    message = moorline.Message("c", "i", "e", 1, None, 0.0, False, False, {}, "data", "[" * 30_000 + "]" * 30_000)
    with pytest.raises(RecursionError):
        message.data
