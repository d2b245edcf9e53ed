"""Asks the app for tokens, on its own event loop."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from ._convert import utf8
from ._ffi import moorline_mobile as ffi
from .types import TokenReason

REASONS: dict[ffi.FfiTokenReason, TokenReason] = {
    ffi.FfiTokenReason.CONNECT: "connect",
    ffi.FfiTokenReason.EXPIRING: "expiring",
    ffi.FfiTokenReason.REFUSED: "refused",
}
TokenProvider = Callable[[TokenReason], Awaitable[str] | str]


class Tokens(ffi.FfiTokenProvider):
    """Called on the client's thread; what it starts runs on the loop of whoever uses the client."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self._tasks: set[asyncio.Task[str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def wanted(self, reason: ffi.FfiTokenReason, answer: ffi.FfiTokenAnswer) -> None:
        try:
            if self._loop is None:
                raise RuntimeError("no event loop")
            self._loop.call_soon_threadsafe(self._start, reason, answer)
        except RuntimeError as gone:
            answer.fail(f"the token provider cannot be asked: {gone}")

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, reason: ffi.FfiTokenReason, answer: ffi.FfiTokenAnswer) -> None:
        task = asyncio.ensure_future(self._ask(REASONS[reason]))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, answer))

    def _done(self, task: asyncio.Task[str], answer: ffi.FfiTokenAnswer) -> None:
        """Tells the client, which asks again for what failed."""
        self._tasks.discard(task)
        if task.cancelled():
            answer.fail("the token provider was cancelled")
        elif failed := task.exception():
            answer.fail(f"the token provider failed: {type(failed).__name__}: {failed}")
        else:
            answer.provide(task.result())

    async def _ask(self, reason: TokenReason) -> str:
        token = self._provider(reason)
        if inspect.isawaitable(token):
            token = await token
        return utf8(token, "a token")
