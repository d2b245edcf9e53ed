package dev.moorline.android

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.PowerManager
import dev.moorline.HostSignal
import dev.moorline.HostSignals

/**
 * Tells the client when the device comes out of Doze, and when its user unlocks it: [HostSignal.Wake].
 *
 * In Doze the system takes the network away from the app and holds its timers. The client notices by itself that they stood
 * still; told, it probes at once. In Doze nothing can be received: what matters then has to come as a push notification, which
 * the server's webhook asks the app's backend for.
 *
 * Told on the main thread.
 */
public class DozeSignals(private val context: Context) : HostSignals {
    /** Begins to follow; see [HostSignals.follow]. */
    override fun follow(tell: (HostSignal) -> Unit): AutoCloseable {
        val power = context.getSystemService(PowerManager::class.java)
        val receiver = object : BroadcastReceiver() {
            override fun onReceive(context: Context, intent: Intent) {
                val isDozing = when (intent.action) {
                    PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED -> power.isDeviceIdleMode
                    else -> false
                }
                if (!isDozing) tell(HostSignal.Wake)
            }
        }
        // Both are protected broadcasts: only the system can send them.
        val filter = IntentFilter(PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED).apply { addAction(Intent.ACTION_USER_PRESENT) }
        context.registerReceiver(receiver, filter)
        return AutoCloseable { context.unregisterReceiver(receiver) }
    }
}
