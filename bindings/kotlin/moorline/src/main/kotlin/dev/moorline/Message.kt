package dev.moorline

import kotlin.time.Instant
import kotlinx.serialization.KSerializer
import kotlinx.serialization.serializer

/** A message as it arrives. */
public data class Message(
    /** Where. */
    public val channel: String,
    /** Unique in its channel: 1 to 128 bytes. */
    public val id: String,
    /** The life of the channel's log; offsets of two lives cannot be compared. */
    public val epoch: String,
    /** The place in the log, from 1 on; null for an ephemeral message (QoS 0). */
    public val offset: Long?,
    /** Who published it; null for nobody in particular. */
    public val user: String?,
    /** The server's clock when it was stored; informative: the order is that of [offset]. */
    public val time: Instant,
    /** Whether it comes from the log rather than live. */
    public val isReplayed: Boolean,
    /** Whether it may have been handed out before, by an earlier process. */
    public val isRedelivered: Boolean,
    /** The sender's headers: at most 16. */
    public val headers: Map<String, String>,
    /** The content. */
    public val payload: Payload,
) {
    /** The text, if it was published as one. */
    public val text: String? get() = (payload as? Payload.Text)?.text

    /** The bytes, if it was published as bytes. */
    public val bytes: ByteArray? get() = (payload as? Payload.Bytes)?.bytes

    /**
     * Reads the payload as JSON. Fields that the class does not know are passed over.
     *
     * @throws MoorlineException with `request.malformed` if it is no JSON, or JSON of another shape.
     */
    public inline fun <reified T> decode(): T = decode { serializer<T>() }

    /**
     * Reads the payload as JSON with a serializer.
     *
     * @throws MoorlineException as the other.
     */
    public fun <T> decode(serializer: () -> KSerializer<T>): T {
        val json = when (payload) {
            is Payload.JsonText -> payload.json
            is Payload.Text -> payload.text
            is Payload.Bytes -> payload.bytes.decodeToString()
        }
        return malformed { lenient.decodeFromString(serializer(), json) }
    }
}

/** What happens on a channel that is read. Exhaustive matching needs an `else`: later versions may add to it. */
public sealed interface ChannelEvent {
    /** A message. */
    public data class Received(public val message: Message) : ChannelEvent

    /** The channel is (again) being read: everything after offset [from] of the log's life [epoch] follows; [head] is the newest. */
    public data class Subscribed(public val epoch: String, public val from: Long, public val head: Long, public val isReplaying: Boolean) : ChannelEvent

    /** Continuity is broken ([reason]: `trimmed` or `epoch`): what lies before [from] is lost to this reader. [first] is the oldest kept, [head] the newest. */
    public data class Reset(public val reason: String, public val epoch: String, public val first: Long, public val head: Long, public val from: Long) : ChannelEvent

    /** So many messages were dropped: at QoS 0, or because nobody collected them while another reader of the channel went on. */
    public data class Dropped(public val count: Long) : ChannelEvent

    /** The server's durable cursor stands at this offset. */
    public data class Acked(public val offset: Long) : ChannelEvent
}

/** How much a message may cost to arrive. */
public enum class Qos {
    /** QoS 0: at once or never; not stored. */
    AtMostOnce,

    /** QoS 1: stored; may arrive twice after a crash of the app. */
    AtLeastOnce,

    /** QoS 2: stored once, and handed out once. */
    ExactlyOnce,
}

/** Where reading begins. */
public sealed interface Since {
    /** After this client's last position if it has one, else after the durable cursor if durable, else from now. */
    public data object Resume : Since

    /** From now. */
    public data object Live : Since

    /** After the durable cursor. */
    public data object Cursor : Since

    /** With everything kept. */
    public data object First : Since

    /** With the newest [count] messages. */
    public data class Last(public val count: Int) : Since

    /** After a position that the app keeps: [Message.epoch] and [Message.offset]. */
    public data class Position(public val epoch: String, public val offset: Long) : Since

    /** With everything stored at or after [time], to the millisecond. */
    public data class Time(public val time: Instant) : Since
}
