package dev.moorline.scenarios

import dev.moorline.Channel
import dev.moorline.ChannelEvent
import dev.moorline.ConnectionState
import dev.moorline.FileStore
import dev.moorline.Message
import dev.moorline.Moorline
import dev.moorline.MoorlineConfig
import dev.moorline.MoorlineException
import dev.moorline.Payload
import dev.moorline.testing.FaultProxy
import dev.moorline.testing.TestServer
import java.nio.file.Files
import java.util.UUID
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.mapNotNull
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.TestInstance

/** A real server behind a network that fails, for the scenarios of a class, and clients that are closed after each. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class Lab {
    val server: TestServer = TestServer.start("ping = \"5s\"")
    val proxy: FaultProxy = FaultProxy(server.port)
    val folder: java.nio.file.Path = Files.createTempDirectory("moorline-kotlin-")
    private val clients = mutableListOf<Moorline>()
    private val run = UUID.randomUUID().toString().take(8)
    private var count = 0

    @AfterEach
    fun tidy() {
        proxy.heal()
        runBlocking { clients.forEach { it.close() } }
        clients.clear()
    }

    @AfterAll
    fun stop() {
        proxy.close()
        server.close()
        folder.toFile().deleteRecursively()
    }

    /** A client with a store of its own, or the store of this name. */
    fun client(user: String, url: String = server.url, store: String = "$user-${clients.size}-${count++}", configure: MoorlineConfig.() -> Unit = {}): Moorline =
        Moorline(url) {
            token("dev:${user(user)}")
            this.store = store(store)
            minBackoff = 100.milliseconds
            maxBackoff = 500.milliseconds
            configure()
        }.also { clients += it }

    fun store(name: String): FileStore = FileStore(folder.resolve("$name.moor").toFile())

    fun user(name: String): String = "$name-$run"

    /** A channel that nobody else uses. */
    fun channel(): String = "room:$run-${++count}"

    /** Runs a scenario; what hangs fails. */
    fun scenario(limit: Duration = 60.seconds, act: suspend CoroutineScope.() -> Unit): Unit = runBlocking(Dispatchers.Default) { withTimeout(limit) { act() } }
}

/** Waits until a client is in a state. */
suspend inline fun <reified T : ConnectionState> Moorline.reaches(): T = state.filterIsInstance<T>().first()

/** Begins to take so many messages, and returns once the server has said that the channel is read. */
suspend fun CoroutineScope.reading(channel: Channel, count: Int): Deferred<List<Message>> {
    val subscribed = CompletableDeferred<Unit>()
    val messages = async {
        channel.events.onEach { if (it is ChannelEvent.Subscribed) subscribed.complete(Unit) }
            .mapNotNull { (it as? ChannelEvent.Received)?.message }.take(count).toList()
    }
    messages.invokeOnCompletion { cause -> cause?.let(subscribed::completeExceptionally) }
    subscribed.await()
    return messages
}

/** The code of what is thrown; what comes instead if nothing is. */
inline fun codeOf(act: () -> Any?): String = try {
    "nothing: ${act()}"
} catch (error: MoorlineException) {
    error.code
}

/** Publishes numbers, and waits until they are stored. */
suspend fun Channel.store(numbers: IntRange): Unit = coroutineScope {
    numbers.map { publish(Payload.json(it)) }.forEach { it.stored() }
}

/** The number that a message carries. */
val Message.number: Int get() = decode<Int>()
