"""Who is in a channel."""

from . import _convert
from ._convert import translated
from ._ffi import moorline_mobile as ffi
from ._messages import Stream
from .types import Json, Members, MembersChange, MembersPage


class Presence:
    """Who is in a channel. Needs ``presence="watch"`` or ``"join"`` of the channel, but for ``page``."""

    def __init__(self, presence: ffi.FfiPresence) -> None:
        self._presence = presence

    @property
    def members(self) -> Members:
        """The members, as far as they are known now."""
        return _convert.members(self._presence.members())

    def changes(self) -> Stream[MembersChange]:
        """Follows the members, beginning with a snapshot, and reads the channel as long as the handle is not left. What is not taken is told as one."""
        with translated():
            return Stream(self._presence.changes(), _convert.members_change)

    async def enter(self, state: Json = None) -> None:
        """Becomes a member, with this state (at most 4,096 bytes of JSON). Done again by itself after a reconnect."""
        with translated():
            await self._presence.enter(_convert.to_json(state, "the presence state"))

    async def update(self, state: Json) -> None:
        """Changes what this member says about itself. Raises ``request.order`` for who is no member."""
        with translated():
            await self._presence.update(_convert.to_json(state, "the presence state"))

    async def leave(self) -> None:
        """Stops being a member; the channel is read on."""
        with translated():
            await self._presence.leave()

    async def page(self, cursor: str | None = None) -> MembersPage:
        """Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on."""
        with translated():
            return _convert.members_page(await self._presence.page(cursor))
