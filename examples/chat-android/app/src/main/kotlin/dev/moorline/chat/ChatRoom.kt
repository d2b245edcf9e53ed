package dev.moorline.chat

import dev.moorline.ChannelEvent
import dev.moorline.ConnectionState
import dev.moorline.Message
import dev.moorline.Moorline
import dev.moorline.MoorlineException
import dev.moorline.Payload
import dev.moorline.Presence
import dev.moorline.Qos
import dev.moorline.Since
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

/** A line of the chat. */
data class Line(val id: String, val user: String, val text: String, val isPending: Boolean = false)

/** What the screen shows. */
data class Chat(
    val lines: List<Line> = emptyList(),
    val people: List<String> = emptyList(),
    val connection: ConnectionState = ConnectionState.Idle,
    val problem: String? = null,
)

/** The state behind the screen, and what it can do: a view model without anything of Android in it. */
class ChatRoom(private val client: Moorline, name: String, private val user: String, private val scope: CoroutineScope) {
    private val room = client.channel(name, qos = Qos.ExactlyOnce, presence = Presence.Join, since = Since.Last(50))
    private val chat = MutableStateFlow(Chat())

    val state: StateFlow<Chat> = chat.asStateFlow()

    init {
        follow(client.state) { copy(connection = it) }
        follow(room.events) { event ->
            when (event) {
                is ChannelEvent.Received -> with(event.message.toLine())
                is ChannelEvent.Reset -> copy(lines = lines.filter { it.isPending })
                else -> this
            }
        }
        follow(room.members.lists) { list -> copy(people = list.members.orEmpty().map { it.user }) }
        client.restored.filter { it.channel == name }.forEach { receipt -> scope.launch { settle(receipt.id) { receipt.stored() } } }
    }

    /** Sends a text: it is shown at once, and goes out when there is a network. */
    fun send(text: String) {
        if (text.isBlank()) return
        try {
            val receipt = room.publish(Payload.Text(text))
            chat.update { it.with(Line(receipt.id, user, text, isPending = true)) }
            scope.launch { settle(receipt.id) { receipt.stored() } }
        } catch (error: MoorlineException) {
            chat.update { it.copy(problem = error.message) }
        }
    }

    private suspend fun settle(id: String, stored: suspend () -> Unit) {
        try {
            stored()
            chat.update { chat -> chat.copy(lines = chat.lines.map { if (it.id == id) it.copy(isPending = false) else it }) }
        } catch (error: MoorlineException) {
            chat.update { chat -> chat.copy(lines = chat.lines.filterNot { it.id == id }, problem = error.message) }
        }
    }

    private fun <T> follow(flow: Flow<T>, change: Chat.(T) -> Chat) = scope.launch {
        try {
            flow.collect { item -> chat.update { it.change(item) } }
        } catch (error: MoorlineException) {
            chat.update { it.copy(problem = error.message) }
        }
    }

    /** A message that this device sent comes back as one of the channel: it takes the place of the line that waited. */
    private fun Chat.with(line: Line): Chat {
        val place = lines.indexOfFirst { it.id == line.id }
        return copy(lines = if (place < 0) lines + line else lines.toMutableList().also { if (it[place].isPending) it[place] = line })
    }

    private fun Message.toLine() = Line(id, user ?: "somebody", text.orEmpty())
}
