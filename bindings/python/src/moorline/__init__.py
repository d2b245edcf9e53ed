"""Real-time messages that arrive once, in order, after any interruption."""

from ._channel import Channel
from ._client import Client
from ._messages import Stream
from ._presence import Presence
from ._receipt import Receipt
from .errors import (
    AuthError,
    ClosedError,
    ContinuityError,
    InternalError,
    LimitError,
    MoorlineError,
    RejectedError,
    TransportError,
)
from .types import (
    Acked,
    Connection,
    Dropped,
    Event,
    HistoryPage,
    Json,
    Last,
    Member,
    MemberChange,
    Members,
    MembersChange,
    MembersPage,
    Message,
    Outbox,
    Position,
    Reset,
    Status,
    Stored,
    Subscribed,
    Time,
)

__version__ = "0.1.0"

__all__ = [
    "Acked",
    "AuthError",
    "Channel",
    "Client",
    "ClosedError",
    "Connection",
    "ContinuityError",
    "Dropped",
    "Event",
    "HistoryPage",
    "InternalError",
    "Json",
    "Last",
    "LimitError",
    "Member",
    "MemberChange",
    "Members",
    "MembersChange",
    "MembersPage",
    "Message",
    "MoorlineError",
    "Outbox",
    "Position",
    "Presence",
    "Receipt",
    "RejectedError",
    "Reset",
    "Status",
    "Stored",
    "Stream",
    "Subscribed",
    "Time",
    "TransportError",
]
