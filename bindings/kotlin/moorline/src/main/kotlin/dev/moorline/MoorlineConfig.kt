package dev.moorline

import dev.moorline.ffi.FfiClientOptions
import kotlin.time.Duration
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers

/** Why a token is needed. */
public enum class TokenReason {
    /** For the first connection. */
    Connect,

    /** The current one expires soon. */
    Expiring,

    /** The server refused the current one as expired. */
    Refused,
}

/** How much a line of the log matters. */
public enum class LogLevel {
    /** Of interest to who looks for a fault: addresses, tokens that are asked for, channels that are read. */
    Debug,

    /** What happens as it should. */
    Info,

    /** What went wrong, and is dealt with: a lost connection, a message that is not stored. */
    Warn,

    /** What ends the client. */
    Error,
}

/** Keeps this block's names out of blocks within it. */
@DslMarker
public annotation class MoorlineDsl

/** How a client is set up: the block of [Moorline]. What is null is left to the client, at the default named. */
@MoorlineDsl
public class MoorlineConfig internal constructor() {
    internal var token: String? = null
    internal var provider: (suspend (TokenReason) -> String)? = null
    internal var logger: ((LogLevel, String) -> Unit)? = null
    internal val certificates: MutableList<ByteArray> = mutableListOf()
    internal val addresses: MutableList<String> = mutableListOf()

    /** Where outbox, positions and the device's id are kept. */
    public var store: Store = MemoryStore

    /** What tells the client of the platform: `AndroidSignals` on Android; null for nothing. */
    public var signals: HostSignals? = null

    /** Whether the server may compress what it sends. */
    public var compression: Boolean = true

    /** Messages that may wait to be sent (1,000). */
    public var outboxMessages: Int? = null

    /** Bytes of their payloads (8 MiB). */
    public var outboxBytes: Long? = null

    /** Messages of a channel that may wait to be collected before the server is asked to pause (1,024). */
    public var queueMessages: Int? = null

    /** Bytes of their payloads (4 MiB). */
    public var queueBytes: Long? = null

    /** The shortest pause between attempts to connect, to the millisecond (500 ms). */
    public var minBackoff: Duration? = null

    /** The longest (20 s). */
    public var maxBackoff: Duration? = null

    /** How long opening a socket and being welcomed may take (10 s). */
    public var connectTimeout: Duration? = null

    /** Where the blocks of [token] and [log] run, and what follows the connection's state. */
    public var dispatcher: CoroutineDispatcher = Dispatchers.Default

    /** Sets a token that never changes. Without this and the other [token], the client is anonymous. */
    public fun token(token: String) {
        this.token = token
    }

    /**
     * Sets what fetches a token: for the first connection, before one expires, after a refusal. What it throws is shown as the cause
     * in [Moorline.state], and it is asked again later. Cancelled when the client is closed.
     */
    public fun token(fetch: suspend (TokenReason) -> String) {
        provider = fetch
    }

    /**
     * Sets what is told the lines of the client's log, one after the other, from its first use until it is closed; the last one
     * before [Moorline.close] returns. Names of channels and users are in it; payloads, headers and tokens never are. The lines are
     * for people: do not parse them. While 256 wait, later ones are counted instead. What the block throws ends the log,
     * and goes to the scope's `CoroutineExceptionHandler`, as in `launch`.
     */
    public fun log(write: (level: LogLevel, line: String) -> Unit) {
        logger = write
    }

    /** Adds a further address of the server: they are tried in turn. */
    public fun url(url: String) {
        addresses += url
    }

    /** Trusts a certificate beside those of Mozilla's list; PEM or DER. */
    public fun trust(certificate: ByteArray) {
        certificates += certificate
    }

    internal fun options(url: String): FfiClientOptions = FfiClientOptions(
        urls = listOf(url) + addresses,
        sdk = "moorline-kotlin/$VERSION",
        token = token,
        store = when (val store = store) {
            MemoryStore -> null
            is FileStore -> store.path
        },
        rootCertificates = certificates,
        compression = compression,
        outboxMessages = outboxMessages?.let { positive("outboxMessages", it.toLong()) },
        outboxBytes = outboxBytes?.let { positive("outboxBytes", it) },
        queueMessages = queueMessages?.let { positive("queueMessages", it.toLong()) },
        queueBytes = queueBytes?.let { positive("queueBytes", it) },
        minBackoffMs = minBackoff?.let { positive("minBackoff", it.inWholeMilliseconds) },
        maxBackoffMs = maxBackoff?.let { positive("maxBackoff", it.inWholeMilliseconds) },
        connectTimeoutMs = connectTimeout?.let { positive("connectTimeout", it.inWholeMilliseconds) },
    )

    private fun positive(name: String, value: Long): ULong {
        if (value <= 0) throw Failure.malformed("$name is above zero: $value")
        return value.toULong()
    }
}

/** The version of this library. */
internal const val VERSION = "0.1.0"
