package dev.moorline.chat

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.foundation.lazy.rememberLazyListState
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.collectAsState
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.draw.alpha
import androidx.compose.ui.unit.dp
import dev.moorline.ConnectionState

/** The whole screen: who is there, what was said, and a field to say something. */
@Composable
fun ChatScreen(room: ChatRoom, modifier: Modifier = Modifier) {
    val chat by room.state.collectAsState()
    Column(modifier.fillMaxSize().padding(16.dp), Arrangement.spacedBy(8.dp)) {
        Text(chat.connection.words(), style = MaterialTheme.typography.labelMedium)
        Text(chat.people.joinToString(prefix = "Here: "), style = MaterialTheme.typography.labelMedium)
        chat.problem?.let { Text(it, color = MaterialTheme.colorScheme.error) }
        Lines(chat.lines, Modifier.weight(1f))
        Composer(room::send)
    }
}

@Composable
private fun Lines(lines: List<Line>, modifier: Modifier) {
    val list = rememberLazyListState()
    LaunchedEffect(lines.size) { if (lines.isNotEmpty()) list.animateScrollToItem(lines.lastIndex) }
    LazyColumn(modifier.fillMaxWidth(), list, verticalArrangement = Arrangement.spacedBy(4.dp)) {
        items(lines, key = { it.id }) { line ->
            Text("${line.user}: ${line.text}", Modifier.alpha(if (line.isPending) 0.5f else 1f))
        }
    }
}

@Composable
private fun Composer(send: (String) -> Unit) {
    var text by remember { mutableStateOf("") }
    Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
        OutlinedTextField(text, { text = it }, Modifier.weight(1f), singleLine = true)
        Button({ send(text); text = "" }) { Text("Send") }
    }
}

private fun ConnectionState.words() = when (this) {
    ConnectionState.Idle -> "not connected"
    is ConnectionState.Connecting -> "connecting …"
    is ConnectionState.Online -> "online as ${user ?: "nobody"}"
    is ConnectionState.Recovering -> "connection lost ($reason): what you send waits"
    is ConnectionState.Closed -> cause?.message ?: "closed"
}
