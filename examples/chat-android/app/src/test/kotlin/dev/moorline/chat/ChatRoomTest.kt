package dev.moorline.chat

import dev.moorline.ConnectionState
import dev.moorline.Moorline
import dev.moorline.testing.FaultProxy
import dev.moorline.testing.TestServer
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ChatRoomTest {
    private fun chat(act: suspend CoroutineScope.(TestServer, FaultProxy) -> Unit) = TestServer.start().use { server ->
        FaultProxy(server.port).use { proxy ->
            runBlocking(Dispatchers.Default) {
                withTimeout(60.seconds) {
                    act(server, proxy)
                    coroutineContext.cancelChildren()
                }
            }
        }
    }

    private fun CoroutineScope.enter(user: String, url: String): ChatRoom {
        val client = Moorline(url, this) {
            token("dev:$user")
            minBackoff = 100.milliseconds
            maxBackoff = 200.milliseconds
        }
        return ChatRoom(client, "room:lobby", user, this)
    }

    @Test
    fun `two people see each other and what they say`() = chat { server, _ ->
        val alice = enter("alice", server.url)
        alice.state.first { it.people == listOf("alice") }
        val bob = enter("bob", server.url)
        for (room in listOf(alice, bob)) room.state.first { it.people == listOf("alice", "bob") }
        alice.send("hello")
        bob.state.first { chat -> chat.lines.map { it.user to it.text } == listOf("alice" to "hello") }
        val line = alice.state.first { chat -> chat.lines.none { it.isPending } && chat.lines.isNotEmpty() }.lines.single()
        assertEquals("hello", line.text)
        assertNull(alice.state.value.problem)
    }

    @Test
    fun `what is said without a network is shown at once, and arrives once`() = chat { server, proxy ->
        val alice = enter("alice", proxy.url)
        val bob = enter("bob", server.url)
        for (room in listOf(alice, bob)) room.state.first { it.people.size == 2 }
        proxy.refuse()
        alice.state.first { it.connection is ConnectionState.Recovering }
        alice.send("one")
        alice.send("  ")
        alice.send("two")
        assertEquals(listOf("one", "two"), alice.state.value.lines.map { it.text })
        assertTrue(alice.state.value.lines.all { it.isPending })
        proxy.heal()
        bob.state.first { chat -> chat.lines.map { it.text } == listOf("one", "two") }
        alice.state.first { chat -> chat.lines.size == 2 && chat.lines.none { it.isPending } }
    }
}
