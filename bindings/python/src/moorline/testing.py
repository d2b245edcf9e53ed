"""For the tests of an app: a real server, and a network that fails on demand."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["FaultProxy", "TestServer"]

SECRET = "a-secret-of-the-tests-32-bytes-long"
APP = f"""
[[apps]]
name = "default"
anonymous = true
[[apps.keys]]
alg = "HS256"
secret = "{SECRET}"
"""


class TestServer:
    """A real Moorline server: the program ``moorline-server`` in development mode, on a free port of this machine, with a
    folder of its own that outlives its restarts. ``with TestServer() as server`` ends it and removes the folder.

    Any token ``dev:NAME`` is the user NAME; ``token`` makes one that expires, or grants less. Methods block until they are
    done, a fraction of a second; they may be called from any thread.
    """

    __test__ = False

    def __init__(self, config: str = "", *, program: str | os.PathLike[str] | None = None, dev: bool = True) -> None:
        """Starts it.

        ``config``: what its configuration says beside the app and its key, in TOML. ``program``: where the server is; None:
        what the variable ``MOORLINE_SERVER`` names, else ``moorline-server`` of the ``PATH``. Without ``dev``, only tokens of
        ``token`` count.

        Raises FileNotFoundError where there is no such program, RuntimeError with what it printed if it ends at once.
        """
        self._program = _program(program)
        self._dev = dev
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._port = 0
        self._folder = Path(tempfile.mkdtemp(prefix="moorline-test-"))
        (self._folder / "moorline.toml").write_text(config + APP)
        with ExitStack() as undo:
            undo.callback(self.close)
            self.start()
            undo.pop_all()

    @property
    def port(self) -> int:
        """Its port, the same after a restart: 1 to 65,535."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self._port}/ws"

    def start(self) -> None:
        """Starts it again after ``kill``, on the same port. Raises RuntimeError if it runs, or ends at once."""
        with self._lock:
            if self._child is not None:
                raise RuntimeError("the server is running: kill it first")
            command = [self._program, "--listen", f"127.0.0.1:{self._port}", "--data", str(self._folder / "data")]
            command += ["--config", str(self._folder / "moorline.toml"), *(["--dev"] if self._dev else [])]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert child.stdout is not None
            seen = ""
            for line in child.stdout:
                seen += line
                if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
                    self._port = int(found[1])
                    break
            else:
                child.stdout.close()
                raise RuntimeError(f"the server ended with {child.wait()}:\n{seen}")
            self._child = child
            # What it prints later has to go somewhere, or it would wait for a reader.
            threading.Thread(target=_drain, args=(child,), name="moorline-server output", daemon=True).start()

    def kill(self) -> None:
        """Kills it, as a loss of power would, and waits until it is gone. Does nothing if it is not running."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._child.wait()
                self._child = None

    def token(self, user: str, seconds: float = 3600, channels: str = "*") -> str:
        """Makes a token for a user, for so long, that grants everything on the channels, and lets call the methods,
        of a pattern such as ``room:*``."""
        now = time.time()
        grants = [{"match": channels, "can": ["subscribe", "publish", "history", "presence", "call"]}]
        claims = {"sub": user, "aud": "default", "iat": int(now), "exp": int(now + seconds), "grants": grants}
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_base64(hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256))}"

    def close(self) -> None:
        """Kills it, and removes its folder. Calling it again does nothing."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class FaultProxy:
    """A network that fails on demand: a proxy in front of a server. ``async with FaultProxy(server.url) as network``.

    It belongs to the event loop that it was entered in; its methods return at once.
    """

    def __init__(self, url: str) -> None:
        """``url``: the server behind it, ``ws://HOST:PORT/…``. Raises ValueError for another: certificates would not match."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f"the address of the server is ws://HOST:PORT/…, not {url}")
        self._host, self._port, self._path = parts.hostname, parts.port or 80, parts.path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._delay = 0.0
        self._sent = 0

    @property
    def url(self) -> str:
        """The server, through this network. Raises RuntimeError before it was entered."""
        if self._server is None:
            raise RuntimeError("the network is not there: async with FaultProxy(…) as network")
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"

    @property
    def bytes_sent(self) -> int:
        """How many bytes the server has sent through it."""
        return self._sent

    def cut(self) -> None:
        """Resets every connection. New ones are welcome."""
        for writer in tuple(self._writers):
            _reset(writer)

    def black_hole(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self._flows.clear()

    def refuse(self) -> None:
        """Cuts, and resets every new connection, too."""
        self._refuses = True
        self.cut()

    def delay(self, seconds: float) -> None:
        """From now on bytes take so long in each direction."""
        self._delay = seconds

    def heal(self) -> None:
        """All is well again; what a black hole held goes on its way."""
        self._refuses, self._delay = False, 0.0
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            _reset(writer)
            return
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(sink)
            # As much as this is on its way at once.
            due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
            for work in (self._read(source, due, source is far_reader), self._write(due, sink)):
                task = asyncio.ensure_future(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _read(self, source: asyncio.StreamReader, due: asyncio.Queue[tuple[float, bytes]], counts: bool) -> None:
        data = b"x"
        while data:
            try:
                data = await source.read(65536)
            except OSError:
                data = b""
            await self._flows.wait()
            self._sent += len(data) if counts else 0
            await due.put((time.monotonic() + self._delay, data))

    async def _write(self, due: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                at, data = await due.get()
                while (rest := at - time.monotonic()) > 0:
                    await asyncio.sleep(rest)
                if not data:
                    break
                sink.write(data)
                await sink.drain()
        except OSError:
            sink.transport.abort()
        finally:
            self._writers.discard(sink)
            sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _drain(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    with child.stdout as lines:
        for _ in lines:
            pass


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _program(named: str | os.PathLike[str] | None) -> str:
    wanted = os.fspath(named or os.environ.get("MOORLINE_SERVER") or "moorline-server")
    found = shutil.which(wanted)
    if found is None:
        raise FileNotFoundError(f"{wanted} is no program: name moorline-server in the variable MOORLINE_SERVER")
    return found
