"""A TCP proxy in front of a server that can be made to fail."""

import asyncio
import socket
import struct
from typing import Self


class FaultProxy:
    def __init__(self, target: int) -> None:
        self.target = target
        self.bytes_sent = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False

    @classmethod
    async def start(cls, target: int) -> Self:
        proxy = cls(target)
        proxy._server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        return proxy

    _server: asyncio.Server

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    def cut(self) -> None:
        """Resets every connection. New ones are welcome."""
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def black_hole(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        self._flows.clear()

    def refuse(self) -> None:
        """Cuts, and resets every new connection, too."""
        self._refuses = True
        self.cut()

    def heal(self) -> None:
        """All is well again."""
        self._refuses = False
        self._flows.set()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(sink)
            task = asyncio.ensure_future(self._pipe(source, sink, source is far_reader))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: bool) -> None:
        try:
            while data := await source.read(65536):
                await self._flows.wait()
                self.bytes_sent += len(data) if counts else 0
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            sink.transport.abort()
        finally:
            self._writers.discard(sink)
            sink.close()
