package dev.moorline

import dev.moorline.ffi.live
import dev.moorline.scenarios.Gate
import dev.moorline.scenarios.Lab
import dev.moorline.scenarios.codeOf
import dev.moorline.scenarios.number
import dev.moorline.scenarios.reading
import dev.moorline.scenarios.store
import java.io.File
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicInteger
import kotlin.coroutines.CoroutineContext
import kotlin.coroutines.cancellation.CancellationException
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel as Rendezvous
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.drop
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What happens between the core and a collector that is slow, is cancelled, fails, or is one of many. */
class SeamTest : Lab() {
    @Test
    fun `a collector that is cancelled while it waits ends at once, and the next one goes on`() = scenario {
        val room = client("bob").channel(channel())
        val writer = client("alice").channel(room.name)
        val started = Gate()
        val idle = launch { room.events.collect { started.open() } }
        started.pass()
        idle.cancelAndJoin()
        writer.store(1..3)
        assertEquals(listOf(1, 2, 3), room.messages.take(3).toList().map { it.number })
    }

    @Test
    fun `a collector that is cancelled in a message leaves that and what follows to the next one`() = scenario {
        val bob = client("bob") { queueMessages = 8 }
        val room = bob.channel(channel(), since = Since.First)
        client("alice").channel(room.name).store(1..100)
        val inThird = Gate()
        val full = launch {
            room.messages.collect { message ->
                if (message.number == 3) {
                    inThird.open()
                    Gate().pass()
                }
            }
        }
        inThird.pass()
        full.cancelAndJoin()
        assertEquals((3..100).toList(), room.messages.take(98).toList().map { it.number })
    }

    @Test
    fun `a collector that is cancelled before it begins opens nothing`() = scenario {
        val room = client("bob").channel(channel())
        val readers = live().readers
        val never = launch(start = CoroutineStart.LAZY) { room.messages.collect {} }
        never.cancelAndJoin()
        assertEquals(readers, live().readers)
    }

    @Test
    fun `a collector that fails leaves the message that it failed in`() = scenario {
        val room = client("bob").channel(channel(), since = Since.First)
        client("alice").channel(room.name).store(1..3)
        val failed = runCatching { room.messages.collect { check(it.number < 2) { "two" } } }
        assertEquals("two", failed.exceptionOrNull()?.message)
        assertEquals(listOf(2, 3), room.messages.take(2).toList().map { it.number })
    }

    @Test
    fun `first and take have taken what they return`() = scenario {
        val room = client("bob").channel(channel(), since = Since.First)
        client("alice").channel(room.name).store(1..5)
        assertEquals(1, room.messages.first().number)
        assertEquals(listOf(2, 3), room.messages.take(2).toList().map { it.number })
        assertEquals(4, room.messages.first().number)
    }

    @Test
    fun `a collector that goes on where another left off is told that the channel is read`() = scenario {
        val room = client("bob").channel(channel(), since = Since.First)
        client("alice").channel(room.name).store(1..3)
        suspend fun take(count: Int) = room.events.take(count).toList()
        fun begun(events: List<ChannelEvent>) = (events.first() as ChannelEvent.Subscribed).let { it.from to it.head }
        val first = take(3)
        assertEquals(0L to 3L, begun(first))
        assertEquals(listOf(1, 2), first.drop(1).map { (it as ChannelEvent.Received).message.number })
        // Before what was left, and again while that is so.
        repeat(2) { assertEquals(2L to 3L, begun(take(1))) }
        val rest = take(2)
        assertEquals(2L to 3L, begun(rest))
        assertEquals(3, (rest.last() as ChannelEvent.Received).message.number)
        // Nothing is left.
        assertEquals(3L to 3L, begun(take(1)))
    }

    @Test
    fun `collectors hold up no other`() = scenario {
        val room = client("bob").channel(channel())
        val held = Gate()
        val inFirst = Gate()
        val slow = async { room.messages.map { inFirst.open(); held.pass(); it.number }.take(200).toList() }
        val fast = reading(room, 200)
        client("alice").channel(room.name).store(1..200)
        assertEquals((1..200).toList(), fast.await().map { it.number })
        inFirst.pass()
        held.open()
        assertEquals((1..200).toList(), slow.await())
    }

    @Test
    fun `a reader a thousand times slower than the writer loses nothing`() = scenario(120.seconds) {
        val bob = client("bob") { queueMessages = 16 }
        val room = bob.channel(channel())
        val step = Rendezvous<Unit>()
        val taken = AtomicInteger()
        val begun = Gate()
        val reader = async {
            room.events.take(10_001).collect { event ->
                if (event is ChannelEvent.Subscribed) return@collect begun.open()
                step.receive()
                assertEquals(taken.getAndIncrement(), (event as ChannelEvent.Received).message.number)
            }
        }
        begun.pass()
        val writer = client("alice").channel(room.name)
        // One message taken for a thousand that are stored.
        for (block in 0 until 10) {
            writer.store(block * 1000 until block * 1000 + 1000)
            step.send(Unit)
        }
        repeat(9_990) { step.send(Unit) }
        reader.await()
        assertEquals(10_000, taken.get())
    }

    @Test
    fun `ten thousand messages leave nothing behind`() = scenario(300.seconds) {
        val name = channel()
        val room = client("bob").channel(name)
        val writer = client("alice").channel(name)
        suspend fun receive(from: Int, count: Int) {
            val messages = async { room.messages.drop(count - 1).first() }
            // Half of what the outbox takes at a time.
            (from until from + count).chunked(500).forEach { writer.store(it.first()..it.last()) }
            messages.await()
        }
        reading(room, 1).also { writer.publish("warm").stored() }.await()
        receive(0, 1_000)
        val (objects, resident) = Objects.inUse() to resident()
        val receipts = live().receipts
        receive(1_000, 10_000)
        // A receipt that was told where its message is holds nothing of the core, whenever the garbage is collected.
        assertTrue(live().receipts <= receipts, "receipts: $receipts, then ${live()}")
        // What the core lent out is let go by threads that follow the collector; nothing new comes to them.
        until("no class with 2,500 objects more", { Objects.inUse().growth(objects, 2_500) }) { it.isEmpty() }
        assertTrue(resident() - resident < 32 shl 20, "the process grew from $resident to ${resident()} bytes")
    }

    @Test
    fun `a hundred clients opened and closed leave nothing behind`() = scenario(120.seconds) {
        suspend fun use(number: Int) {
            val client = Moorline(server.url) { token { "dev:${user("c$number")}" } }
            val room = client.channel("room:of-$number")
            val messages = reading(room, 1)
            room.publish("hi").stored()
            messages.await()
            client.close()
        }
        repeat(5) { use(it) }
        // Handles of other tests may be among these, and be collected meanwhile: there are never more.
        val (before, threads) = live() to threads()
        (5 until 100).chunked(5).forEach { numbers -> numbers.map { async { use(it) } }.awaitAll() }
        use(100)
        // What was closed is gone at once, and so is a receipt that was told; handles on channels go with the garbage.
        val closed = live()
        assertEquals(listOf(before.clients, before.readers), listOf(closed.clients, closed.readers))
        assertTrue(closed.receipts <= before.receipts, "$before, then $closed")
        until("no more channels and providers than $before", { System.gc(); live() }) { it.channels <= before.channels && it.providers <= before.providers }
        assertTrue(threads() <= threads + 16, "threads: $threads, then ${threads()}")
    }

    @Test
    fun `nobody is called once the client is closed`() = scenario {
        val calls = AtomicInteger()
        val stopped = Gate()
        val client = client("alice", proxy.url) {
            token { calls.incrementAndGet(); server.token(user("alice"), 1.seconds) }
            signals = HostSignals { AutoCloseable { stopped.open() } }
        }
        client.connect()
        val room = client.channel(channel())
        val messages = reading(room, 1)
        val told = Gate()
        val statuses = async { client.statuses(listOf("x")).onEach { told.open() }.toList() }
        told.pass()
        client.close()
        stopped.pass()
        val atClose = calls.get()
        assertEquals(emptyList<Message>(), messages.await())
        assertEquals(1, statuses.await().size)
        // Whatever else would ask for a token has had its chance once another client has been through the same.
        client("bob", proxy.url) { token { server.token(user("bob"), 2.seconds) } }.connect()
        assertEquals(atClose, calls.get())
    }

    @Test
    fun `what is closed says so, whatever is called`() = scenario {
        val client = client("alice")
        val room = client.channel(channel())
        val receipt = room.publish("x").also { it.stored() }
        client.close()
        client.close()
        val codes = listOf(
            codeOf { client.connect() }, codeOf { client.channel(channel()) }, codeOf { client.status(listOf("x")) }, codeOf { client.statuses(listOf("x")).toList() },
            codeOf { client.setPushHandle("x") }, codeOf { client.blackbox() }, codeOf { room.publish("x") }, codeOf { room.history() },
            codeOf { room.messages.toList() }, codeOf { room.members.page() },
        )
        assertEquals(List(codes.size) { ErrorCode.CLIENT_CLOSED }, codes)
        assertEquals(ErrorCode.CLIENT_CLOSED, codeOf { client.close(wipe = true) }, "nothing was wiped")
        client.disconnect()
        client.lifecycle(HostSignal.Online)
        room.leave()
        assertEquals(ReceiptState.Stored(receipt.stored()), receipt.state)
    }

    @Test
    fun `a logout is done once`() = scenario {
        val client = client("alice")
        client.channel(channel()).publish("x").stored()
        client.close(wipe = true)
        client.close(wipe = true)
        client.close()
    }

    @Test
    fun `a client that was never used is closed by its scope as well`() = scenario {
        val before = live().clients
        val made = Gate()
        val life = launch {
            Moorline(NOWHERE, this)
            made.open()
        }
        made.pass()
        assertEquals(before + 1u, live().clients)
        life.cancelAndJoin()
        assertEquals(before, live().clients)
    }

    @Test
    fun `a scope that is cancelled before anything of its client has run ends the client, and its log`() = scenario {
        val held = HeldDispatcher()
        val lines = CopyOnWriteArrayList<String>()
        val life = Job()
        val client = Moorline(NOWHERE, CoroutineScope(life)) {
            dispatcher = held
            log { _, line -> lines += line }
        }
        client.channel(channel()).publish("x")
        life.cancel()
        held.release()
        life.join()
        assertEquals("closed (requested)", lines.last())
        assertEquals(ConnectionState.Closed(null), client.state.value)
    }

    @Test
    fun `signals that cannot be stopped keep no client from being wiped`() = scenario {
        val store = store("wiped")
        val client = Moorline(NOWHERE) {
            this.store = store
            signals = HostSignals { AutoCloseable { error("not registered") } }
        }
        client.channel(channel()).publish("secret").queued()
        assertEquals("not registered", runCatching { client.close(wipe = true) }.exceptionOrNull()?.message)
        val next = Moorline(NOWHERE) { this.store = store }
        assertEquals(emptyList<Receipt>(), next.restored)
        next.close()
    }

    @Test
    fun `signals that begin while the client is closed are stopped`() = scenario {
        val stopped = Gate()
        val life = Job()
        val client = Moorline(NOWHERE, CoroutineScope(life)) {
            signals = HostSignals {
                runBlocking { life.cancelAndJoin() }
                AutoCloseable { stopped.open() }
            }
        }
        assertEquals(ErrorCode.CLIENT_CLOSED, codeOf { client.connect() })
        stopped.pass()
    }

    /** Looks again and again, until what is seen is what is awaited; the scenario's limit ends it, and then the failure has both. */
    private suspend fun <T> until(awaited: String, look: () -> T, isSo: (T) -> Boolean) {
        var seen = look()
        try {
            while (!isSo(seen)) {
                delay(50.milliseconds)
                seen = look()
            }
        } catch (late: CancellationException) {
            throw AssertionError("awaited $awaited; last seen: $seen", late)
        }
    }

    /** Bytes of the process that are not shared: besides the heap, which the tests have all from the start, what native code holds. */
    private fun resident(): Long {
        val heap = Runtime.getRuntime()
        val status = File("/proc/self/status").takeIf { it.exists() && heap.totalMemory() == heap.maxMemory() } ?: return 0
        return status.readLines().first { it.startsWith("RssAnon:") }.filter { it.isDigit() }.toLong() * 1024
    }

    /** Runs nothing before it is released. */
    private class HeldDispatcher : CoroutineDispatcher() {
        private val released = CompletableDeferred<Unit>()

        fun release() {
            released.complete(Unit)
        }

        override fun dispatch(context: CoroutineContext, block: Runnable) {
            released.invokeOnCompletion { Dispatchers.Default.dispatch(context, block) }
        }
    }

    private fun threads(): Int = File("/proc/self/task").list()?.size ?: 0

    private companion object {
        /** An address where nobody listens. */
        const val NOWHERE = "ws://127.0.0.1:1/ws"
    }
}
