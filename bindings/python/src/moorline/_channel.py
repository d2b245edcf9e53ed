"""A handle on a channel."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from . import _convert
from ._convert import translated
from ._ffi import moorline_mobile as ffi
from ._messages import Stream
from ._presence import Presence
from ._receipt import Receipt
from .errors import malformed
from .types import Dropped, Event, HistoryPage, Message, Payload, Position, Qos, Reset

log = logging.getLogger("moorline")


class Channel:
    """A handle on a channel. Handles of one name share one subscription; each has readers of its own."""

    def __init__(self, channel: ffi.FfiChannel, use: Callable[[], None], exact: bool) -> None:
        self._channel = channel
        self._use = use
        self._exact = exact
        self.presence = Presence(channel.presence(), use)
        """Who is in the channel."""

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._channel.name()

    def messages(self) -> Stream[Message]:
        """Returns the messages from now on, one after the other: the server is asked to pause while they are not taken.

        What nobody has begun to take, or a closed stream left, holds up no other reader of the channel: where one goes on, the
        oldest beyond ``queue_messages`` are given up, and ``Dropped`` tells how many.

        With ``durable``, a message is acknowledged when the next one is asked for, unless ``ack="manual"``.
        """
        return self._read(_message)

    def events(self) -> Stream[Event]:
        """Returns messages, and what else happens: ``Subscribed``, ``Reset``, ``Dropped``, ``Acked``."""
        return self._read(_convert.event)

    def publish(
        self,
        payload: Payload,
        *,
        qos: Qos | None = None,
        id: str | None = None,
        ttl: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Queues a message and returns at once; it goes out by itself, over reconnects.

        A ``str`` goes as a text, bytes as bytes, everything else as JSON. ``id``: 1 to 128 bytes (default: random); the same
        id, published again within a day, is stored once. ``ttl``: seconds after which it may be forgotten, rounded up.

        Raises ``limit.outbox`` when too much waits already, ``limit.message`` for what is too large, ``request.malformed``
        for what cannot be sent, ``client.closed``. Nothing is queued then.
        """
        lasts = None if ttl is None else -(-_convert.milliseconds(ttl, "ttl") // 1000)
        if lasts is not None and lasts >= 2**32:
            raise malformed("`ttl` is less than 2^32 seconds")
        options = ffi.FfiPublishOptions(
            qos=_convert.qos(qos),
            id=None if id is None else _convert.utf8(id, "a message id"),
            ttl=lasts,
            headers=_convert.headers(headers),
        )
        crossing = _convert.payload(payload)
        self._use()
        with translated():
            return Receipt(self._channel.publish(crossing, options))

    async def history(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        before_time: float | None = None,
        after_time: float | None = None,
        limit: int = 50,
    ) -> HistoryPage:
        """Asks for a part of the log: the newest messages, or those beside an offset or a time (seconds since 1970); at most ``limit`` (1 to 256)."""
        query = _range(before, after, before_time, after_time)
        if not 1 <= _convert.whole(limit, "limit") <= 256:
            raise malformed("`limit` is a whole number of 1 to 256")
        self._use()
        with translated():
            return _convert.history_page(await self._channel.history(query, limit))

    def ack(self, up_to: Message | Position) -> None:
        """Acknowledges everything up to here: with ``durable``, it does not come again. Raises ``request.malformed`` for a message of another channel."""
        # An inbox is `@me`, and the name of its user.
        if isinstance(up_to, Message) and up_to.channel != self.name != "@me":
            raise malformed(f"a message of {up_to.channel} is not acknowledged on {self.name}")
        position = up_to.position if isinstance(up_to, Message) else up_to
        if position is None and isinstance(up_to, Message):
            return
        if not isinstance(position, Position):
            raise malformed("what is acknowledged is a Message or a Position")
        checked = _convert.position(position)
        with translated():
            self._channel.ack(checked.epoch, checked.offset)

    def leave(self, *, forget: bool = False) -> None:
        """Stops receiving; with the last handle on this name the server is told. The durable cursor stays, unless ``forget``. Receipts go on. Calling it again does nothing. Never raises."""
        self._channel.leave(forget)

    def _read(self, convert: Callable[[Any], Any]) -> Stream[Any]:
        self._use()
        with translated():
            return Stream(self._channel.reader(), convert, self._exact)


def _message(crossed: Any) -> Message | None:
    event = _convert.event(crossed)
    match event:
        case Message():
            return event
        case Reset(reason=reason, start=start):
            log.warning("continuity is broken (%s): messages go on after offset %d", reason, start)
        case Dropped(count=count):
            log.warning("%d messages were dropped: they are not taken as fast as they come", count)
        case _:
            pass
    return None


def _range(before: int | None, after: int | None, before_time: float | None, after_time: float | None) -> Any:
    named = [value for value in (before, after, before_time, after_time) if value is not None]
    if len(named) > 1:
        raise malformed("a history query has one of `before`, `after`, `before_time` and `after_time`")
    if before is not None:
        return ffi.FfiHistoryRange.BEFORE(_convert.whole(before, "before"))
    if after is not None:
        return ffi.FfiHistoryRange.AFTER(_convert.whole(after, "after"))
    if before_time is not None:
        return ffi.FfiHistoryRange.UNTIL(_convert.milliseconds(before_time, "before_time"))
    if after_time is not None:
        return ffi.FfiHistoryRange.SINCE(_convert.milliseconds(after_time, "after_time"))
    newest: Any = ffi.FfiHistoryRange.NEWEST
    return newest()
