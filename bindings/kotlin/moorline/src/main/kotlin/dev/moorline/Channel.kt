package dev.moorline

import dev.moorline.ffi.FfiChannel
import dev.moorline.ffi.FfiHistoryRange
import dev.moorline.ffi.FfiPublishOptions
import dev.moorline.internal.core
import dev.moorline.internal.natural
import dev.moorline.internal.readerFlow
import dev.moorline.internal.toChannelEvent
import dev.moorline.internal.toFfi
import dev.moorline.internal.toPage
import dev.moorline.internal.wholeSeconds
import kotlin.time.Duration
import kotlin.time.Instant
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.map

/** A part of a channel's log: what [Channel.history] takes. */
public sealed interface History {
    /** The newest messages. */
    public data object Newest : History

    /** The oldest messages after [offset]. */
    public data class After(public val offset: Long) : History

    /** The newest messages before [offset]. */
    public data class Before(public val offset: Long) : History

    /** The oldest messages stored at or after [time], to the millisecond. */
    public data class Since(public val time: Instant) : History

    /** The newest messages stored before [time], to the millisecond. */
    public data class Until(public val time: Instant) : History
}

/** The answer to [Channel.history]. */
public data class HistoryPage(
    /** Ascending. */
    public val messages: List<Message>,
    /** Whether there is more in the direction of the query. */
    public val hasMore: Boolean,
    /** The life of the log. */
    public val epoch: String,
    /** The oldest offset kept; [head] + 1 when the channel is empty. */
    public val first: Long,
    /** The newest offset. */
    public val head: Long,
)

/**
 * A handle on a channel: [Moorline.channel] makes it. Nothing is read before [messages] or [events] is collected.
 *
 * Its functions may be called from any thread.
 */
public class Channel internal constructor(public val name: String, private val client: Moorline, private val channel: FfiChannel) {
    /** Who is in it. */
    public val members: Members = Members(client, channel)

    /**
     * All that happens on the channel, messages included; cold. Each collector has a reader of its own: it gets what arrives from
     * then on, at its own pace, and holds up no other. While it is slow the server is asked to wait; nothing is dropped.
     *
     * A collector that is cancelled, or that throws, leaves its messages to the next one of this handle, beginning with the one it
     * was cut off in; `first()` and `take(n)` have taken what they return. After [buffer][kotlinx.coroutines.flow.buffer] a message
     * counts as taken once it is in the buffer.
     *
     * Collecting throws [MoorlineException] if the server refuses, such as `channel.denied`, after the messages before that. It ends
     * when the channel is left or the client closed, and goes on over every reconnect.
     */
    public val events: Flow<ChannelEvent> = readerFlow({ client.start { channel.reader() } }) { it.toChannelEvent() }

    /** The messages of [events]. */
    public val messages: Flow<Message> = events.filterIsInstance<ChannelEvent.Received>().map { it.message }

    /**
     * Publishes, and returns at once: the message goes out by itself, also after the process was killed if the store outlives it.
     *
     * @param payload At most 64 KiB, unless the server says otherwise.
     * @param qos The channel's, if null.
     * @param id 1 to 128 bytes, unique in the channel; random if null. The same id, published again within a day, is stored once.
     * @param ttl After how long the message may be forgotten, unsent or stored: whole seconds, rounded up; null: never.
     * @param headers At most 16, of 1 KiB in all.
     * @throws MoorlineException with nothing queued: `limit.outbox` when too much waits already, `limit.message`, `request.malformed`,
     *   `client.closed`.
     */
    public fun publish(payload: Payload, qos: Qos? = null, id: String? = null, ttl: Duration? = null, headers: Map<String, String> = emptyMap()): Receipt {
        val seconds = ttl?.let { natural("ttl", it.wholeSeconds()).coerceAtMost(UInt.MAX_VALUE.toULong()).toUInt() }
        val options = FfiPublishOptions(qos?.toFfi(), id, seconds, headers)
        return client.start { Receipt(channel.publish(payload.toFfi(), options)) }
    }

    /** Publishes a text; as the other. */
    public fun publish(text: String, qos: Qos? = null, id: String? = null, ttl: Duration? = null, headers: Map<String, String> = emptyMap()): Receipt =
        publish(Payload.Text(text), qos, id, ttl, headers)

    /**
     * Asks for a part of the log. Cancelling stops the wait.
     *
     * @param limit At most so many messages, 1 to 256.
     * @throws MoorlineException what the server answers, such as `channel.denied`.
     */
    public suspend fun history(range: History = History.Newest, limit: Int = 100): HistoryPage {
        val part = when (range) {
            History.Newest -> FfiHistoryRange.Newest
            is History.After -> FfiHistoryRange.After(natural("offset", range.offset))
            is History.Before -> FfiHistoryRange.Before(natural("offset", range.offset))
            is History.Since -> FfiHistoryRange.Since(natural("time", range.time.toEpochMilliseconds()))
            is History.Until -> FfiHistoryRange.Until(natural("time", range.time.toEpochMilliseconds()))
        }
        val count = natural("limit", limit.toLong()).toUInt()
        return client.start { channel.history(part, count) }.toPage()
    }

    /**
     * Acknowledges everything up to a message, where [Moorline.channel] was told not to do so by itself: with a durable cursor it
     * does not come again. Does nothing for an ephemeral message.
     *
     * @throws MoorlineException with `client.closed`; `request.malformed` for a message of another channel.
     */
    public fun ack(message: Message) {
        // An inbox is `@me`, and the name of its user.
        if (message.channel != name && name != "@me") throw Failure.malformed("a message of ${message.channel} is not acknowledged on $name")
        message.offset?.let { offset -> core { channel.ack(message.epoch, offset.toULong()) } }
    }

    /**
     * Stops reading: what is collected ends. Receipts go on, and so does publishing. Calling it again does nothing; never throws.
     *
     * @param forget Drops the durable cursor, too.
     */
    public fun leave(forget: Boolean = false) {
        try {
            core { channel.leave(forget) }
        } catch (_: MoorlineException.Closed) {
            // Then it has left.
        }
    }

    /** Names it. */
    override fun toString(): String = "Channel($name)"
}
