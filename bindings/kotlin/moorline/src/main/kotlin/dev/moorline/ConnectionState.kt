package dev.moorline

import kotlin.time.Duration

/** The connection, with what is known of it. The latest one is [Moorline.state]. */
public sealed interface ConnectionState {
    /** Nothing was asked for yet. */
    public data object Idle : ConnectionState

    /** The first connection is being made. */
    public data class Connecting(
        /** Counts the attempts, from 1. */
        public val attempt: Int,
        /** How long until the next one, at the moment when this was told; null while one is under way. */
        public val retryIn: Duration?,
        /** Why the last attempt failed, if it did. */
        public val cause: MoorlineException?,
    ) : ConnectionState

    /** Connected, as this user; null for nobody in particular. */
    public data class Online(public val user: String?) : ConnectionState

    /** The connection was lost, and is being made again. Nothing is lost with it. */
    public data class Recovering(
        /** Counts the attempts, from 1. */
        public val attempt: Int,
        /** How long until the next one, at the moment when this was told; null while one is under way. */
        public val retryIn: Duration?,
        /** What ended the connection: `transport-closed`, `silent`, `goaway` and others. */
        public val reason: String,
        /** The error behind it, if there is one. */
        public val cause: MoorlineException?,
    ) : ConnectionState

    /** Closed for good, by the app ([cause] is null) or by a refusal of the server that is final. */
    public data class Closed(public val cause: MoorlineException?) : ConnectionState
}

/** What waits to be stored by the server. */
public data class Outbox(
    /** How many messages. */
    public val messages: Int,
    /** Bytes of their payloads. */
    public val bytes: Long,
)

/** What the platform knows better than the client: nothing breaks if it is not told, the client only notices later. */
public sealed interface HostSignal {
    /** The network is there (again): the client probes, or connects at once. */
    public data object Online : HostSignal

    /** The device is on another network: as [Online]. [id] names it, the same after a restart: the client learns how rarely it needs to be pinged there. */
    public data class Network(public val id: Long) : HostSignal

    /** There is no network: the client does not try for 20 s, or until a sign of the contrary. */
    public data object Offline : HostSignal

    /** The app is in front (again): as [Online]. */
    public data object Foreground : HostSignal

    /** The app goes to the background: acknowledgements go out, pings become rare, the user counts as away for push notifications. */
    public data object Background : HostSignal

    /** The device slept, or timers stood still: as [Online]. */
    public data object Wake : HostSignal
}

/** Where signals of the platform come from: `AndroidSignals` on Android. */
public fun interface HostSignals {
    /** Begins to tell; from any thread, until what is returned is closed. Called once, when the client first does something. */
    public fun follow(tell: (HostSignal) -> Unit): AutoCloseable
}
