"""A client: one connection, one outbox."""

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, cast

from . import _convert
from ._channel import Channel
from ._convert import translated
from ._ffi import moorline_mobile as ffi
from ._messages import Stream
from ._receipt import Receipt
from ._tokens import TokenProvider, Tokens
from .errors import error, malformed
from .types import Connection, ConnectionState, Json, Outbox, Payload, PresenceMode, Qos, Signal, Since, Status

log = logging.getLogger("moorline")
SDK = "moorline-python/0.1.0"
LEVELS = {
    ffi.FfiLogLevel.DEBUG: logging.DEBUG,
    ffi.FfiLogLevel.INFO: logging.INFO,
    ffi.FfiLogLevel.WARN: logging.WARNING,
    ffi.FfiLogLevel.ERROR: logging.ERROR,
}


class Client:
    """A client: one connection, one outbox. Nothing is connected, and no thread started, before it is used.

    It belongs to the event loop that uses it first. After a fork, make a new one in the child.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        token: str | TokenProvider | None = None,
        store: str | os.PathLike[str] | None = None,
        compression: bool = True,
        outbox_messages: int | None = None,
        outbox_bytes: int | None = None,
        queue_messages: int | None = None,
        queue_bytes: int | None = None,
        min_backoff: float | None = None,
        max_backoff: float | None = None,
        connect_timeout: float | None = None,
        root_certificates: Sequence[bytes] = (),
    ) -> None:
        """Makes a client, and reads its store.

        ``url``: ``ws://`` or ``wss://``, or several, tried in turn. ``token``: one, or a function (async or not) that gives
        one whenever one is needed; None: anonymous. ``store``: a file for outbox, device and positions; None: memory.
        Limits: messages and bytes that may wait to be sent (1,000 and 8 MiB), and to be taken from a channel before the
        server is asked to pause (1,024 and 4 MiB). Seconds: the pauses between attempts (0.5 to 20), and for an attempt (10).
        ``root_certificates``: PEM or DER, beside Mozilla's.

        Raises ``request.malformed``, ``client.certificate``, ``client.store_locked``, ``client.store_corrupt``,
        ``client.store_newer``.
        """
        self._tokens = None if token is None or isinstance(token, str) else Tokens(_callable(token))
        optional = _convert.whole
        options = ffi.FfiClientOptions(
            urls=_urls(url),
            sdk=SDK,
            token=_convert.utf8(token, "`token`") if isinstance(token, str) else None,
            store=None if store is None else _path(store),
            root_certificates=_certificates(root_certificates),
            compression=_convert.flag(compression, "compression"),
            outbox_messages=None if outbox_messages is None else optional(outbox_messages, "outbox_messages"),
            outbox_bytes=None if outbox_bytes is None else optional(outbox_bytes, "outbox_bytes"),
            queue_messages=None if queue_messages is None else optional(queue_messages, "queue_messages"),
            queue_bytes=None if queue_bytes is None else optional(queue_bytes, "queue_bytes"),
            min_backoff_ms=None if min_backoff is None else _convert.milliseconds(min_backoff, "min_backoff"),
            max_backoff_ms=None if max_backoff is None else _convert.milliseconds(max_backoff, "max_backoff"),
            connect_timeout_ms=None if connect_timeout is None else _convert.milliseconds(connect_timeout, "connect_timeout"),
        )
        with translated():
            self._client = ffi.FfiClient(options, self._tokens)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logging: asyncio.Task[None] | None = None

    @property
    def state(self) -> ConnectionState:
        """The connection's state."""
        return self.connection.state

    @property
    def connection(self) -> Connection:
        """The connection, with what is known of it."""
        return _convert.connection(self._client.connection())

    @property
    def user(self) -> str | None:
        """Who the server says this is, once it has; None for nobody."""
        return self._client.connection().user

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent."""
        return _convert.outbox(self._client.outbox())

    @property
    def restored(self) -> Sequence[Receipt]:
        """What the store had in its outbox when this client was made: it goes out by itself."""
        return [Receipt(receipt) for receipt in self._client.restored()]

    def states(self) -> Stream[Connection]:
        """Follows the connection, beginning with what it is now; what is not taken is told as one, the newest. Ends when the client is closed."""
        return Stream(self._client.connections(), lambda event: _convert.connection(event.connection))

    def outboxes(self) -> Stream[Outbox]:
        """Follows the outbox, likewise."""
        return Stream(self._client.outboxes(), lambda event: _convert.outbox(event.outbox))

    async def connect(self) -> None:
        """Connects, and waits until the server has welcomed this client, however long that takes. Raises a final refusal, and ``request.order`` when ``disconnect`` is called meanwhile. Optional: the first use connects."""
        self._use()
        with translated():
            await self._client.connect()

    def disconnect(self) -> None:
        """Disconnects; channels and the outbox stay. ``connect`` goes on."""
        self._client.disconnect()

    def channel(
        self,
        name: str,
        *,
        qos: Qos | None = None,
        durable: bool | None = None,
        presence: PresenceMode | None = None,
        state: Json = None,
        since: Since = "resume",
        reset: Literal["first", "live"] = "first",
        ack: Literal["auto", "manual"] = "auto",
    ) -> Channel:
        """Returns a handle on a channel, to read it or to publish on it. Nothing is read before it is iterated.

        ``qos``: the highest level wanted, and the level published at (default 1; 2 for reading if ``durable``).
        ``durable``: whether the server keeps a cursor for this user, device and channel. ``state``: with
        ``presence="join"``, what this member says about itself. ``reset``: where reading goes on when ``since`` cannot be
        honoured. ``ack``: whether messages are acknowledged when the next one is asked for, or by ``Channel.ack``.

        Raises ``channel.invalid``, ``request.malformed``.
        """
        if presence is not None and presence not in tuple(_convert.PRESENCE):
            raise malformed("`presence` is 'off', 'watch' or 'join'")
        if state is not None and presence != "join":
            raise malformed('only who joins (`presence="join"`) has a presence state')
        if reset not in ("first", "live") or ack not in ("auto", "manual"):
            raise malformed("`reset` is 'first' or 'live', `ack` is 'auto' or 'manual'")
        options = ffi.FfiChannelOptions(
            qos=_convert.qos(qos),
            durable=None if durable is None else _convert.flag(durable, "durable"),
            presence=None if presence is None else _convert.PRESENCE[presence],
            state=None if state is None else _convert.to_json(state, "the presence state"),
            since=_convert.since(since),
            reset_to_live=reset == "live",
            auto_ack=ack == "auto",
        )
        with translated():
            channel = self._client.channel(_convert.utf8(name, "a channel's name"), options)
        return Channel(channel, self._use, durable is True and ack == "auto")

    async def status(self, users: Sequence[str]) -> Mapping[str, Status]:
        """Asks which of at most 500 users are online."""
        names = _convert.users(users)
        self._use()
        with translated():
            return _convert.statuses(await self._client.status(names))

    async def call(self, method: str, data: Payload = None, *, timeout: float | None = None, id: str | None = None) -> Json | bytes:
        """Asks the app's backend something: ``await client.call("cart.add", {"sku": 7})``.

        The answer is a ``str`` for a text, ``bytes`` for bytes, or the value of JSON. A call waits for a connection and is
        sent once at most; it ends within ``timeout`` seconds (at most 30, default 10). ``id`` names it for the backend.

        Raises ``call.refused``, or that and the backend's own word behind a dot; ``call.uncertain``, ``call.timeout`` and
        ``call.failed`` where it may have been carried out; other codes where it was not.
        """
        ms = None if timeout is None else _convert.milliseconds(timeout, "timeout")
        if ms is not None and not 1 <= ms <= 30_000:
            raise malformed("timeout is 0.001 to 30 seconds")
        name, crossing, call_id = _convert.utf8(method, "a method"), _convert.payload(data), _convert.optional_utf8(id, "an id")
        self._use()
        with translated():
            answer = await self._client.call(name, crossing, ms, call_id)
        kind, content = _convert.content(answer)
        return cast(Json, json.loads(content)) if kind == "data" else content

    def watch_status(self, users: Sequence[str]) -> Stream[Mapping[str, Status]]:
        """Follows whether at most 500 users are online: first each one's status, then who comes and goes. A later call takes over."""
        names = _convert.users(users)
        self._use()
        with translated():
            return Stream(self._client.statuses(names), lambda event: _convert.statuses(event.users))

    def lifecycle(self, signal: Signal) -> None:
        """Tells the client what happens to the app or the device; on servers there is no need."""
        if signal not in tuple(_convert.SIGNALS):
            raise malformed(f"a signal is one of {', '.join(_convert.SIGNALS)}")
        self._client.lifecycle(_convert.SIGNALS[signal]())

    def network(self, id: int) -> None:
        """Tells the client on which network the device is now, by a number that stays the same over restarts."""
        network: Any = ffi.FfiSignal.NETWORK
        self._client.lifecycle(network(_convert.whole(id, "id")))

    def set_push_handle(self, handle: str | None) -> None:
        """Says where a backend reaches this device while its user is away (1 to 512 bytes); None takes it back."""
        crossing = _convert.optional_utf8(handle, "a push handle")
        self._use()
        with translated():
            self._client.set_push_handle(crossing)

    def blackbox(self) -> bytes:
        """Returns a record of what this client was told, at most 256 KiB, for a report of a fault. Payloads, header values, states and tokens are not in it; names, message ids and URLs (without their queries) are."""
        return self._client.blackbox()

    async def close(self, *, wipe: bool = False) -> None:
        """Sends outstanding acknowledgements, flushes the store and closes it; takes seconds at most, also without a connection. Unsent messages stay in the store.

        With ``wipe`` (a logout) nothing of this user stays; raises why the store may not be cleared. Calling it again does
        nothing; afterwards every call raises ``client.closed``.
        """
        try:
            with translated():
                await self._client.close(wipe)
        finally:
            if self._tokens is not None:
                await self._tokens.close()
            if self._logging is not None:
                await self._logging

    async def __aenter__(self) -> Self:
        self._use()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _use(self) -> None:
        """Binds the client to the running loop, once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise error("client.runtime", "a client is used inside a running event loop") from None
        if self._loop is None:
            self._loop = loop
            if self._tokens is not None:
                self._tokens.bind(loop)
            self._logging = loop.create_task(_log(Stream(self._client.logs(), lambda event: (LEVELS[event.level], event.text))))
        elif self._loop is not loop:
            raise error("client.runtime", "a client belongs to the event loop that used it first")


async def _log(lines: Stream[tuple[int, str]]) -> None:
    """Hands what the core says of itself to the app's logger."""
    async for level, text in lines:
        log.log(level, "%s", text)


def _callable(token: TokenProvider) -> TokenProvider:
    if not callable(token):
        raise malformed(f"`token` is a str or a function, not {type(token).__name__}")
    return token


def _urls(url: str | Sequence[str]) -> list[str]:
    urls = [url] if isinstance(url, str) else url
    if not isinstance(urls, Sequence) or not urls or not all(isinstance(each, str) for each in urls):
        raise malformed("`url` names at least one server")
    return [_convert.utf8(each, "a URL") for each in urls]


def _path(store: str | os.PathLike[str]) -> str:
    if not isinstance(store, (str, os.PathLike)):
        raise malformed(f"`store` is the path of a file, not {type(store).__name__}")
    return _convert.utf8(os.fspath(store), "the path of a store")


def _certificates(roots: Sequence[bytes]) -> list[bytes]:
    if not isinstance(roots, Sequence) or not all(isinstance(root, (bytes, bytearray)) for root in roots):
        raise malformed("`root_certificates` is a list of bytes")
    return [bytes(root) for root in roots]
