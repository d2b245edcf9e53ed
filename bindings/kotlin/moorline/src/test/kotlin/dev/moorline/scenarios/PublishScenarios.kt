package dev.moorline.scenarios

import dev.moorline.Outbox
import dev.moorline.Payload
import dev.moorline.Qos
import dev.moorline.ReceiptState
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.toList
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource
import org.junit.jupiter.api.Test

class PublishScenarios : Lab() {
    @ParameterizedTest(name = "publishes at {0}")
    @EnumSource(Qos::class)
    fun `publishes at`(qos: Qos) = scenario {
        val name = channel()
        val messages = reading(client("bob").channel(name, qos = qos), 1)
        val alice = client("alice")
        alice.connect()
        val receipt = alice.channel(name).publish(Payload.json(mapOf("text" to "hi")), qos, headers = mapOf("a" to "1"))
        val message = messages.await().single()
        assertEquals(receipt.id, message.id)
        assertEquals(user("alice"), message.user)
        assertEquals(mapOf("text" to "hi"), message.decode<Map<String, String>>())
        assertEquals(mapOf("a" to "1"), message.headers)
        assertFalse(message.isReplayed)
        if (qos == Qos.AtMostOnce) {
            assertEquals(null, message.offset)
            assertEquals("request.unsupported", codeOf { receipt.stored() })
            assertEquals(ReceiptState.Sent, receipt.state)
        } else {
            assertEquals(1L, message.offset)
            val stored = receipt.stored()
            assertEquals(1L to false, stored.offset to stored.isDuplicate)
            assertEquals(ReceiptState.Stored(stored), receipt.state)
        }
    }

    @Test
    fun `carries texts, bytes and values as they are`() = scenario {
        val name = channel()
        val payloads = listOf(
            Payload.Text("naïve 日本語 🦀 \u0000 end"), Payload.Bytes(byteArrayOf(0, -1, -128)), Payload.Bytes(ByteArray(0)),
            Payload.json(buildJsonObject { put("a", "ü"); put("n", JsonNull) }), Payload.json<String?>(null), Payload.Text(""),
        )
        val messages = reading(client("bob").channel(name), payloads.size)
        val from = client("alice").channel(name)
        for (payload in payloads) from.publish(payload)
        assertEquals(payloads, messages.await().map { it.payload })
    }

    @Test
    fun `a receipt says when it is kept, sent and stored`() = scenario {
        proxy.refuse()
        val receipt = client("alice", proxy.url).channel(channel()).publish("hi")
        assertEquals(ReceiptState.Queued, receipt.state)
        receipt.queued()
        assertEquals(ReceiptState.Queued, receipt.state)
        proxy.heal()
        assertEquals(ReceiptState.Stored(receipt.stored()), receipt.state)
    }

    @Test
    fun `a receipt tells how far its message has come`() = scenario {
        val alice = client("alice", proxy.url)
        val room = alice.channel(channel())
        alice.connect()
        proxy.blackHole()
        val receipt = room.publish("hi")
        val seen = mutableListOf<ReceiptState>()
        // The server cannot answer: however slow this is, it gets to see that the message was sent.
        receipt.states.collect { state ->
            seen += state
            if (state == ReceiptState.Sent) proxy.heal()
        }
        val stored = ReceiptState.Stored(receipt.stored())
        assertEquals(listOf(ReceiptState.Sent, stored), seen - ReceiptState.Queued)
        assertEquals(listOf(stored), receipt.states.toList())
        proxy.refuse()
        val unsettled = room.publish("later")
        val begun = Gate()
        val states = async { unsettled.states.onEach { begun.open() }.toList() }
        begun.pass()
        alice.close()
        assertEquals(emptyList<ReceiptState>(), states.await() - setOf(ReceiptState.Queued, ReceiptState.Sent))
    }

    @Test
    fun `the same id is stored once`() = scenario {
        val room = client("alice").channel(channel())
        val facts = List(2) { room.publish("one", id = "same").stored() }.map { it.offset to it.isDuplicate }
        assertEquals(listOf(1L to false, 1L to true), facts)
        assertEquals("publish.reused", codeOf { room.publish("another", id = "same").stored() })
    }

    @Test
    fun `a thousand keep their order`() = scenario {
        val name = channel()
        val messages = reading(client("bob").channel(name, qos = Qos.ExactlyOnce), 1000)
        val writer = client("alice").channel(name, qos = Qos.ExactlyOnce)
        repeat(1000) { writer.publish(Payload.json(it)) }
        assertEquals(List(1000) { it }, messages.await().map { it.number })
    }

    @Test
    fun `an outbox that is full says so`() = scenario {
        proxy.refuse()
        val alice = client("alice", proxy.url) { outboxMessages = 2 }
        val room = alice.channel(channel())
        val receipts = listOf(room.publish(Payload.json(1)), room.publish(Payload.json(2)))
        assertEquals("limit.outbox", codeOf { room.publish(Payload.json(3)) })
        receipts.forEach { it.queued() }
        assertEquals(Outbox(2, 2), alice.outbox.first { it.messages == 2 })
        proxy.heal()
        receipts.forEach { it.stored() }
        alice.outbox.first { it == Outbox(0, 0) }
    }

    @Test
    fun `a part of a second is not none`() = scenario {
        assertEquals(1L, client("alice").channel(channel()).publish("hi", ttl = 500.milliseconds).stored().offset)
    }

    @Test
    fun `a message that outlived its time is not sent`() = scenario {
        proxy.refuse()
        val receipt = client("alice", proxy.url).channel(channel()).publish("hi", ttl = kotlin.time.Duration.ZERO)
        val code = codeOf { receipt.stored() }
        assertEquals("publish.expired", code)
        assertEquals(code, assertInstanceOf(ReceiptState.Failed::class.java, receipt.state).cause.code)
        assertTrue(receipt.toString().contains(receipt.id))
    }
}
