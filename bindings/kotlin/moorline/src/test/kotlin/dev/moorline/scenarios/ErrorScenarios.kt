package dev.moorline.scenarios

import dev.moorline.ConnectionState
import dev.moorline.Moorline
import dev.moorline.MoorlineException
import dev.moorline.Origin
import dev.moorline.Payload
import dev.moorline.Since
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.fail

class ErrorScenarios : Lab() {
    @Test
    fun `mistakes are named on the spot`() = scenario {
        val client = client("alice")
        val room = client.channel(channel())
        assertEquals("channel.invalid", codeOf { client.channel("room:*") })
        assertEquals("request.malformed", codeOf { room.publish(Payload.json(Unserializable())) })
        assertEquals("request.malformed", codeOf { room.publish(Payload.JsonText("{")) })
        assertEquals("request.malformed", codeOf { room.publish("x", ttl = (-1).seconds) })
        assertEquals("request.malformed", codeOf { room.publish("x", ttl = (-1).milliseconds) })
        assertEquals("request.malformed", codeOf { client.channel(channel(), since = Since.Last(-1)) })
        assertEquals("limit.message", codeOf { room.publish("x".repeat(64 * 1024 + 1)) })
        assertEquals("request.malformed", codeOf { room.publish("x", id = "") })
        assertEquals("request.malformed", codeOf { Moorline("https://example.com") })
        assertEquals("request.malformed", codeOf { client("alice") { outboxMessages = 0 } })
        client.close()
        assertEquals("client.closed", codeOf { room.publish("x") })
    }

    @Test
    fun `a message of another channel is not acknowledged`() = scenario {
        val client = client("alice")
        val (one, other) = List(2) { client.channel(channel(), durable = true, since = Since.First, autoAck = false) }
        one.publish("x").stored()
        val message = one.messages.first()
        assertEquals("request.malformed", codeOf { other.ack(message) })
        one.ack(message)
    }

    @Test
    fun `a channel that is not granted is refused`() = scenario {
        val client = client("alice") { token { server.token(user("alice"), channels = "lobby:*") } }
        val room = client.channel(channel())
        val error = try { room.messages.first(); fail("it was read") } catch (error: MoorlineException.Rejected) { error }
        assertEquals(listOf("channel.denied", 411, Origin.Server, false), listOf(error.code, error.number, error.origin, error.isRetryable))
        assertEquals("channel.denied", codeOf { room.publish("x").stored() })
        assertEquals("channel.denied", codeOf { room.history() })
        client.reaches<ConnectionState.Online>()
    }

    @Test
    fun `a call that cannot be made is refused`() = scenario {
        val client = client("alice")
        assertEquals("request.unsupported", codeOf { client.call("cart.add", Payload.json(7)) })
        assertEquals("request.malformed", codeOf { client.call("no method") })
        assertEquals("request.malformed", codeOf { client.call("echo", timeout = 31.seconds) })
        assertEquals("request.malformed", codeOf { client.call("echo", id = "") })
        client.close()
        assertEquals("client.closed", codeOf { client.call("echo") })
    }

    /** Has no serializer. */
    class Unserializable
}
