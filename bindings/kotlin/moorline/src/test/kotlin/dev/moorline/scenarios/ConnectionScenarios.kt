package dev.moorline.scenarios

import dev.moorline.ChannelEvent
import dev.moorline.ConnectionState
import dev.moorline.HostSignal
import dev.moorline.HostSignals
import dev.moorline.LogLevel
import dev.moorline.MoorlineException
import dev.moorline.Moorline
import dev.moorline.TokenReason
import java.io.IOException
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel as Rendezvous
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.fail

class ConnectionScenarios : Lab() {
    @Test
    fun `connects, and says so`() = scenario {
        val client = client("alice")
        assertEquals(ConnectionState.Idle, client.state.value)
        client.connect()
        assertEquals(user("alice"), client.reaches<ConnectionState.Online>().user)
        client.close()
        assertEquals(ConnectionState.Closed(null), client.state.value)
    }

    @Test
    fun `takes the next address where the first is dead`() = scenario {
        proxy.refuse()
        val client = client("alice", proxy.url) { url(server.url) }
        client.connect()
        client.reaches<ConnectionState.Online>()
    }

    @Test
    fun `a refused token ends it`() = scenario {
        val client = client("alice") { token("forged") }
        val error = try { client.connect(); fail("it connected") } catch (error: MoorlineException.Auth) { error }
        assertEquals("auth.invalid", error.code)
        assertEquals("auth.invalid", client.reaches<ConnectionState.Closed>().cause?.code)
    }

    @Test
    fun `fetches a new token before the old one expires`() = scenario {
        val reasons = CopyOnWriteArrayList<TokenReason>()
        val twice = CompletableDeferred<Unit>()
        val client = client("alice") {
            token { reason ->
                reasons += reason
                if (reasons.size == 2) twice.complete(Unit)
                server.token(user("alice"), if (reasons.size == 1) 2.seconds else 1.hours)
            }
        }
        client.connect()
        client.reaches<ConnectionState.Online>()
        val left = async(start = CoroutineStart.UNDISPATCHED) { client.state.first { it !is ConnectionState.Online } }
        twice.await()
        client.channel(channel()).publish("hi").stored()
        assertEquals(listOf(TokenReason.Connect, TokenReason.Expiring), reasons)
        assertTrue(left.isActive, "it stayed online")
        left.cancel()
    }

    @Test
    fun `asks again for a token that could not be had`() = scenario {
        val calls = CopyOnWriteArrayList<TokenReason>()
        val client = client("alice") {
            token { reason ->
                calls += reason
                if (calls.size == 1) throw IOException("no route to the app's backend")
                server.token(user("alice"))
            }
        }
        client.connect()
        client.reaches<ConnectionState.Online>()
        assertEquals(2, calls.size)
    }

    @Test
    fun `follows what the host says of the network and the app`() = scenario {
        val told = CompletableDeferred<(HostSignal) -> Unit>()
        val client = client("alice", proxy.url) {
            signals = HostSignals { tell -> told.complete(tell); AutoCloseable {} }
        }
        client.connect()
        val tell = told.await()
        for (signal in listOf(HostSignal.Background, HostSignal.Foreground, HostSignal.Network(17), HostSignal.Wake, HostSignal.Offline)) tell(signal)
        proxy.cut()
        val recovering = client.reaches<ConnectionState.Recovering>()
        // Offline it does not try at once, though the pause between attempts is 500 ms at most.
        assertTrue((recovering.retryIn ?: 0.seconds) > 5.seconds, "$recovering")
        val receipt = client.channel(channel()).publish("later")
        receipt.queued()
        tell(HostSignal.Online)
        receipt.stored()
        client.reaches<ConnectionState.Online>()
    }

    @Test
    fun `disconnects and comes back`() = scenario {
        val client = client("alice")
        val room = client.channel(channel())
        val messages = reading(room, 1)
        client.disconnect()
        client.reaches<ConnectionState.Idle>()
        client.connect()
        room.publish("back").stored()
        assertEquals("back", messages.await().single().text)
    }

    @Test
    fun `gets what it missed when it comes back`() = scenario {
        val bob = client("bob")
        val room = bob.channel(channel())
        val told = Rendezvous<ChannelEvent>()
        val reader = launch { room.events.collect { told.send(it) } }
        assertInstanceOf(ChannelEvent.Subscribed::class.java, told.receive())
        bob.disconnect()
        bob.reaches<ConnectionState.Idle>()
        val writer = client("alice").channel(room.name)
        writer.publish("missed").stored()
        bob.connect()
        assertInstanceOf(ChannelEvent.Subscribed::class.java, told.receive())
        writer.publish("live").stored()
        for (text in listOf("missed", "live")) assertEquals(text, assertInstanceOf(ChannelEvent.Received::class.java, told.receive()).message.text)
        reader.cancelAndJoin()
    }

    @Test
    fun `the log tells of a life, and of no secret`() = scenario {
        val lines = ConcurrentLinkedQueue<Pair<LogLevel, String>>()
        val client = client("alice", "${proxy.url}?secret=yes") { log { level, line -> lines += level to line } }
        assertEquals(0, lines.size)
        client.connect()
        proxy.cut()
        val room = client.channel(channel())
        room.publish("a payload").stored()
        assertEquals("publish.expired", codeOf { room.publish("late", ttl = 0.seconds).stored() })
        client.close()
        // The last line came before that.
        val all = lines.toList()
        val first = listOf(LogLevel.Info to "connecting (requested)", LogLevel.Debug to "opens ${proxy.url}", LogLevel.Info to "online (welcome)")
        assertEquals(first, all.take(3))
        assertEquals(setOf(LogLevel.Warn), all.filter { it.second.startsWith("recovering (transport-") }.map { it.first }.toSet())
        assertEquals(listOf(LogLevel.Warn), all.filter { it.second.startsWith("${room.name}: a message is not stored") }.map { it.first })
        assertEquals(LogLevel.Info to "closed (requested)", all.last())
        assertEquals(emptyList<String>(), all.map { it.second }.filter { "secret" in it || "dev:" in it || "payload" in it })
    }

    @Test
    fun `the log has its end, too, where the scope is cancelled`() = scenario {
        val lines = ConcurrentLinkedQueue<String>()
        val online = Gate()
        val life = launch {
            val client = Moorline(server.url, this) {
                token("dev:${user("alice")}")
                log { _, line -> lines += line }
            }
            client.connect()
            online.open()
        }
        online.pass()
        life.cancelAndJoin()
        assertEquals("closed (requested)", lines.last())
    }

    @Test
    fun `a log that fails is the scope's to handle, and the client goes on`() = scenario {
        val failed = CompletableDeferred<Throwable>()
        val scope = CoroutineScope(SupervisorJob() + CoroutineExceptionHandler { _, error -> failed.complete(error) })
        val client = Moorline(server.url, scope) {
            token("dev:${user("alice")}")
            log { _, _ -> error("no room") }
        }
        client.connect()
        assertEquals("no room", failed.await().message)
        client.channel(channel()).publish("x").stored()
        client.close()
    }

    @Test
    fun `gives up a connection that is mute`() = scenario {
        val alice = client("alice", proxy.url) { connectTimeout = 2.seconds }
        alice.connect()
        proxy.blackHole()
        // The device says that something changed: the client asks the server for a sign instead of waiting for silence.
        alice.lifecycle(HostSignal.Wake)
        assertEquals("silent", alice.reaches<ConnectionState.Recovering>().reason)
        val receipt = alice.channel(channel()).publish("kept")
        receipt.queued()
        proxy.heal()
        receipt.stored()
    }

    @Test
    fun `says why it is not connected`() = scenario {
        proxy.refuse()
        val client = client("alice", proxy.url)
        launch { client.connect() }
        val state = client.state.first { it is ConnectionState.Connecting && it.attempt > 1 }
        assertInstanceOf(MoorlineException.Transport::class.java, assertInstanceOf(ConnectionState.Connecting::class.java, state).cause)
        proxy.heal()
        client.reaches<ConnectionState.Online>()
    }

    @Test
    fun `cancelling the scope closes the client`() = scenario {
        val made = CompletableDeferred<Moorline>()
        val life = launch {
            val client = Moorline(server.url, this) { token("dev:${user("alice")}") }
            client.connect()
            made.complete(client)
        }
        val client = made.await()
        assertTrue(life.isActive, "the scope waits for its client")
        life.cancelAndJoin()
        assertEquals(ConnectionState.Closed(null), client.state.value)
        assertEquals("client.closed", codeOf { client.channel(channel()) })
    }

    @Test
    fun `the state tells every step of a life`() = scenario {
        val client = client("alice")
        val states = async(start = CoroutineStart.UNDISPATCHED) {
            client.state.transformWhile { emit(it); it !is ConnectionState.Closed }.toList()
        }
        client.connect()
        client.reaches<ConnectionState.Online>()
        client.close()
        val seen = states.await()
        assertEquals(ConnectionState.Idle, seen.first())
        assertEquals(ConnectionState.Closed(null), seen.last())
    }
}
