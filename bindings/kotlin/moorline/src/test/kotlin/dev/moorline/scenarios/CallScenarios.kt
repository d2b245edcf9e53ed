package dev.moorline.scenarios

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import dev.moorline.Moorline
import dev.moorline.MoorlineException
import dev.moorline.Origin
import dev.moorline.Payload
import dev.moorline.testing.FaultProxy
import dev.moorline.testing.TestServer
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.put
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Calls, through a real server, of a real HTTP backend: which answers, refuses, fails, is full, hangs. */
class CallScenarios {
    @Test
    fun `the backend answers a call with what it was asked with`() = withBackend { client ->
        val payloads = listOf(
            Payload.json(buildJsonObject { put("a", "ü"); put("n", JsonNull) }), Payload.JsonText("null"), Payload.json(0),
            Payload.Text("naïve 🦀"), Payload.Text(""), Payload.Bytes(byteArrayOf(0, -1)),
        )
        assertEquals(payloads, payloads.map { async { client.call("echo", it) } }.awaitAll())
        assertEquals(Payload.json("alice order-1"), client.call("who", id = "order-1"))
        assertEquals(Payload.JsonText("null"), client.call("echo"))
    }

    @Test
    fun `what goes wrong with a call has a code`() = withBackend { client ->
        val refused = failure(client, "refuse")
        assertEquals(listOf("call.refused.sold_out", Origin.Server, false), listOf(refused.code, refused.origin, refused.isRetryable))
        assertInstanceOf(MoorlineException.Rejected::class.java, refused)
        assertTrue(refused.message.orEmpty().startsWith("none left"), refused.message)
        assertEquals("call.failed" to false, failure(client, "fail").let { it.code to it.isRetryable })
        assertEquals("call.unavailable" to true, failure(client, "full").let { it.code to it.isRetryable })
        assertEquals("call.timeout", failure(client, "hang", 200.milliseconds).code)
        // The connection has stood all the while.
        assertEquals(Payload.Text("x"), client.call("echo", Payload.Text("x")))
    }

    @Test
    fun `who calls too often is told when to call again`() = withBackend("publish_rate = 1", "publish_burst = 1") { client ->
        client.connect()
        // They arrive together: of so many some come too early, however slow the machine is.
        val calls = List(20) { async { runCatching { client.call("echo") }.exceptionOrNull() } }.awaitAll()
        val early = calls.filterNotNull().map { assertInstanceOf(MoorlineException.Limit::class.java, it) }
        assertTrue(early.isNotEmpty())
        for (error in early) {
            assertEquals("limit.rate" to true, error.code to error.isRetryable)
            assertTrue(error.retryAfter.let { it != null && it > Duration.ZERO && it <= 1.seconds }, "${error.retryAfter}")
        }
        assertEquals(null, failure(client, "no method").retryAfter)
    }

    @Test
    fun `a call needs a grant for its method`() = withServer { server, _ ->
        val granted = server.token("alice", channels = "ech*")
        val client = Moorline(server.url) { token(granted) }
        try {
            assertEquals(Payload.Text("x"), client.call("echo", Payload.Text("x")))
            assertEquals("call.denied", failure(client, "who").code)
        } finally {
            client.close()
        }
    }

    @Test
    fun `a call whose connection ends is uncertain, and not made again`() = withServer { server, backend ->
        FaultProxy(server.port).use { proxy ->
            val client = Moorline(proxy.url) { token("dev:alice") }
            try {
                val uncertain = async { failure(client, "hang", 20.seconds) }
                withContext(Dispatchers.IO) { backend.arrived.await() }
                proxy.cut()
                assertEquals("call.uncertain", uncertain.await().code)
                assertEquals(Payload.Text("back"), client.call("echo", Payload.Text("back")))
                assertEquals(1, backend.hung.get())
            } finally {
                client.close()
            }
        }
    }

    private suspend fun failure(client: Moorline, method: String, timeout: Duration = 10.seconds): MoorlineException =
        assertInstanceOf(MoorlineException::class.java, runCatching { client.call(method, timeout = timeout) }.exceptionOrNull())

    /** Runs a scenario with a server whose app has a backend. */
    private fun withServer(vararg limits: String, act: suspend CoroutineScope.(TestServer, Backend) -> Unit): Unit = runBlocking {
        Backend().use { backend ->
            TestServer.start(*limits, calls = backend.url).use { server ->
                withTimeout(60.seconds) { coroutineScope { act(server, backend) } }
            }
        }
    }

    /** The same, with a client of it. */
    private fun withBackend(vararg limits: String, act: suspend CoroutineScope.(Moorline) -> Unit): Unit = withServer(*limits) { server, _ ->
        val client = Moorline(server.url) { token("dev:alice") }
        try {
            coroutineScope { act(client) }
        } finally {
            client.close()
        }
    }

    /** An HTTP server that behaves as the method says. */
    private class Backend : AutoCloseable {
        private val released = CountDownLatch(1)

        /** A call that hangs is there. */
        val arrived = CountDownLatch(1)
        val hung = AtomicInteger()
        private val threads = Executors.newCachedThreadPool()
        private val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 50).apply {
            executor = threads
            createContext("/calls") { exchange -> exchange.use { answer(it) } }
            start()
        }

        val url: String get() = "http://127.0.0.1:${server.address.port}/calls"

        private fun answer(exchange: HttpExchange) {
            val asked = Json.parseToJsonElement(exchange.requestBody.readAllBytes().decodeToString()).jsonObject
            when (asked.getValue("method").jsonPrimitive.content) {
                "who" -> exchange.say(200, buildJsonObject { put("data", "${asked.text("user")} ${asked.text("id")}") })
                "refuse" -> exchange.say(409, buildJsonObject { put("code", "sold_out"); put("message", "none left") })
                "fail" -> exchange.say(500, JsonObject(emptyMap()))
                "full" -> exchange.say(503, JsonObject(emptyMap()))
                "hang" -> {
                    hung.incrementAndGet()
                    arrived.countDown()
                    released.await()
                }
                else -> exchange.say(200, JsonObject(asked.filterKeys { it in setOf("data", "text", "bin") }))
            }
        }

        private fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

        private fun HttpExchange.say(status: Int, body: JsonObject) {
            val bytes = "$body".toByteArray()
            sendResponseHeaders(status, bytes.size.toLong())
            responseBody.write(bytes)
        }

        /** What hangs is let go. */
        override fun close() {
            released.countDown()
            server.stop(0)
            threads.shutdown()
        }
    }
}

private inline fun HttpExchange.use(act: (HttpExchange) -> Unit): Unit = try { act(this) } finally { close() }
