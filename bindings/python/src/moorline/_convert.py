"""From what crosses to what the app sees, and back."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast

from ._ffi import moorline_mobile as ffi
from .errors import MoorlineError, Origin, error, malformed
from .types import (
    Acked,
    Connection,
    ConnectionState,
    Dropped,
    Event,
    HistoryPage,
    Json,
    Last,
    Member,
    MemberChange,
    MemberEvent,
    Members,
    MembersChange,
    MembersPage,
    Message,
    Outbox,
    Payload,
    Position,
    PresenceMode,
    ReceiptState,
    Reset,
    Signal,
    Since,
    Status,
    Stored,
    Subscribed,
    Time,
)

LAST = 2**53 - 1
QOS = {0: ffi.FfiQos.AT_MOST_ONCE, 1: ffi.FfiQos.AT_LEAST_ONCE, 2: ffi.FfiQos.EXACTLY_ONCE}
PRESENCE: dict[PresenceMode, ffi.FfiPresenceMode] = {
    "off": ffi.FfiPresenceMode.OFF,
    "watch": ffi.FfiPresenceMode.WATCH,
    "join": ffi.FfiPresenceMode.JOIN,
}
SIGNALS: dict[Signal, type[Any]] = {
    "foreground": ffi.FfiSignal.FOREGROUND,
    "background": ffi.FfiSignal.BACKGROUND,
    "online": ffi.FfiSignal.ONLINE,
    "offline": ffi.FfiSignal.OFFLINE,
    "wake": ffi.FfiSignal.WAKE,
}
STARTS: dict[object, type[Any]] = {
    "resume": ffi.FfiSince.RESUME,
    "live": ffi.FfiSince.LIVE,
    "cursor": ffi.FfiSince.CURSOR,
    "first": ffi.FfiSince.FIRST,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises the app's errors instead of those that crossed."""
    try:
        yield
    except ffi.FfiError as crossed:
        raise failure(crossed.failure) from None  # type: ignore[attr-defined]


def failure(crossed: ffi.FfiFailure) -> MoorlineError:
    origin = cast(Origin, crossed.origin.name.lower())
    made = error(crossed.code, crossed.message, origin, crossed.kind.name.lower())
    made.number, made.retryable = crossed.number, crossed.retryable
    made.retry_after = seconds(crossed.retry_after_ms)
    return made


def whole(value: object, name: str, most: int = LAST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise malformed(f"`{name}` is a whole number of 0 to {most}")
    return value


def milliseconds(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LAST / 1000:
        raise malformed(f"`{name}` is a number of seconds, not negative")
    return round(value * 1000)


def qos(value: object) -> ffi.FfiQos | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value not in QOS:
        raise malformed("`qos` is 0, 1 or 2")
    return QOS[value]


def to_json(value: object, what: str) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as cause:
        raise malformed(f"{what} cannot be JSON: {cause}") from cause
    return text


def payload(value: Payload) -> ffi.FfiPayload:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return cast(ffi.FfiPayload, ffi.FfiPayload.BYTES(bytes(value)))
    if isinstance(value, str):
        return cast(ffi.FfiPayload, ffi.FfiPayload.TEXT(utf8(value, "the text")))
    return cast(ffi.FfiPayload, ffi.FfiPayload.JSON(to_json(value, "the payload")))


def utf8(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise malformed(f"{what} is a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as cause:
        raise malformed(f"{what} has half a character in it") from cause
    return value


def optional_utf8(value: object, what: str) -> str | None:
    return None if value is None else utf8(value, what)


def flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise malformed(f"`{name}` is True or False")
    return value


def users(values: object) -> list[str]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise malformed("`users` is a list of names")
    return [utf8(user, "a user") for user in values]


def position(value: Position) -> Position:
    return Position(utf8(value.epoch, "`epoch`"), whole(value.offset, "offset"))


def headers(values: Mapping[str, str] | None) -> dict[str, str]:
    if values is not None and not isinstance(values, Mapping):
        raise malformed("`headers` is a mapping of names to texts")
    return {utf8(name, "a header's name"): utf8(value, "a header") for name, value in (values or {}).items()}


def since(value: Since) -> ffi.FfiSince:
    match value:
        case Last(count):
            made: object = ffi.FfiSince.LAST(whole(count, "count", 2**32 - 1))
        case Position():
            made = ffi.FfiSince.POSITION(position(value).epoch, value.offset)
        case Time(seconds):
            made = ffi.FfiSince.TIME(milliseconds(seconds, "seconds"))
        case str() if value in STARTS:
            made = STARTS[value]()
        case _:
            raise malformed("`since` is 'resume', 'live', 'cursor', 'first', Last, Position or Time")
    return cast(ffi.FfiSince, made)


def content(crossed: ffi.FfiPayload) -> tuple[str, str | bytes]:
    """What a payload is, ``data``, ``text`` or ``bytes``, and what it carries; JSON by its text."""
    if isinstance(crossed, ffi.FfiPayload.JSON):
        return "data", crossed.text
    if isinstance(crossed, ffi.FfiPayload.TEXT):
        return "text", crossed.text
    return "bytes", cast(Any, crossed).bytes


def message(crossed: ffi.FfiMessage) -> Message:
    kind, carried = content(crossed.payload)
    return Message(
        channel=crossed.channel,
        id=crossed.id,
        epoch=crossed.epoch,
        offset=crossed.offset,
        user=crossed.user,
        time=crossed.time_ms / 1000,
        replayed=crossed.replayed,
        redelivered=crossed.redelivered,
        headers=MappingProxyType(crossed.headers),
        kind=kind,  # type: ignore[arg-type]
        content=carried,
    )


def event(crossed: Any) -> Event:
    kinds = ffi.FfiEvent
    if isinstance(crossed, kinds.MESSAGE):
        return message(crossed.message)
    if isinstance(crossed, kinds.SUBSCRIBED):
        return Subscribed(crossed.epoch, crossed._from, crossed.head, crossed.replay)
    if isinstance(crossed, kinds.RESET):
        return Reset(crossed.reason, crossed.epoch, crossed.first, crossed.head, crossed._from)
    if isinstance(crossed, kinds.DROPPED):
        return Dropped(crossed.count)
    return Acked(crossed.offset)


def stored(crossed: ffi.FfiStored) -> Stored:
    return Stored(crossed.epoch, crossed.offset, crossed.duplicate)


def seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def connection(crossed: ffi.FfiConnection) -> Connection:
    return Connection(
        state=cast(ConnectionState, crossed.state.name.lower()),
        reason=crossed.reason,
        close_code=crossed.close_code,
        cause=None if crossed.cause is None else failure(crossed.cause),
        since=crossed.since_ms / 1000,
        attempt=crossed.attempt,
        retry_at=seconds(crossed.retry_at_ms),
        user=crossed.user,
    )


def receipt_state(crossed: ffi.FfiReceiptState) -> ReceiptState:
    return cast(ReceiptState, type(crossed).__name__.rpartition(".")[2].lower())


def outbox(crossed: ffi.FfiOutbox) -> Outbox:
    return Outbox(crossed.messages, crossed.bytes)


def statuses(crossed: list[ffi.FfiUserStatus]) -> dict[str, Status]:
    return {status.user: Status(status.online, seconds(status.since_ms)) for status in crossed}


def state(text: str | None) -> Json:
    parsed: Json = None if text is None else json.loads(text)
    return parsed


def member(crossed: ffi.FfiMember) -> Member:
    return Member(crossed.user, state(crossed.state), crossed.since_ms / 1000)


def members(crossed: ffi.FfiMembers) -> Members:
    return Members(crossed.count, None if crossed.list is None else [member(each) for each in crossed.list])


def members_change(crossed: Any) -> MembersChange:
    changes = [
        MemberChange(cast(MemberEvent, change.event.name.lower()), change.user, state(change.state))
        for change in crossed.changes
    ]
    return MembersChange(crossed.count, changes, crossed.snapshot)


def members_page(crossed: ffi.FfiMembersPage) -> MembersPage:
    return MembersPage(crossed.count, [member(each) for each in crossed.members], crossed.cursor)


def history_page(crossed: ffi.FfiHistoryPage) -> HistoryPage:
    messages = [message(each) for each in crossed.messages]
    return HistoryPage(messages, crossed.more, crossed.epoch, crossed.first, crossed.head)
