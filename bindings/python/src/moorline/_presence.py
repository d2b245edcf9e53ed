"""Who is in a channel."""

from collections.abc import Callable

from . import _convert
from ._convert import translated
from ._ffi import moorline_mobile as ffi
from ._messages import Stream
from .types import Json, Members, MembersChange, MembersPage


class Presence:
    """Who is in a channel. Needs ``presence="watch"`` or ``"join"`` of the channel, but for ``page``."""

    def __init__(self, presence: ffi.FfiPresence, use: Callable[[], None]) -> None:
        self._presence = presence
        self._use = use

    @property
    def members(self) -> Members:
        """The members, as far as they are known now."""
        return _convert.members(self._presence.members())

    def changes(self) -> Stream[MembersChange]:
        """Follows the members, beginning with a snapshot, and reads the channel as long as the handle is not left. What is not taken is told as one."""
        self._use()
        with translated():
            return Stream(self._presence.changes(), _convert.members_change)

    async def enter(self, state: Json = None) -> None:
        """Becomes a member, with this state (at most 4,096 bytes of JSON). Done again by itself after a reconnect."""
        crossing = _convert.to_json(state, "the presence state")
        self._use()
        with translated():
            await self._presence.enter(crossing)

    async def update(self, state: Json) -> None:
        """Changes what this member says about itself. Raises ``request.order`` for who is no member."""
        crossing = _convert.to_json(state, "the presence state")
        self._use()
        with translated():
            await self._presence.update(crossing)

    async def leave(self) -> None:
        """Stops being a member; the channel is read on."""
        self._use()
        with translated():
            await self._presence.leave()

    async def page(self, cursor: str | None = None) -> MembersPage:
        """Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on."""
        crossing = _convert.optional_utf8(cursor, "a cursor")
        self._use()
        with translated():
            return _convert.members_page(await self._presence.page(crossing))
