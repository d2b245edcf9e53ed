package dev.moorline

import java.io.DataInputStream
import java.io.EOFException
import java.io.OutputStream
import java.net.InetAddress
import java.net.ServerSocket
import java.security.MessageDigest
import java.util.Base64
import kotlin.concurrent.thread

/** A server that says what it is told to: raw WebSocket messages, to one client. */
class Peer(script: Peer.() -> Unit) : AutoCloseable {
    private val listener = ServerSocket(0, 1, InetAddress.getLoopbackAddress())
    private lateinit var input: DataInputStream
    private lateinit var output: OutputStream

    val url: String get() = "ws://127.0.0.1:${listener.localPort}/ws"

    private val speaker = thread(isDaemon = true, name = "peer") {
        runCatching {
            listener.accept().use { socket ->
                input = DataInputStream(socket.getInputStream())
                output = socket.getOutputStream()
                shakeHands()
                script()
                while (true) hear()
            }
        }
    }

    /** Waits for a message of the client that has a frame of this type in front; returns it. */
    fun hear(type: Int): ByteArray {
        while (true) {
            val message = hear()
            // The length in front has more bytes than one from 128 on.
            if (message.size > 1 && message[Frame(message).apply { number() }.at].toInt() == type) return message
        }
    }

    /** Sends a message: frames by their hexadecimal digits. */
    fun say(hex: String) {
        val bytes = hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray()
        val length = if (bytes.size < 126) byteArrayOf(bytes.size.toByte()) else byteArrayOf(126, (bytes.size shr 8).toByte(), bytes.size.toByte())
        output.write(byteArrayOf(0x82.toByte()) + length + bytes)
        output.flush()
    }

    /** Answers the client's next request of a type with a golden frame, for that request. */
    fun answer(type: Int, hex: String) {
        // In front of a frame are its length, type and flags; only `members` has no flags.
        val asked = Frame(hear(type)).apply { number(); skip(2) }
        if (type == PUBLISH && asked.number() == 0L) asked.skip(asked.number().toInt())
        val request = asked.number()
        val golden = Frame(hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray()).apply { number() }
        val begin = golden.at
        golden.skip(if (golden.bytes[begin].toInt() == MEMBERS) 1 else 2)
        val head = golden.bytes.copyOfRange(begin, golden.at)
        golden.number()
        val frame = head + written(request) + golden.bytes.copyOfRange(golden.at, golden.bytes.size)
        say((written(frame.size.toLong()) + frame).joinToString("") { "%02x".format(it) })
    }

    /** Reads a frame from its beginning. */
    private class Frame(val bytes: ByteArray, var at: Int = 0) {
        fun skip(count: Int) { at += count }

        fun number(): Long {
            var value = 0L
            var shift = 0
            while (true) {
                val byte = bytes[at++].toLong()
                value = value or ((byte and 127) shl shift)
                if (byte >= 0) return value
                shift += 7
            }
        }
    }

    private fun written(value: Long): ByteArray =
        if (value < 128) byteArrayOf(value.toByte()) else byteArrayOf((value and 127 or 128).toByte()) + written(value shr 7)

    override fun close() {
        listener.close()
        speaker.interrupt()
    }

    private fun hear(): ByteArray {
        if (input.readByte().toInt() and 15 == CLOSE) throw EOFException("the client closes")
        val size = when (val short = input.readByte().toInt() and 127) {
            126 -> input.readUnsignedShort()
            127 -> input.readLong().toInt()
            else -> short
        }
        val mask = input.readNBytes(4)
        return input.readNBytes(size).mapIndexed { i, byte -> (byte.toInt() xor mask[i % 4].toInt()).toByte() }.toByteArray()
    }

    private fun shakeHands() {
        val request = generateSequence { line() }.takeWhile { it.isNotEmpty() }.toList()
        val key = request.first { it.startsWith("sec-websocket-key:", ignoreCase = true) }.substringAfter(":").trim()
        val digest = MessageDigest.getInstance("SHA-1").digest((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").toByteArray())
        val lines = listOf(
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: ${Base64.getEncoder().encodeToString(digest)}", "Sec-WebSocket-Protocol: moorline.v1.bin", "", "",
        )
        output.write(lines.joinToString("\r\n").toByteArray())
        output.flush()
    }

    private fun line(): String = buildString {
        while (true) {
            val char = input.readByte().toInt().toChar()
            if (char == '\n') return@buildString
            if (char != '\r') append(char)
        }
    }

    companion object {
        const val PUBLISH = 5
        const val HISTORY = 9
        const val PRESENCE = 10
        const val STATUS = 11
        private const val MEMBERS = 76
        private const val CLOSE = 8
    }
}
