package dev.moorline.testing

import java.net.InetAddress
import java.net.Socket
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows

@Timeout(60, unit = TimeUnit.SECONDS)
class TestServerTest {
    @Test
    fun `comes back on the same port after it was killed`() {
        TestServer.start().use { server ->
            val port = server.port
            server.kill()
            assertThrows<java.io.IOException> { Socket(InetAddress.getLoopbackAddress(), port) }
            server.start()
            assertEquals(port, server.port)
            Socket(InetAddress.getLoopbackAddress(), port).close()
        }
    }

    @Test
    fun `says why it does not start`() {
        val error = assertThrows<IllegalStateException> { TestServer.start("pign = \"5s\"") }
        assertTrue("ping" in error.message.orEmpty(), error.message)
    }
}
