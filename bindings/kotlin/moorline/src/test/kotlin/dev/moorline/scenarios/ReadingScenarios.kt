package dev.moorline.scenarios

import dev.moorline.ChannelEvent
import dev.moorline.History
import dev.moorline.Message
import dev.moorline.Payload
import dev.moorline.Since
import kotlin.time.Instant
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ReadingScenarios : Lab() {
    @Test
    fun `begins where it is told`() = scenario {
        val name = channel()
        val writer = client("alice").channel(name)
        val (epoch) = writer.publish(Payload.json(1)).stored()
        for (i in 2..5) writer.publish(Payload.json(i)).stored()
        suspend fun begin(since: Since, count: Int) = client("bob").channel(name, since = since).messages.take(count).toList().map { it.number }
        assertEquals(listOf(1, 2, 3, 4, 5), begin(Since.First, 5))
        assertEquals(listOf(4, 5), begin(Since.Last(2), 2))
        assertEquals(listOf(4, 5), begin(Since.Position(epoch, 3), 2))
        assertEquals(listOf(1), begin(Since.Time(Instant.fromEpochMilliseconds(0)), 1))
        val live = reading(client("bob").channel(name, since = Since.Live), 1)
        writer.publish(Payload.json(6)).stored()
        assertEquals(listOf(6 to false), live.await().map { it.number to it.isReplayed })
    }

    @Test
    fun `goes on at the durable cursor after a reload`() = scenario {
        val name = channel()
        val writer = client("alice").channel(name)
        val first = client("bob", store = "cursor")
        val room = first.channel(name, durable = true)
        val acked = async { room.events.filterIsInstance<ChannelEvent.Acked>().first() }
        reading(client("carol").channel(name), 1).also { writer.publish("a").stored() }.await()
        acked.await()
        first.close()
        writer.publish("b").stored()
        val message = client("bob", store = "cursor").channel(name, durable = true).messages.first()
        assertEquals("b" to true, message.text to message.isReplayed)
    }

    @Test
    fun `says so when a position is of another log`() = scenario {
        val name = channel()
        client("alice").channel(name).store(1..3)
        val events = client("bob").channel(name, since = Since.Position("another.1", 2)).events.take(3).toList()
        val reset = events.filterIsInstance<ChannelEvent.Reset>().single()
        assertEquals(listOf("epoch", 3L, 0L), listOf(reset.reason, reset.head, reset.from))
        assertEquals(1, events.filterIsInstance<ChannelEvent.Received>().first().message.number)
    }

    @Test
    fun `a slow reader holds the server back, and loses nothing`() = scenario {
        val name = channel()
        val bob = client("bob", proxy.url) { compression = false; queueMessages = 8 }
        val room = bob.channel(name)
        val fill = "abc".repeat(8 * 1024 / 3)
        val taken = mutableListOf<Int>()
        val slow = Gate()
        val subscribed = Gate()
        val reader = async {
            room.events.take(301).collect { event ->
                if (event is ChannelEvent.Subscribed) subscribed.open()
                if (event is ChannelEvent.Received) {
                    slow.pass()
                    taken += event.message.decode<List<String>>().first().toInt()
                }
            }
        }
        subscribed.pass()
        val before = proxy.bytesSent
        val writer = client("alice").channel(name)
        suspend fun publish(numbers: IntRange) = numbers.map { writer.publish(Payload.json(listOf("$it", fill))) }.forEach { it.stored() }
        publish(0 until 40)
        // With the first answer the client has seen them, and asked for a pause; with the second the server knows of that.
        repeat(2) { bob.status(listOf("nobody")) }
        publish(40 until 300)
        bob.status(listOf("nobody"))
        assertTrue(proxy.bytesSent - before < 150 * 8 * 1024, "held back: ${proxy.bytesSent - before} bytes")
        slow.open()
        reader.await()
        assertEquals(List(300) { it }, taken)
    }

    @Test
    fun `what compresses crosses compressed`() = scenario {
        val name = channel()
        val texts = List(50) { i -> """{"user":"alice","text":"hello, number $i"},""".repeat(200) }
        val writer = client("alice").channel(name)
        texts.map { writer.publish(it) }.forEach { it.stored() }
        for (allowed in listOf(false, true)) {
            val before = proxy.bytesSent
            val room = client("bob", proxy.url) { compression = allowed }.channel(name, since = Since.First)
            assertEquals(texts, room.messages.take(50).toList().map(Message::text))
            assertEquals(allowed, proxy.bytesSent - before < 100 * 1024)
        }
    }

    @Test
    fun `asks for history in both directions`() = scenario {
        val room = client("alice").channel(channel())
        for (i in 1..5) room.publish(Payload.json(i)).stored()
        val newest = room.history(limit = 2)
        assertEquals(listOf(4, 5), newest.messages.map { it.number })
        assertEquals(listOf(true, 1L, 5L), listOf(newest.hasMore, newest.first, newest.head))
        suspend fun numbers(range: History, limit: Int = 100) = room.history(range, limit).messages.map { it.number }
        assertEquals(listOf(4, 5), numbers(History.After(3)))
        assertEquals(listOf(1, 2), numbers(History.Before(3)))
        assertEquals(listOf(1), numbers(History.Since(Instant.fromEpochMilliseconds(0)), 1))
        assertEquals(emptyList<Int>(), numbers(History.Until(Instant.fromEpochMilliseconds(0))))
    }
}
