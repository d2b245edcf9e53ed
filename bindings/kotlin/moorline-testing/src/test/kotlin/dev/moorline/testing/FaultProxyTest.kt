package dev.moorline.testing

import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.net.SocketTimeoutException
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.measureTime
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows

@Timeout(30, unit = TimeUnit.SECONDS)
class FaultProxyTest {
    private val echo = ServerSocket(0, 50, InetAddress.getLoopbackAddress()).also { server ->
        thread(isDaemon = true) {
            while (!server.isClosed) {
                val socket = try { server.accept() } catch (_: IOException) { break }
                thread(isDaemon = true) { runCatching { socket.getInputStream().copyTo(socket.getOutputStream()) } }
            }
        }
    }
    private val proxy = FaultProxy(echo.localPort)

    @AfterEach
    fun close() {
        proxy.close()
        echo.close()
    }

    @Test
    fun `passes on, and counts`() {
        connect().use { assertEquals("hello", it.says("hello")) }
        assertEquals(5, proxy.bytesSent)
    }

    @Test
    fun `cuts what is open, and lets in what is new`() {
        val socket = connect().apply { says("one") }
        proxy.cut()
        assertThrows<IOException> { socket.says("two") }
        connect().use { assertEquals("three", it.says("three")) }
    }

    @Test
    fun `refuses until it heals`() {
        proxy.refuse()
        assertThrows<IOException> { connect().says("one") }
        proxy.heal()
        assertEquals("two", connect().says("two"))
    }

    @Test
    fun `holds what it is sent, and lets go of it in order`() {
        val socket = connect().apply { says("one") }
        proxy.blackHole()
        socket.soTimeout = 100
        assertThrows<SocketTimeoutException> { socket.says("two") }
        socket.soTimeout = 0
        proxy.heal()
        assertArrayEquals("two".toByteArray(), socket.getInputStream().readNBytes(3))
    }

    @Test
    fun `takes its time, and keeps the order when it becomes quick again`() {
        val socket = connect().apply { says("one") }
        proxy.delay(100.milliseconds)
        assertTrue(measureTime { socket.says("two") } >= 200.milliseconds)
        socket.getOutputStream().write("slow".toByteArray())
        proxy.heal()
        assertEquals("slowquick", socket.says("quick", 9))
    }

    private fun connect() = Socket(InetAddress.getLoopbackAddress(), proxy.port)

    private fun Socket.says(text: String, expects: Int = text.length): String {
        getOutputStream().write(text.toByteArray())
        val answer = getInputStream().readNBytes(expects)
        if (answer.size < expects) throw IOException("closed")
        return String(answer)
    }
}
