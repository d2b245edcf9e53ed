package dev.moorline.scenarios

import dev.moorline.Channel
import dev.moorline.Outbox
import dev.moorline.Payload
import dev.moorline.Qos
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class FaultScenarios : Lab() {
    @Test
    fun `goes on after a cut`() = survives { proxy.cut() }

    @Test
    fun `goes on after cut upon cut`() = survives { repeat(3) { proxy.cut() } }

    @Test
    fun `goes on when a black hole lets go`() = survives {
        proxy.blackHole()
        proxy.heal()
    }

    @Test
    fun `goes on over a slow line`() = survives { published ->
        proxy.delay(100.milliseconds)
        published.await()
    }

    @Test
    fun `goes on over a killed server`() = survives {
        withContext(Dispatchers.IO) {
            server.kill()
            server.start()
        }
    }

    /** Publishes before, during and after a fault; everything must arrive once and in order. */
    private fun survives(during: suspend (Deferred<Unit>) -> Unit) = scenario {
        val name = channel()
        val alice = client("alice", proxy.url) { connectTimeout = 2.seconds }
        val bob = client("bob", proxy.url) { connectTimeout = 2.seconds }
        val messages = reading(bob.channel(name, qos = Qos.ExactlyOnce), 30)
        val writer = alice.channel(name, qos = Qos.ExactlyOnce)
        writer.store(0..9)
        val middle = async { writer.store(10..19) }
        during(middle)
        middle.await()
        writer.store(20..29)
        assertEquals(List(30) { it }, messages.await().map { it.number })
    }

    @Test
    fun `keeps what was published offline over a killed process`() = scenario {
        proxy.refuse()
        val name = channel()
        val ids = inAnotherProcess(proxy.url, user("alice"), store("outbox").path, name, count = 5)
        proxy.heal()
        val alice = client("alice", proxy.url, store = "outbox")
        assertEquals(ids, alice.restored.map { it.id })
        assertTrue(alice.restored.all { it.channel == name })
        alice.connect()
        alice.restored.forEach { it.stored() }
        val messages = alice.channel(name).history().messages
        assertEquals(ids, messages.map { it.id })
        assertEquals(List(5) { it }, messages.map { it.number })
        alice.outbox.first { it == Outbox(0, 0) }
    }

    @Test
    fun `wipes its store on a logout`() = scenario {
        proxy.refuse()
        val alice = client("alice", proxy.url, store = "wiped")
        alice.channel(channel()).publish("secret").queued()
        alice.close(wipe = true)
        proxy.heal()
        val bob = client("bob", store = "wiped")
        bob.connect()
        assertEquals(0, bob.restored.size)
    }

    @Test
    fun `one client at a time uses a store`() = scenario {
        client("alice", store = "shared").connect()
        assertEquals("client.store_locked", codeOf { client("alice", store = "shared") })
    }

    /** Lets another JVM publish, and kills it once it has said that all is kept; returns the messages' ids. */
    private suspend fun inAnotherProcess(url: String, user: String, store: String, channel: String, count: Int): List<String> = withContext(Dispatchers.IO) {
        val java = ProcessHandle.current().info().command().get()
        val classes = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        val command = listOf(java, "-cp", classes, "dev.moorline.scenarios.PublishAndWaitKt", url, user, store, channel, "$count")
        val child = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        try {
            val lines = child.inputStream.bufferedReader()
            val ids = List(count) { lines.readLine() }
            assertEquals("kept", lines.readLine())
            ids
        } finally {
            // SIGKILL: no hook, no finalizer, nothing flushed.
            child.destroyForcibly()
            assertTrue(child.waitFor(10, TimeUnit.SECONDS))
            assertEquals(128 + 9, child.exitValue())
        }
    }
}
