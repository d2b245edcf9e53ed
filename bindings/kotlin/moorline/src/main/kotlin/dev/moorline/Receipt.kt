package dev.moorline

import dev.moorline.ffi.FfiEvent
import dev.moorline.ffi.FfiReceipt
import dev.moorline.internal.core
import dev.moorline.internal.readerFlow
import dev.moorline.internal.toState
import dev.moorline.internal.toStored
import kotlin.concurrent.Volatile
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf

/** Where a message is in the log. */
public data class Stored(
    /** The life of the log. */
    public val epoch: String,
    /** The place in it, from 1 on; null for an old duplicate of which only the fact is known. */
    public val offset: Long?,
    /** Whether it was there already. */
    public val isDuplicate: Boolean,
)

/** How far a published message has come. */
public sealed interface ReceiptState {
    /** It waits in the outbox. */
    public data object Queued : ReceiptState

    /** It was sent; at QoS 0 that is all. */
    public data object Sent : ReceiptState

    /** It is in the log. */
    public data class Stored(public val stored: dev.moorline.Stored) : ReceiptState

    /** It will not be stored. */
    public data class Failed(public val cause: MoorlineException) : ReceiptState

    /** It was sent, and nobody can know any more whether it was stored; the app decides. */
    public data object Uncertain : ReceiptState
}

/**
 * What becomes of a published message. It goes out by itself, over reconnects; cancelling a wait, or letting go of the receipt, does
 * not take it back.
 */
public class Receipt internal constructor(private val receipt: FfiReceipt) {
    /** The message's id: 1 to 128 bytes. */
    public val id: String = receipt.id()

    /** Its channel. */
    public val channel: String = receipt.channel()

    /** Where it is in the log, once that was told; the core's object is let go then, and does not wait for the garbage collector. */
    @Volatile
    private var known: Stored? = null

    /** How far it has come, at this moment. */
    public val state: ReceiptState get() = ask(ReceiptState::Stored) { receipt.state().toState().also { (it as? ReceiptState.Stored)?.let { end -> settle(end.stored) } } }

    /**
     * How far it comes, beginning with what is so now; cold. A slow collector gets the newest. Ends once it is known what became of the
     * message, and when the client is closed: then [state] says how far it had come, and [stored] throws why.
     */
    public val states: Flow<ReceiptState> = flow {
        val following = ask({ end -> flowOf(ReceiptState.Stored(end)) }) {
            val reader = receipt.states()
            readerFlow({ reader }) { event -> (event as? FfiEvent.Receipt)?.state?.toState() }
        }
        emitAll(following)
    }

    /**
     * Waits until the client's store has the message: from then on it outlives the process, and goes out when there is a
     * connection. Needs none itself. Cancelling stops the wait alone.
     *
     * @throws MoorlineException why it is not kept: `storage.full`, `client.closed`; `request.unsupported` at QoS 0, which keeps nothing.
     */
    public suspend fun queued(): Unit = ask({}) { receipt.queued() }

    /**
     * Waits until the message is in the log. Cancelling stops the wait alone.
     *
     * @throws MoorlineException why it will not be: what the server refuses; `publish.uncertain` if nobody can know; `publish.expired`;
     *   `request.unsupported` at QoS 0, which stores nothing; `client.closed`, or the server's final refusal, if the client ended before:
     *   then a store that outlives the process still has it.
     */
    public suspend fun stored(): Stored = ask({ it }) { receipt.stored().toStored().also(::settle) }

    private fun settle(stored: Stored) {
        known = stored
        receipt.destroy()
    }

    /** Answers from what is known, else asks the core: its object may be let go meanwhile, by another who was told. */
    private inline fun <T> ask(answer: (Stored) -> T, question: () -> T): T {
        known?.let { return answer(it) }
        return try {
            core(question)
        } catch (closed: MoorlineException.Closed) {
            known?.let(answer) ?: throw closed
        }
    }

    /** Names the message and how far it has come. */
    override fun toString(): String = "Receipt($channel, $id)"
}
