"""A server that says what it is told to: raw frames, to one client."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

HELLO, PUBLISH, HISTORY, PRESENCE, STATUS, CALL = 1, 5, 9, 10, 11, 17
MEMBERS = 76


class Peer:
    """Speaks by a script; ``raised`` has what went wrong with it."""

    def __init__(self, script: Callable[["Peer"], Awaitable[None]]) -> None:
        self.script = script
        self.url = ""
        self.raised: BaseException | None = None
        self._heard: list[bytes] = []

    async def hear(self, kind: int) -> bytes:
        """Waits for the client's next frame of a type, without its length."""
        while True:
            while self._heard:
                frame = self._heard.pop(0)
                if frame[0] == kind:
                    return frame
            message = await self._message()
            while message:
                size, message = varint(message)
                self._heard.append(message[:size])
                message = message[size:]

    def say(self, frames: bytes) -> None:
        """Sends frames, each with its length in front."""
        size = len(frames)
        head = bytes([size]) if size < 126 else bytes([126]) + size.to_bytes(2)
        self._writer.write(b"\x82" + head + frames)

    async def answer(self, kind: int, golden: bytes) -> None:
        """Answers the client's next request of a type with a golden frame, for that request."""
        asked = (await self.hear(kind))[2:]
        request, _ = varint(after_channel(asked) if kind == PUBLISH else asked)
        _, frame = varint(golden)
        # Type and flags are in front, but there are none of members.
        head = 1 if frame[0] == MEMBERS else 2
        _, rest = varint(frame[head:])
        frame = frame[:head] + written(request) + rest
        self.say(written(len(frame)) + frame)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        if self.raised is not None:
            raise self.raised

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line)
            key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
            assert "moorline.v1.bin" in fields["sec-websocket-protocol"]
            digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
            lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Protocol: moorline.v1.bin")
            writer.write("\r\n".join((*lines, f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", "", "")).encode())
            await self.script(self)
            while True:
                await self._message()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except BaseException as raised:
            self.raised = raised
        finally:
            writer.close()

    async def _message(self) -> bytes:
        head = await self._reader.readexactly(2)
        if head[0] & 15 == 8:
            raise ConnectionError("the client closes")
        size = head[1] & 127
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        mask = await self._reader.readexactly(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(await self._reader.readexactly(size)))


def varint(data: bytes) -> tuple[int, bytes]:
    """The number in front, and what comes after it."""
    value = 0
    for at, byte in enumerate(data):
        value |= (byte & 127) << 7 * at
        if byte < 128:
            return value, data[at + 1 :]
    raise ValueError("the number has no end")


def after_channel(data: bytes) -> bytes:
    """What comes after a channel: its number, or 0 and its name."""
    number, data = varint(data)
    if number:
        return data
    size, data = varint(data)
    return data[size:]


def written(value: int) -> bytes:
    """A number as it is in frames."""
    more = value >> 7
    return bytes([value]) if not more else bytes([value & 127 | 128]) + written(more)
