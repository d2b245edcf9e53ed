package dev.moorline

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.TestFactory

/** The golden frames of `tests/vectors`: a peer says their bytes to a client, which must hand out what their JSON form says. */
class VectorsTest {
    private class Vector(val name: String, val json: JsonObject, val binary: String)

    private fun vectors(frame: String): List<Vector> =
        Json.parseToJsonElement(File("${System.getProperty("moorline.root")}/tests/vectors/server/$frame.json").readText()).jsonObject
            .getValue("vectors").jsonArray.map { it.jsonObject }
            .map { Vector(it.text("name").orEmpty(), it.getValue("json").jsonObject, it.text("binary").orEmpty()) }

    private fun vector(frame: String, name: String) = vectors(frame).single { it.name == name }

    /** A peer that answers one request with each vector of a frame. */
    private fun answers(frame: String, type: Int, act: suspend CoroutineScope.(JsonObject, Moorline) -> Unit): List<DynamicTest> =
        vectors(frame).filter { it.json.containsKey("req") }.map { vector ->
            test(vector, { say(vector("welcome", "of a user").binary); answer(type, vector.binary) }) { act(vector.json, it) }
        }

    @TestFactory
    fun `pages of history`() = answers("page", Peer.HISTORY) { json, client ->
        val page = client.channel("room:42").history()
        assertEquals(listOf("first", "head").map { json.number(it) }, listOf(page.first, page.head))
        assertEquals(json.flag("more") to json.text("epoch"), page.hasMore to page.epoch)
        same(json.messages(), page.messages, isReplayed = true)
    }

    @TestFactory
    fun `pages of members`() = answers("members", Peer.PRESENCE) { json, client ->
        val page = client.channel("room:42").members.page()
        assertEquals(json.number("count") to json.text("cursor"), page.count to page.cursor)
        val expected = (json.getValue("members") as JsonArray).map { it.jsonObject }
            .map { Triple(it.text("user"), it["state"], Instant.fromEpochMilliseconds(it.number("since"))) }
        assertEquals(expected, page.members.map { Triple(it.user, it.state?.let { state -> Json.parseToJsonElement(state.json) }, it.since) })
    }

    @TestFactory
    fun `who is online`() = answers("statuses", Peer.STATUS) { json, client ->
        val expected = json.getValue("users").jsonObject.mapValues { (_, user) ->
            user.jsonObject.flag("online") to user.jsonObject["since"]?.jsonPrimitive?.long?.let(Instant::fromEpochMilliseconds)
        }
        val found = client.status(expected.keys.ifEmpty { setOf("nobody") })
        assertEquals(expected, found.mapValues { it.value.isOnline to it.value.since })
    }

    @TestFactory
    fun `what is stored`() = answers("published", Peer.PUBLISH) { json, client ->
        val stored = client.channel("room:42").publish("hi").stored()
        assertEquals(Stored(json.text("epoch").orEmpty(), json["offset"]?.jsonPrimitive?.long, json.flag("duplicate")), stored)
    }

    @TestFactory
    fun deliveries(): List<DynamicTest> {
        val cases = listOf("live" to "live", "live" to "live, several", "live" to "live, by name", "replay" to "a replay page", "replay" to "the last replay page", "replay" to "after expired messages")
        return cases.map { (subscribed, name) ->
            val vector = vector("deliver", name)
            test(vector, { say(vector("welcome", "of a user").binary + vector("subscribed", subscribed).binary + vector.binary) }) { client ->
                val expected = vector.json.messages()
                val messages = client.channel("room:42").messages.take(expected.size).toList()
                same(expected, messages, isReplayed = vector.json.flag("replay"))
            }
        }
    }

    @TestFactory
    fun resets(): List<DynamicTest> = listOf("reset: trimmed, replay follows", "reset: epoch, live").map { name ->
        val vector = vector("subscribed", name)
        test(vector, { say(vector("welcome", "of a user").binary + vector.binary) }) { client ->
            val reset = client.channel("room:42").events.filterIsInstance<ChannelEvent.Reset>().first()
            val json = vector.json
            assertEquals(ChannelEvent.Reset(json.text("reason").orEmpty(), json.text("epoch").orEmpty(), json.number("first"), json.number("head"), json.number("from")), reset)
        }
    }

    private fun test(vector: Vector, script: Peer.() -> Unit, act: suspend CoroutineScope.(Moorline) -> Unit) = DynamicTest.dynamicTest(vector.name) {
        Peer { hear(HELLO); script() }.use { peer ->
            runBlocking {
                withTimeout(20.seconds) {
                    withMoorline(peer.url) { client ->
                        act(client)
                        coroutineContext.cancelChildren()
                    }
                }
            }
        }
    }

    private fun same(expected: List<JsonObject>, messages: List<Message>, isReplayed: Boolean) {
        assertEquals(expected.size, messages.size)
        expected.zip(messages).forEach { (json, message) ->
            assertEquals(json.text("id"), message.id)
            assertEquals(json["offset"]?.jsonPrimitive?.long, message.offset)
            assertEquals(json.text("user"), message.user)
            assertEquals(Instant.fromEpochMilliseconds(json.number("time")), message.time)
            assertEquals(isReplayed, message.isReplayed)
            assertEquals(json["headers"]?.jsonObject.orEmpty().mapValues { it.value.jsonPrimitive.content }, message.headers)
            when (val payload = message.payload) {
                is Payload.Text -> assertEquals(json.text("text"), payload.text)
                is Payload.JsonText -> assertEquals(json["data"], Json.parseToJsonElement(payload.json))
                is Payload.Bytes -> assertArrayEquals(java.util.Base64.getDecoder().decode(json.text("bin")), payload.bytes)
            }
        }
    }

    private fun JsonObject.text(name: String) = this[name]?.jsonPrimitive?.content
    private fun JsonObject.number(name: String) = getValue(name).jsonPrimitive.long
    private fun JsonObject.flag(name: String) = this[name]?.jsonPrimitive?.boolean ?: false
    private fun JsonObject.messages() = (getValue("messages") as JsonArray).map { it.jsonObject }

    private companion object {
        const val HELLO = 1
    }
}
