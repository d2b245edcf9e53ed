package dev.moorline

import dev.moorline.ffi.FfiChannelOptions
import dev.moorline.ffi.FfiClient
import dev.moorline.ffi.FfiEvent
import dev.moorline.ffi.FfiPresenceMode
import dev.moorline.internal.Session
import dev.moorline.internal.Tokens
import dev.moorline.internal.core
import dev.moorline.internal.readerFlow
import dev.moorline.internal.toFfi
import dev.moorline.internal.toPayload
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow

/** Whether a user is online. */
public data class Status(
    /** Whether it has a connection. */
    public val isOnline: Boolean,
    /** If so, since when. */
    public val since: Instant?,
)

/**
 * A client: one connection, one outbox. The first use connects; [connect] waits for it.
 *
 * ```
 * val client = Moorline("wss://chat.example.com/ws/shop", scope) { token { api.token() } }
 * val room = client.channel("room:42")
 * room.messages.collect { render(it) }
 * ```
 *
 * Made, it has read its store, and started nothing. Its functions may be called from any thread; none blocks but for the store.
 *
 * @param url `ws://` or `wss://`.
 * @param scope Cancelling it closes the client; as with `launch`, it waits until that is done. Without one, [close] does it.
 * @throws MoorlineException `request.malformed` for what is no URL of a server, or a setting that is none; `client.store_locked`,
 *   `client.store_corrupt`, `client.store_newer`, `client.certificate`.
 */
public class Moorline(url: String, scope: CoroutineScope? = null, configure: MoorlineConfig.() -> Unit = {}) {
    private val session: Session
    private val client: FfiClient

    init {
        val config = MoorlineConfig().apply(configure)
        val tokens = config.provider?.let { Tokens(it) }
        client = core { FfiClient(config.options(url), tokens) }
        session = Session(client, scope, config.dispatcher, config.signals, config.logger)
        tokens?.scope = session.scope
    }

    /** The connection: the newest counts. [ConnectionState.Closed] is the last one. */
    public val state: StateFlow<ConnectionState> get() = session.state

    /** What waits to be stored by the server: the newest counts. */
    public val outbox: StateFlow<Outbox> get() = session.outbox

    /** What the store had in its outbox when this client was made: it goes out by itself, and these tell what becomes of it. */
    public val restored: List<Receipt> = core { client.restored() }.map(::Receipt)

    /**
     * Connects, and waits until the server has welcomed this client, however long that takes. Cancelling stops the wait alone.
     *
     * @throws MoorlineException with a final refusal, such as `auth.invalid`; `request.order` when [disconnect] is called meanwhile; `client.closed`.
     */
    public suspend fun connect(): Unit = start { client.connect() }

    /** Disconnects; channels and the outbox stay, and [connect] goes on. Does nothing once closed. */
    public fun disconnect() {
        try {
            core { client.disconnect() }
        } catch (_: MoorlineException.Closed) {
            // Then it is disconnected.
        }
    }

    /**
     * Makes a handle on a channel. Each has readers and a position of its own; nothing is read before it is collected.
     *
     * @param name Segments of letters, digits and some signs, with `:` between; 1 to 128 bytes.
     * @param durable Has the server keep a cursor for this user and device: messages come again until they are acknowledged.
     * @param qos The level of reading (the highest wanted) and of publishing.
     * @param presence Whether members are watched, or joined, while the channel is read.
     * @param state With [Presence.Join]: what this member says about itself, [Payload.json] of at most 4,096 bytes.
     * @param since Where reading begins.
     * @param resetToLive Goes on from now when that position cannot be honoured, instead of with the oldest message kept.
     * @param autoAck Whether messages are acknowledged once the collector asked for what comes after them; else [Channel.ack] does it.
     * @throws MoorlineException with `channel.invalid`, `request.malformed`, `client.closed`.
     */
    public fun channel(
        name: String,
        durable: Boolean = false,
        qos: Qos = Qos.AtLeastOnce,
        presence: Presence = Presence.Off,
        state: Payload.JsonText? = null,
        since: Since = Since.Resume,
        resetToLive: Boolean = false,
        autoAck: Boolean = true,
    ): Channel {
        val mode = when (presence) {
            Presence.Off -> FfiPresenceMode.OFF
            Presence.Watch -> FfiPresenceMode.WATCH
            Presence.Join -> FfiPresenceMode.JOIN
        }
        val options = FfiChannelOptions(qos.toFfi(), durable, mode, state?.json, since.toFfi(), resetToLive, autoAck)
        session.check()
        return Channel(name, this, core { client.channel(name, options) })
    }

    /**
     * Asks which of at most 500 users are online. Cancelling stops the wait.
     *
     * @throws MoorlineException what the server answers.
     */
    public suspend fun status(users: Collection<String>): Map<String, Status> =
        start { client.status(users.toList()) }.associate { it.user to Status(it.online, it.sinceMs?.toInstant()) }

    /**
     * Asks the app's backend something: `client.call("cart.add", Payload.json(item))`. A call waits for a connection and is sent once
     * at most; it ends within [timeout] (1 ms to 30 s). Cancelling stops the wait, and does not take back what was sent.
     *
     * @param id names the call for the backend, 1 to 128 bytes (default: random): by it, the backend can tell that a call is made again.
     * @throws MoorlineException `call.refused`, or that and the backend's own word behind a dot; `call.uncertain`, `call.timeout` and
     * `call.failed` where it may have been carried out; other codes where it was not.
     */
    public suspend fun call(
        method: String,
        payload: Payload = Payload.JsonText("null"),
        timeout: Duration = 10.seconds,
        id: String? = null,
    ): Payload {
        // What does not fit is refused as too long or too short.
        val ms = timeout.inWholeMilliseconds.coerceIn(0, UInt.MAX_VALUE.toLong()).toUInt()
        return start { client.call(method, payload.toFfi(), ms, id) }.toPayload()
    }

    /**
     * Follows whether at most 500 users are online; cold. Each item has those that changed, the first one all; a slow collector gets
     * the newest of each. A later collector, of other users as well, takes over.
     *
     * Collecting throws [MoorlineException] if the server refuses; it ends when the client is closed.
     */
    public fun statuses(users: Collection<String>): Flow<Map<String, Status>> = readerFlow({ start { client.statuses(users.toList()) } }) { event ->
        (event as? FfiEvent.Statuses)?.users?.associate { it.user to Status(it.online, it.sinceMs?.toInstant()) }
    }

    /** Tells the client what happens to the app or the device, where no [MoorlineConfig.signals] does. Does nothing once closed. */
    public fun lifecycle(signal: HostSignal): Unit = session.tell(signal)

    /**
     * Says where a backend reaches this device while its user is away: 1 to 512 bytes, such as a token for push notifications; null
     * takes it back.
     *
     * @throws MoorlineException `request.malformed`, `client.closed`.
     */
    public fun setPushHandle(handle: String?): Unit = core { client.setPushHandle(handle) }

    /** Returns a record of what this client was told, without secrets, at most 256 KiB: for a report of a fault. Fails with `client.closed`. */
    public fun blackbox(): ByteArray = core { client.blackbox() }

    /**
     * Sends outstanding acknowledgements, flushes the store and closes it; takes seconds at most, also without a connection. Afterwards
     * every call fails with `client.closed`, and what is collected has ended. Calling it again does nothing. Cannot be cancelled.
     *
     * @param wipe A logout: nothing of this user stays on the device.
     * @throws MoorlineException with [wipe], why the store could not be cleared; the client is closed then, too.
     */
    public suspend fun close(wipe: Boolean = false): Unit = session.close(wipe)

    /** Calls the core, with what follows it running. */
    internal inline fun <T> start(call: () -> T): T {
        session.start()
        return core(call)
    }
}

/**
 * Makes a client for the length of a block, and closes it when the block is done, fails or is cancelled.
 *
 * @throws MoorlineException as [Moorline].
 */
public suspend fun <T> withMoorline(url: String, configure: MoorlineConfig.() -> Unit = {}, block: suspend (Moorline) -> T): T {
    val client = Moorline(url, null, configure)
    try {
        return block(client)
    } finally {
        client.close()
    }
}

private fun ULong.toInstant() = Instant.fromEpochMilliseconds(toLong())
