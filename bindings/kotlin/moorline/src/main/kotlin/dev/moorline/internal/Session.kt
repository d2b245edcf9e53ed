package dev.moorline.internal

import dev.moorline.ConnectionState
import dev.moorline.Failure
import dev.moorline.HostSignal
import dev.moorline.HostSignals
import dev.moorline.LogLevel
import dev.moorline.MoorlineException
import dev.moorline.Outbox
import dev.moorline.ffi.FfiClient
import dev.moorline.ffi.FfiEvent
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicReference
import kotlin.coroutines.EmptyCoroutineContext
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.isActive
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/** The life of a client: what runs beside it from its first use until it is closed. */
internal class Session(
    private val client: FfiClient,
    parent: CoroutineScope?,
    dispatcher: CoroutineDispatcher,
    private val signals: HostSignals?,
    private val logger: ((LogLevel, String) -> Unit)?,
) {
    private val job = SupervisorJob(parent?.coroutineContext?.get(Job))

    /** Where this client's coroutines run. */
    val scope = CoroutineScope(job + dispatcher + (parent?.coroutineContext?.get(CoroutineExceptionHandler) ?: EmptyCoroutineContext))

    private val states = MutableStateFlow<ConnectionState>(ConnectionState.Idle)
    private val outboxes = MutableStateFlow(core { client.outbox() }.toOutbox())
    private val isStarted = AtomicBoolean()
    private val followers = CopyOnWriteArrayList<Job>()
    private val following = AtomicReference<AutoCloseable?>()
    private val closing = Mutex()

    @Volatile
    private var isClosed = false
    private var isWiped = false

    val state: StateFlow<ConnectionState> = states.asStateFlow()
    val outbox: StateFlow<Outbox> = outboxes.asStateFlow()

    init {
        // The last resort, where nothing was started: it ends without a goodbye.
        job.invokeOnCompletion { client.destroy() }
    }

    /** Refuses what comes after the end. */
    fun check() {
        if (!scope.isActive) throw Failure.closed()
    }

    /** Begins to follow the core and the platform, once. */
    fun start() {
        check()
        if (!isStarted.compareAndSet(false, true)) return
        // Begins whatever happens: what it does at the end is what ends the log.
        scope.launch(start = CoroutineStart.UNDISPATCHED) { guard() }
        logger?.let(::log)
        follow(readerFlow({ client.connections() }) { (it as? FfiEvent.Connection)?.connection?.toState() }, states)
        follow(readerFlow({ client.outboxes() }) { (it as? FfiEvent.Outbox)?.outbox?.toOutbox() }, outboxes)
        following.set(signals?.follow(::tell))
        // It was closed meanwhile, and knew of none.
        if (isClosed) unfollow()
    }

    fun tell(signal: HostSignal) {
        try {
            core { client.lifecycle(signal.toFfi()) }
        } catch (_: MoorlineException) {
            // It is closed: nothing needs to be told any more.
        }
    }

    /** Closes the core, then ends all that runs here, and waits for it; not for the app's own, which may be what called this. */
    suspend fun close(wipe: Boolean): Unit = withContext(NonCancellable) {
        try {
            shut(wipe)
        } finally {
            job.cancel()
            followers.joinAll()
        }
    }

    private fun <T> follow(from: Flow<T>, to: MutableStateFlow<T>) {
        followers += scope.launch {
            try {
                from.collect { to.value = it }
            } catch (_: MoorlineException) {
                // The client was closed before this began.
            }
        }
    }

    /** Tells the app the log, from now on: it ends with the core, also where the scope is cancelled before. */
    private fun log(write: (LogLevel, String) -> Unit) {
        followers += scope.launch(start = CoroutineStart.UNDISPATCHED) {
            withContext(NonCancellable) {
                readerFlow({ client.logs() }) { it as? FfiEvent.Log }.collect { write(it.level.toLevel(), it.text) }
            }
        }
    }

    /** Waits until the scope is cancelled. */
    private suspend fun guard() {
        try {
            awaitCancellation()
        } finally {
            withContext(NonCancellable) { shut(wipe = false) }
        }
    }

    /** Closes the core, once. Fails where that was done before and a wipe comes too late. */
    private suspend fun shut(wipe: Boolean): Unit = closing.withLock {
        if (isClosed) {
            if (wipe && !isWiped) throw Failure.closed()
            return
        }
        isClosed = true
        try {
            unfollow()
        } finally {
            end(wipe)
        }
    }

    private suspend fun end(wipe: Boolean) {
        try {
            core { client.close(wipe) }
            isWiped = wipe
        } finally {
            states.value = states.value as? ConnectionState.Closed ?: ConnectionState.Closed(null)
            client.destroy()
        }
    }

    private fun unfollow() {
        following.getAndSet(null)?.close()
    }
}
