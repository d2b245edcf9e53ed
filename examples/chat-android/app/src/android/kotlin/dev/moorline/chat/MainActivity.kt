package dev.moorline.chat

import android.app.Application
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.viewModels
import androidx.compose.material3.MaterialTheme
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.moorline.Moorline
import dev.moorline.android.android

class MainActivity : ComponentActivity() {
    private val model: ChatModel by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent { MaterialTheme { ChatScreen(model.room) } }
    }
}

/** Outlives rotations; the client is closed with it. */
class ChatModel(application: Application) : AndroidViewModel(application) {
    private val client = Moorline(SERVER, viewModelScope) {
        android(application, USER)
        token("dev:$USER")
    }
    val room = ChatRoom(client, "room:lobby", USER, viewModelScope)

    private companion object {
        /** The computer, as the emulator sees it: `moorline-server --dev` runs there. */
        const val SERVER = "ws://10.0.2.2:8000/ws"
        val USER = "android-${android.os.Build.MODEL.filter { it.isLetterOrDigit() }}"
    }
}
