package dev.moorline.internal

import dev.moorline.ChannelEvent
import dev.moorline.ConnectionState
import dev.moorline.Failure
import dev.moorline.HistoryPage
import dev.moorline.HostSignal
import dev.moorline.LogLevel
import dev.moorline.Message
import dev.moorline.MoorlineException
import dev.moorline.Origin
import dev.moorline.Outbox
import dev.moorline.Payload
import dev.moorline.Qos
import dev.moorline.ReceiptState
import dev.moorline.Since
import dev.moorline.Stored
import dev.moorline.ffi.FfiConnection
import dev.moorline.ffi.FfiConnectionState
import dev.moorline.ffi.FfiEvent
import dev.moorline.ffi.FfiException
import dev.moorline.ffi.FfiFailure
import dev.moorline.ffi.FfiHistoryPage
import dev.moorline.ffi.FfiKind
import dev.moorline.ffi.FfiLogLevel
import dev.moorline.ffi.FfiMessage
import dev.moorline.ffi.FfiOrigin
import dev.moorline.ffi.FfiOutbox
import dev.moorline.ffi.FfiPayload
import dev.moorline.ffi.FfiQos
import dev.moorline.ffi.FfiReceiptState
import dev.moorline.ffi.FfiSignal
import dev.moorline.ffi.FfiSince
import dev.moorline.ffi.FfiStored
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant

internal fun FfiException.toMoorline(): MoorlineException = when (this) {
    is FfiException.Auth -> failure.toMoorline()
    is FfiException.Limit -> failure.toMoorline()
    is FfiException.Rejected -> failure.toMoorline()
    is FfiException.Continuity -> failure.toMoorline()
    is FfiException.Transport -> failure.toMoorline()
    is FfiException.Closed -> failure.toMoorline()
    is FfiException.Internal -> failure.toMoorline()
    // Nothing here hands the core what cancels: a coroutine that is cancelled drops the wait.
    is FfiException.Cancelled -> Failure.closed()
}

internal fun FfiFailure.toMoorline(): MoorlineException {
    val origin = when (origin) {
        FfiOrigin.CLIENT -> Origin.Client
        FfiOrigin.SERVER -> Origin.Server
        FfiOrigin.TRANSPORT -> Origin.Transport
    }
    val failure = Failure(code, number.toInt(), retryable, origin, message, retryAfterMs?.toLong()?.milliseconds)
    return when (kind) {
        FfiKind.AUTH -> MoorlineException.Auth(failure)
        FfiKind.LIMIT -> MoorlineException.Limit(failure)
        FfiKind.REJECTED -> MoorlineException.Rejected(failure)
        FfiKind.CONTINUITY -> MoorlineException.Continuity(failure)
        FfiKind.TRANSPORT -> MoorlineException.Transport(failure)
        FfiKind.CLOSED -> MoorlineException.Closed(failure)
        FfiKind.INTERNAL -> MoorlineException.Internal(failure)
    }
}

internal fun FfiConnection.toState(): ConnectionState {
    val cause = cause?.toMoorline()
    val retryIn = retryAtMs?.let { maxOf(it.toLong() - System.currentTimeMillis(), 0).milliseconds }
    return when (state) {
        FfiConnectionState.IDLE -> ConnectionState.Idle
        FfiConnectionState.CONNECTING -> ConnectionState.Connecting(attempt.toInt(), retryIn, cause)
        FfiConnectionState.ONLINE -> ConnectionState.Online(user)
        FfiConnectionState.RECOVERING -> ConnectionState.Recovering(attempt.toInt(), retryIn, reason, cause)
        FfiConnectionState.CLOSED -> ConnectionState.Closed(cause)
    }
}

internal fun FfiOutbox.toOutbox(): Outbox = Outbox(messages.toInt(), bytes.toLong())

internal fun FfiPayload.toPayload(): Payload = when (this) {
    is FfiPayload.Json -> Payload.JsonText(text)
    is FfiPayload.Text -> Payload.Text(text)
    is FfiPayload.Bytes -> Payload.Bytes(bytes)
}

internal fun Payload.toFfi(): FfiPayload = when (this) {
    is Payload.JsonText -> FfiPayload.Json(json)
    is Payload.Text -> FfiPayload.Text(text)
    is Payload.Bytes -> FfiPayload.Bytes(bytes)
}

internal fun FfiMessage.toMessage(): Message = Message(
    channel, id, epoch, offset?.toLong(), user, Instant.fromEpochMilliseconds(timeMs.toLong()), replayed, redelivered, headers, payload.toPayload(),
)

/** What a reader of a channel yields; null for what later versions add. */
internal fun FfiEvent.toChannelEvent(): ChannelEvent? = when (this) {
    is FfiEvent.Message -> ChannelEvent.Received(message.toMessage())
    is FfiEvent.Subscribed -> ChannelEvent.Subscribed(epoch, from.toLong(), head.toLong(), replay)
    is FfiEvent.Reset -> ChannelEvent.Reset(reason, epoch, first.toLong(), head.toLong(), from.toLong())
    is FfiEvent.Dropped -> ChannelEvent.Dropped(count.toLong())
    is FfiEvent.Acked -> ChannelEvent.Acked(offset.toLong())
    is FfiEvent.Members, is FfiEvent.Connection, is FfiEvent.Outbox, is FfiEvent.Statuses, is FfiEvent.Receipt, is FfiEvent.Log -> null
}

internal fun FfiHistoryPage.toPage(): HistoryPage = HistoryPage(messages.map { it.toMessage() }, more, epoch, first.toLong(), head.toLong())

internal fun FfiStored.toStored(): Stored = Stored(epoch, offset?.toLong(), duplicate)

internal fun FfiReceiptState.toState(): ReceiptState = when (this) {
    is FfiReceiptState.Queued -> ReceiptState.Queued
    is FfiReceiptState.Sent -> ReceiptState.Sent
    is FfiReceiptState.Stored -> ReceiptState.Stored(stored.toStored())
    is FfiReceiptState.Failed -> ReceiptState.Failed(failure.toMoorline())
    is FfiReceiptState.Uncertain -> ReceiptState.Uncertain
}

internal fun FfiLogLevel.toLevel(): LogLevel = when (this) {
    FfiLogLevel.DEBUG -> LogLevel.Debug
    FfiLogLevel.INFO -> LogLevel.Info
    FfiLogLevel.WARN -> LogLevel.Warn
    FfiLogLevel.ERROR -> LogLevel.Error
}

internal fun Qos.toFfi(): FfiQos = when (this) {
    Qos.AtMostOnce -> FfiQos.AT_MOST_ONCE
    Qos.AtLeastOnce -> FfiQos.AT_LEAST_ONCE
    Qos.ExactlyOnce -> FfiQos.EXACTLY_ONCE
}

internal fun Since.toFfi(): FfiSince = when (this) {
    Since.Resume -> FfiSince.Resume
    Since.Live -> FfiSince.Live
    Since.Cursor -> FfiSince.Cursor
    Since.First -> FfiSince.First
    is Since.Last -> FfiSince.Last(natural("count", count.toLong()).toUInt())
    is Since.Position -> FfiSince.Position(epoch, natural("offset", offset))
    is Since.Time -> FfiSince.Time(natural("time", time.toEpochMilliseconds()))
}

internal fun HostSignal.toFfi(): FfiSignal = when (this) {
    HostSignal.Online -> FfiSignal.Online
    is HostSignal.Network -> FfiSignal.Network(id.toULong())
    HostSignal.Offline -> FfiSignal.Offline
    HostSignal.Foreground -> FfiSignal.Foreground
    HostSignal.Background -> FfiSignal.Background
    HostSignal.Wake -> FfiSignal.Wake
}

/** Whole seconds, away from zero: a part of one is not none. */
internal fun Duration.wholeSeconds(): Long {
    val whole = inWholeSeconds
    return when {
        whole.seconds < this -> whole + 1
        whole.seconds > this -> whole - 1
        else -> whole
    }
}

/** Refuses what is below zero: it would be a very large number to the core. */
internal fun natural(name: String, value: Long): ULong {
    if (value < 0) throw Failure.malformed("$name is not below zero: $value")
    return value.toULong()
}
