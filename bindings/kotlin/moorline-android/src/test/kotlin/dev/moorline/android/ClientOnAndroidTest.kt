package dev.moorline.android

import android.app.Activity
import android.net.ConnectivityManager
import dev.moorline.ConnectionState
import dev.moorline.Moorline
import dev.moorline.Since
import dev.moorline.testing.TestServer
import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowNetwork

/** The client with its real core inside Android's framework, against a real server. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class ClientOnAndroidTest {
    @Test
    fun `sends and receives, keeps its file, and follows what Android says until it is closed`() = TestServer.start().use { server ->
        val context = RuntimeEnvironment.getApplication()
        val connectivity = context.getSystemService(ConnectivityManager::class.java)
        val client = Moorline(server.url) {
            android(context, "alice")
            token("dev:alice")
        }
        assertEquals("nothing is followed before the first use", 0, shadowOf(connectivity).networkCallbacks.size)
        inTime {
            val room = client.channel("room:42", since = Since.First)
            room.publish("hi").stored()
            assertEquals("hi", room.messages.first().text)
        }
        assertTrue(File(context.noBackupFilesDir, "alice.moor").exists())
        Robolectric.buildActivity(Activity::class.java).setup().pause().stop()
        val callback = shadowOf(connectivity).networkCallbacks.single()
        callback.onLost(ShadowNetwork.newInstance(1))
        inTime { client.close() }
        assertEquals(ConnectionState.Closed(null), client.state.value)
        assertEquals(0, shadowOf(connectivity).networkCallbacks.size)
    }

    private fun inTime(act: suspend () -> Unit) = runBlocking(Dispatchers.Default) { withTimeout(60.seconds) { act() } }
}
