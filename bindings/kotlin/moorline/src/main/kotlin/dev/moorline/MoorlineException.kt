package dev.moorline

import kotlin.time.Duration

/** Who says that something went wrong. */
public enum class Origin {
    /** This library, before anything was sent. */
    Client,

    /** The server. */
    Server,

    /** The network, or what speaks TLS and WebSocket on it. */
    Transport,
}

/**
 * What went wrong. The seven kinds answer what the caller will do; [code] says exactly what it is: [ErrorCode] has all.
 *
 * Cancellation is never one of these: it stays a `CancellationException`.
 */
public sealed class MoorlineException private constructor(failure: Failure, cause: Throwable?) : Exception("${failure.text} (${failure.code})", cause) {
    /** The stable code, such as `auth.expired`. One that [ErrorCode] does not have is a newer server's. */
    public val code: String = failure.code

    /** The stable number, 100 to 799; 0 for a code that this version does not know. */
    public val number: Int = failure.number

    /** Whether the same call can succeed later without being changed. */
    public val isRetryable: Boolean = failure.isRetryable

    /** Who says so. */
    public val origin: Origin = failure.origin

    /** How long to wait before the same is tried again, to the millisecond, where the server says so, as with `limit.rate`; else null. */
    public val retryAfter: Duration? = failure.retryAfter

    /** The token is malformed, expired or revoked: sign in again. */
    public class Auth internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** Too large, too many, or too often: wait, or send less. */
    public class Limit internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** This cannot be asked for, such as a channel that is not granted: change the call. */
    public class Rejected internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** What became of a message or of a position is not what was hoped for: look before publishing it again. */
    public class Continuity internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** The server cannot be reached, or another connection took over: wait for the network, or look at the address. */
    public class Transport internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** The client is closed, nobody is signed in, or its store cannot be used: make another client. */
    public class Closed internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)

    /** The server, its storage, or this library failed: report it. */
    public class Internal internal constructor(failure: Failure, cause: Throwable? = null) : MoorlineException(failure, cause)
}

/** What an error consists of. */
internal class Failure(
    val code: String,
    val number: Int,
    val isRetryable: Boolean,
    val origin: Origin,
    val text: String,
    val retryAfter: Duration? = null,
) {
    companion object {
        fun closed(): MoorlineException = MoorlineException.Closed(Failure(ErrorCode.CLIENT_CLOSED, 100, false, Origin.Client, "the client is closed: make another one"))

        fun malformed(text: String, cause: Throwable? = null): MoorlineException =
            MoorlineException.Rejected(Failure(ErrorCode.REQUEST_MALFORMED, 400, false, Origin.Client, text), cause)
    }
}
