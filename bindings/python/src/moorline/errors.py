"""What can go wrong.

    MoorlineError
    ├── AuthError         sign in, or get another token
    ├── LimitError        wait, send less, or make it smaller
    ├── RejectedError     change the call: as it is, it is never granted here
    ├── ContinuityError   what became of a message or a position is not as hoped for: the app decides
    ├── TransportError    wait for the network, or look at the address
    ├── ClosedError       make a new client
    └── InternalError     report it: the server or this machine is in trouble

Cancellation is none of them: ``asyncio.CancelledError`` passes through as it is.
"""

from typing import Literal

from ._codes import CODES

Origin = Literal["client", "server", "transport"]


class MoorlineError(Exception):
    """What went wrong: a stable code, and a sentence that says what to do."""

    code: str
    """Such as ``auth.expired``. A newer server may send codes that this version does not know."""
    number: int
    """Its stable number, by bands: 1xx client, 2xx transport, 3xx auth, 4xx request, 5xx server, 6xx continuity, 7xx limits; 0 for a code of a newer server."""
    retryable: bool
    """Whether the same call can succeed later without being changed."""
    origin: Origin
    """Who says so."""
    retry_after: float | None
    """Seconds to wait before the same is tried again, where the server says so, as with ``limit.rate``; None otherwise."""

    def __init__(self, code: str, message: str, origin: Origin = "client", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.number, _, self.retryable = CODES.get(code, (0, "internal", False))
        self.origin = origin
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.code})"

    def __reduce__(self) -> tuple[type["MoorlineError"], tuple[str, str, Origin, float | None]]:
        return (type(self), (self.code, self.args[0], self.origin, self.retry_after))


class AuthError(MoorlineError):
    """Sign in, or get another token."""


class LimitError(MoorlineError):
    """Wait, send less, or make it smaller."""


class RejectedError(MoorlineError):
    """Change the call: as it is, it is never granted here."""


class ContinuityError(MoorlineError):
    """What became of a message or a position is not as hoped for: the app decides."""


class TransportError(MoorlineError):
    """Wait for the network, or look at the address."""


class ClosedError(MoorlineError):
    """Make a new client."""


class InternalError(MoorlineError):
    """Report it: the server or this machine is in trouble."""


_CLASSES: dict[str, type[MoorlineError]] = {
    "auth": AuthError,
    "limit": LimitError,
    "rejected": RejectedError,
    "continuity": ContinuityError,
    "transport": TransportError,
    "closed": ClosedError,
    "internal": InternalError,
}


def error(code: str, message: str, origin: Origin = "client", kind: str | None = None) -> MoorlineError:
    """Makes an error of the class that belongs to its code."""
    known = kind or CODES.get(code, (0, "internal", False))[1]
    return _CLASSES[known](code, message, origin)


def malformed(message: str) -> MoorlineError:
    """Makes an error for a call that cannot be meant."""
    return error("request.malformed", message)


def closed() -> MoorlineError:
    """Makes an error for a client that is closed."""
    return error("client.closed", "the client is closed")
