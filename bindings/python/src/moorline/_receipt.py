"""What becomes of a published message."""

from . import _convert
from ._convert import translated
from ._ffi import moorline_mobile as ffi
from ._messages import Stream
from .errors import MoorlineError, error
from .types import ReceiptState, Stored


class Receipt:
    """What becomes of a published message. Need not be kept; cancelling a wait does not take the message back."""

    def __init__(self, receipt: ffi.FfiReceipt) -> None:
        self._receipt = receipt

    @property
    def id(self) -> str:
        """The message's id."""
        return self._receipt.id()

    @property
    def channel(self) -> str:
        """Its channel."""
        return self._receipt.channel()

    @property
    def state(self) -> ReceiptState:
        """``queued``: it waits, over reconnects; ``sent``: at QoS 0 that is the end; ``stored``; ``failed``; ``uncertain``: nobody can know any more whether it is in the log."""
        return _convert.receipt_state(self._receipt.state())

    @property
    def error(self) -> MoorlineError | None:
        """Why it failed, or that it is uncertain; None otherwise."""
        state = self._receipt.state()
        if isinstance(state, ffi.FfiReceiptState.FAILED):
            return _convert.failure(state.failure)
        if isinstance(state, ffi.FfiReceiptState.UNCERTAIN):
            return error("publish.uncertain", "whether the message was stored cannot be known any more")
        return None

    def states(self) -> Stream[ReceiptState]:
        """Follows how far it comes, beginning with the present ``state``; what is not taken is told as one, the newest. Ends once it is known what became of the message, and when the client is closed."""
        return Stream(self._receipt.states(), lambda event: _convert.receipt_state(event.state))

    async def queued(self) -> None:
        """Waits until the client's store has the message: from then on it outlives this process, as far as the store does. Needs no connection."""
        with translated():
            await self._receipt.queued()

    async def stored(self) -> Stored:
        """Waits until the message is in the log.

        Raises why it will not be; ``publish.uncertain`` when that cannot be known; ``request.unsupported`` at QoS 0, which
        stores nothing; ``client.closed``, or the server's final refusal, when the client ended before: what was kept goes out
        with the next client on the same store.
        """
        with translated():
            return _convert.stored(await self._receipt.stored())

    def __repr__(self) -> str:
        return f"<Receipt {self.id} in {self.channel}: {self.state}>"
