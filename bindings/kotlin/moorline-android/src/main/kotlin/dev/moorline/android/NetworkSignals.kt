package dev.moorline.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import dev.moorline.HostSignal
import dev.moorline.HostSignals

/**
 * Tells the client which network the device uses: [HostSignal.Network] for each new one, [HostSignal.Offline] when there is none.
 *
 * It follows the default network, so what an app sees is what its sockets use: through a VPN, it is the VPN's. A network is named
 * by its transports, its domain, its DNS servers and its gateways, hashed: that needs no permission but `ACCESS_NETWORK_STATE`,
 * and stays the same when the device comes back to it. Told on a thread of the system.
 */
public class NetworkSignals(private val context: Context) : HostSignals {
    /** Begins to follow; see [HostSignals.follow]. */
    override fun follow(tell: (HostSignal) -> Unit): AutoCloseable {
        val connectivity = context.getSystemService(ConnectivityManager::class.java)
        val callback = Callback(tell)
        connectivity.registerDefaultNetworkCallback(callback)
        if (connectivity.activeNetwork == null) tell(HostSignal.Offline)
        return AutoCloseable { connectivity.unregisterNetworkCallback(callback) }
    }

    /** Remembers the last thing told, and tells only what is new: the system calls for every change of signal strength. */
    private class Callback(private val tell: (HostSignal) -> Unit) : ConnectivityManager.NetworkCallback() {
        private var network: Network? = null
        private var transports: List<Int> = emptyList()
        private var last: HostSignal? = null

        override fun onAvailable(network: Network) = synchronized(this) {
            this.network = network
            transports = emptyList()
            // What it is follows at once, by the two calls below.
        }

        override fun onCapabilitiesChanged(network: Network, capabilities: NetworkCapabilities) = synchronized(this) {
            if (network == this.network) transports = TRANSPORTS.filter(capabilities::hasTransport)
        }

        override fun onLinkPropertiesChanged(network: Network, properties: LinkProperties) = synchronized(this) {
            if (network == this.network) changed(HostSignal.Network(name(transports, properties)))
        }

        override fun onLost(network: Network) = synchronized(this) {
            if (network == this.network) {
                this.network = null
                changed(HostSignal.Offline)
            }
        }

        private fun changed(signal: HostSignal) {
            if (signal != last) {
                last = signal
                tell(signal)
            }
        }
    }

    private companion object {
        val TRANSPORTS = listOf(
            NetworkCapabilities.TRANSPORT_CELLULAR, NetworkCapabilities.TRANSPORT_WIFI, NetworkCapabilities.TRANSPORT_BLUETOOTH,
            NetworkCapabilities.TRANSPORT_ETHERNET, NetworkCapabilities.TRANSPORT_VPN,
        )

        /** Names a network by what does not change while the device moves within it. FNV-1a, 64 bits. */
        fun name(transports: List<Int>, properties: LinkProperties): Long {
            val gateways = properties.routes.filter { it.isDefaultRoute }.mapNotNull { it.gateway?.hostAddress }.sorted()
            val servers = properties.dnsServers.mapNotNull { it.hostAddress }.sorted()
            val text = listOf(transports, properties.domains, servers, gateways).joinToString("|")
            return text.encodeToByteArray().fold(-0x340d631b7bdddcdbL) { hash, byte -> (hash xor byte.toLong()) * 0x100000001b3L } and Long.MAX_VALUE
        }
    }
}
