"""What goes in and what comes out. Times and spans are seconds, as ``float``; times count from 1970."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, Union

from .errors import MoorlineError

Json: TypeAlias = Union[None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]]
"""A value that JSON can say."""

Payload: TypeAlias = Json | bytes | bytearray | memoryview
"""What can be published: ``str`` goes as a text, bytes as bytes, everything else as JSON."""

Qos: TypeAlias = Literal[0, 1, 2]
ConnectionState: TypeAlias = Literal["idle", "connecting", "online", "recovering", "closed"]
ReceiptState: TypeAlias = Literal["queued", "sent", "stored", "failed", "uncertain"]
PresenceMode: TypeAlias = Literal["off", "watch", "join"]
MemberEvent: TypeAlias = Literal["join", "leave", "timeout", "back", "update", "other"]
TokenReason: TypeAlias = Literal["connect", "expiring", "refused"]
Signal: TypeAlias = Literal["foreground", "background", "online", "offline", "wake"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a channel's log. Offsets only mean something together with their epoch."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Last:
    """Reading begins with the newest so many messages."""

    count: int


@dataclass(frozen=True, slots=True)
class Time:
    """Reading begins with everything stored at or after this time."""

    seconds: float


Since: TypeAlias = Literal["resume", "live", "cursor", "first"] | Last | Position | Time


@dataclass(frozen=True)
class Message:
    """A message. It has exactly one of ``data``, ``text`` and ``bytes``; ``kind`` says which."""

    channel: str
    id: str
    """Unique for its publisher in its channel."""
    epoch: str
    """The life of the log."""
    offset: int | None
    """The place in the log; None at QoS 0."""
    user: str | None
    """Who published it; None for nobody."""
    time: float
    """The server's clock when it was stored."""
    replayed: bool
    """Whether it comes from the log rather than live."""
    redelivered: bool
    """Whether an earlier process may have been handed it before."""
    headers: Mapping[str, str]
    kind: Literal["data", "text", "bytes"]
    content: str | bytes = field(repr=False)
    """JSON text, the text, or the bytes."""

    @cached_property
    def data(self) -> Json:
        """What was published as JSON; None if it was not. Parsed when it is first asked for: raises ``ValueError``, or ``RecursionError`` for what is nested too deeply."""
        parsed: Json = json.loads(self.content) if self.kind == "data" else None
        return parsed

    @property
    def text(self) -> str | None:
        """The text, if it was published as one."""
        return self.content if self.kind == "text" and isinstance(self.content, str) else None

    @property
    def bytes(self) -> "bytes | None":
        """The bytes, if it was published as some."""
        return self.content if isinstance(self.content, bytes) else None

    @property
    def position(self) -> Position | None:
        """Where it is in the log; None at QoS 0."""
        return None if self.offset is None else Position(self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The channel is (again) being read: everything after ``start`` follows."""

    epoch: str
    start: int
    head: int
    replay: bool
    """Whether messages of the log come first."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Continuity is broken: what lies before ``start`` is lost to this reader. ``trimmed``: the log is not kept that far back; ``epoch``: it is another log."""

    reason: str
    epoch: str
    first: int
    head: int
    start: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many messages were dropped: at QoS 0, or because nobody took them while another reader of the channel went on."""

    count: int


@dataclass(frozen=True, slots=True)
class Acked:
    """The durable cursor stands here."""

    offset: int


Event: TypeAlias = Message | Subscribed | Reset | Dropped | Acked
"""What happens on a channel."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a published message is."""

    epoch: str
    offset: int | None
    """None for an old duplicate of which only the fact is known."""
    duplicate: bool
    """Whether it was there already."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection, with what is known of it."""

    state: ConnectionState
    reason: str
    """Such as ``welcome``, ``transport-closed``, ``silent``, ``offline``, ``refused``."""
    close_code: int | None
    cause: MoorlineError | None
    since: float
    """When it became so; 0 before the first use."""
    attempt: int
    """Attempts to connect since it was last online."""
    retry_at: float | None
    """When the next one comes; None while one is under way, and where none will come."""
    user: str | None
    """Who the server says this is, once it has."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits to be sent."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a user is online, and if so since when."""

    online: bool
    since: float | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a channel: a user, whatever the number of its devices."""

    user: str
    state: Json
    since: float


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What happened to a member."""

    event: MemberEvent
    user: str
    state: Json


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a channel at one moment."""

    count: int | None
    """How many there are; None until that is known."""
    list: Sequence[Member] | None
    """All, in the order of their names; None until they are known, and where there are more than 200."""


@dataclass(frozen=True, slots=True)
class MembersChange:
    """What happened to the members of a channel."""

    count: int
    changes: Sequence[MemberChange]
    """In order; nothing while there are more than 200 members, and after a burst of more than 256 that was not read."""
    snapshot: bool
    """Whether this comes of a new look at all members rather than happening now."""


@dataclass(frozen=True, slots=True)
class MembersPage:
    """Some members of a channel."""

    count: int
    members: Sequence[Member]
    cursor: str | None
    """Where the next ones begin, if there are more."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of a channel's log, ascending."""

    messages: Sequence[Message]
    more: bool
    """Whether there is more in the direction of the query."""
    epoch: str
    first: int
    """The oldest offset kept."""
    head: int
    """The newest offset."""
