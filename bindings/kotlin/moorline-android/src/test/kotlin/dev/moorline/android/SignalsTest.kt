package dev.moorline.android

import android.app.Activity
import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Looper
import android.os.PowerManager
import dev.moorline.HostSignal
import java.net.InetAddress
import java.time.Duration
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class SignalsTest {
    private val context: Application get() = RuntimeEnvironment.getApplication()
    private val connectivity get() = context.getSystemService(ConnectivityManager::class.java)
    private val power get() = context.getSystemService(PowerManager::class.java)
    private val told = mutableListOf<HostSignal>()

    @Test
    fun `a network is named the same when it comes back, and another one differs`() {
        val following = NetworkSignals(context).follow { told += it }
        val callback = shadowOf(connectivity).networkCallbacks.single()
        val wifi = ShadowNetwork.newInstance(1)
        val mobile = ShadowNetwork.newInstance(2)
        callback.comes(wifi, NetworkCapabilities.TRANSPORT_WIFI, "192.168.1.1")
        callback.comes(mobile, NetworkCapabilities.TRANSPORT_CELLULAR, "10.0.0.1")
        // The old network goes after the new one is there: it is not the one in use.
        callback.onLost(wifi)
        callback.onLost(mobile)
        callback.comes(wifi, NetworkCapabilities.TRANSPORT_WIFI, "192.168.1.1")
        val (home, away, none, again) = told
        assertEquals(HostSignal.Offline, none)
        assertEquals(home, again)
        assertNotEquals(home, away)
        assertTrue(told.all { it == HostSignal.Offline || it is HostSignal.Network && it.id >= 0 })
        following.close()
        assertEquals(emptySet<ConnectivityManager.NetworkCallback>(), shadowOf(connectivity).networkCallbacks)
    }

    @Test
    fun `what changes nothing is not told`() {
        NetworkSignals(context).follow { told += it }
        val callback = shadowOf(connectivity).networkCallbacks.single()
        val wifi = ShadowNetwork.newInstance(1)
        repeat(3) { callback.comes(wifi, NetworkCapabilities.TRANSPORT_WIFI, "192.168.1.1") }
        assertEquals(1, told.size)
    }

    @Test
    fun `a start without a network is told`() {
        shadowOf(connectivity).setDefaultNetworkActive(false)
        shadowOf(connectivity).setActiveNetworkInfo(null)
        NetworkSignals(context).follow { told += it }
        assertEquals(listOf(HostSignal.Offline), told)
    }

    @Test
    fun `the app is in front from the first start to the last stop, and a step between activities is neither`() {
        val following = ProcessLifecycle(context).follow { told += it }
        val first = Robolectric.buildActivity(Activity::class.java).setup()
        assertEquals(listOf(HostSignal.Foreground), told)
        first.pause().stop()
        val second = Robolectric.buildActivity(Activity::class.java).setup()
        passes(800)
        assertEquals(listOf(HostSignal.Foreground), told)
        second.pause().stop()
        passes(600)
        assertEquals(listOf(HostSignal.Foreground), told)
        passes(200)
        assertEquals(listOf(HostSignal.Foreground, HostSignal.Background), told)
        second.restart().start()
        assertEquals(HostSignal.Foreground, told.last())
        second.stop()
        following.close()
        passes(1000)
        assertEquals(3, told.size)
    }

    @Test
    fun `the end of Doze is told, its begin is not`() {
        val following = DozeSignals(context).follow { told += it }
        // Each tells the whole device, as Android does.
        shadowOf(power).setIsDeviceIdleMode(true)
        passes(0)
        assertEquals(emptyList<HostSignal>(), told)
        shadowOf(power).setIsDeviceIdleMode(false)
        passes(0)
        broadcast(Intent.ACTION_USER_PRESENT)
        assertEquals(listOf(HostSignal.Wake, HostSignal.Wake), told)
        following.close()
        broadcast(Intent.ACTION_USER_PRESENT)
        assertEquals(2, told.size)
    }

    @Test
    fun `all together stop together`() {
        val before = context.receivers()
        val following = AndroidSignals(context).follow { told += it }
        assertEquals(before + 1, context.receivers())
        following.close()
        assertEquals(before, context.receivers())
        assertEquals(emptySet<ConnectivityManager.NetworkCallback>(), shadowOf(connectivity).networkCallbacks)
    }

    @Test
    fun `a store is in the folder that is not backed up`() {
        assertEquals("${context.noBackupFilesDir}/alice.moor", FileStore(context, "alice").path)
        assertThrows(IllegalArgumentException::class.java) { FileStore(context, "../alice") }
    }

    private fun ConnectivityManager.NetworkCallback.comes(network: Network, transport: Int, server: String) {
        val capabilities = ShadowNetworkCapabilities.newInstance().also { shadowOf(it).addTransportType(transport) }
        val properties = LinkProperties().apply { addDnsServer(InetAddress.getByName(server)) }
        onAvailable(network)
        onCapabilitiesChanged(network, capabilities)
        onLinkPropertiesChanged(network, properties)
    }

    private fun Context.receivers() = shadowOf(applicationContext as Application).registeredReceivers.size

    private fun passes(ms: Long) = shadowOf(Looper.getMainLooper()).idleFor(Duration.ofMillis(ms))

    private fun broadcast(action: String) {
        context.sendBroadcast(Intent(action))
        passes(0)
    }
}
