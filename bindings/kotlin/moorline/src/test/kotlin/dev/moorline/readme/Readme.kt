package dev.moorline.readme

import dev.moorline.FileStore
import dev.moorline.Moorline
import dev.moorline.MoorlineException
import dev.moorline.Payload
import dev.moorline.Presence
import dev.moorline.Qos
import dev.moorline.Since
import dev.moorline.testing.FaultProxy
import dev.moorline.testing.TestServer
import dev.moorline.withMoorline
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.serialization.Serializable

suspend fun main() = withMoorline("ws://127.0.0.1:8000/ws", { token("dev:alice") }) { client ->
    val room = client.channel("room:42", since = Since.First)
    val stored = room.publish("hello").stored()
    println("stored at ${stored.offset}")
    val message = room.messages.first()
    println("${message.user}: ${message.text}")
}

/** The same with a server of the test's. */
suspend fun first(url: String): Pair<String?, String?> = withMoorline(url, { token("dev:alice") }) { client ->
    val room = client.channel("room:42", since = Since.First)
    room.publish("hello").stored()
    val message = room.messages.first()
    message.user to message.text
}

@Serializable
data class Line(val text: String)

interface Api {
    suspend fun token(): String
    fun show(what: Any)
    fun signIn()
    fun waitAndRetry()
}

fun CoroutineScope.chat(url: String, api: Api, file: File): Moorline {
    // Cancelling the scope closes the client.
    val client = Moorline(url, this) {
        token { api.token() }
        store = FileStore(file)
    }
    val room = client.channel("room:42", durable = true, qos = Qos.ExactlyOnce, presence = Presence.Join)
    launch { client.state.collect { api.show(it) } }
    launch { room.messages.collect { api.show(it.decode<Line>()) } }
    launch { room.members.lists.collect { api.show(it) } }
    launch {
        try {
            room.publish(Payload.json(Line("hi"))).stored()
        } catch (error: MoorlineException) {
            when (error) {
                is MoorlineException.Auth -> api.signIn()
                is MoorlineException.Limit -> api.waitAndRetry()
                else -> api.show(error)
            }
        }
    }
    return client
}

suspend fun tested() {
    TestServer.start().use { server ->
        FaultProxy(server.port).use { network ->
            withMoorline(network.url, { token("dev:alice") }) { client ->
                val receipt = client.channel("room:42").publish("hello")
                network.cut()
                check(receipt.stored().offset == 1L)
            }
        }
    }
}
