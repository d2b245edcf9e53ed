"""Whatever comes again and again, one after the other."""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ._convert import translated
from ._ffi import moorline_mobile as ffi
from .errors import malformed

T = TypeVar("T")
BATCH = 64


class Stream(Generic[T]):
    """An async iterator that loses nothing when a wait is cancelled, and that can be closed.

    It ends when the channel is left or the client closed, and raises what the server refuses. Leaving the loop does not
    leave the channel: the next ``messages()`` of the same handle goes on where this one ended.
    """

    def __init__(self, reader: ffi.FfiReader, convert: Callable[[Any], T | None], exact: bool = False) -> None:
        self._reader = reader
        self._convert = convert
        self._exact = exact
        self._items: deque[ffi.FfiItem] = deque()
        self._handed = 0
        self._is_over = False
        self._is_waiting = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Waits for the next one; asking for it says that the app is done with the one before. One wait at a time."""
        if self._is_waiting:
            raise malformed("the next one was asked for while the last call still waited: await it first")
        self._is_waiting = True
        try:
            if self._exact and self._handed:
                self._reader.confirm(self._handed)
            while not self._is_over:
                while self._items:
                    item = self._items.popleft()
                    self._handed = item.number
                    value = self._convert(item.event)
                    if value is not None:
                        return value
                with translated():
                    batch = await self._reader.next(self._handed, BATCH)
                if batch is None:
                    self._is_over = True
                else:
                    self._items.extend(batch.items)
        finally:
            self._is_waiting = False
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the iteration; a wait ends at once. Calling it again does nothing. Never raises."""
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        self._is_over = True
        self._items.clear()
        self._reader.cancel(self._handed)
