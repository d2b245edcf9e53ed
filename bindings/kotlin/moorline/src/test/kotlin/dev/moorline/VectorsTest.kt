package dev.moorline

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
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

    @TestFactory
    fun `pages of history`(): List<DynamicTest> = vectors("page").filter { it.json.number("req") == 5L }.map { vector ->
        test(vector, { say(vector("welcome", "of a user").binary); hear(HISTORY); say(vector.binary) }) { client ->
            client.connect()
            // The golden page answers the fifth request.
            repeat(4) { launch(start = CoroutineStart.UNDISPATCHED) { client.status(listOf("x")) } }
            val page = client.channel("room:42").history()
            assertEquals(listOf("first", "head").map { vector.json.number(it) }, listOf(page.first, page.head))
            assertEquals(vector.json.flag("more") to vector.json.text("epoch"), page.hasMore to page.epoch)
            same(vector.json.messages(), page.messages, isReplayed = true)
        }
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
        const val HISTORY = 9
    }
}
