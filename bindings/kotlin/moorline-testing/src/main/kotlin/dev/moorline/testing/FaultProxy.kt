package dev.moorline.testing

import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.util.concurrent.CopyOnWriteArraySet
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.atomic.AtomicLong
import java.util.concurrent.locks.LockSupport
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.thread
import kotlin.concurrent.withLock
import kotlin.time.Duration

/**
 * A network that fails on demand: a TCP proxy in front of a port of this machine.
 *
 * Its functions return at once, and may be called from any thread.
 */
public class FaultProxy(private val target: Int) : AutoCloseable {
    private val listener = ServerSocket(0, 50, InetAddress.getLoopbackAddress())
    private val sockets = CopyOnWriteArraySet<Socket>()
    private val lock = ReentrantLock()
    private val released = lock.newCondition()
    private var isHolding = false
    private var isRefusing = false
    private val sent = AtomicLong()

    @Volatile
    private var delay = Duration.ZERO

    /** The port that clients connect to instead. */
    public val port: Int get() = listener.localPort

    /** The server through this proxy. */
    public val url: String get() = "ws://127.0.0.1:$port/ws"

    /** How many bytes the server has sent through it so far. */
    public val bytesSent: Long get() = sent.get()

    /** How many connections go through it. */
    public val connections: Int get() = sockets.size / 2

    init {
        thread(isDaemon = true, name = "fault proxy") { accept() }
    }

    /** Resets every connection. New ones are welcome. */
    public fun cut() {
        for (socket in sockets) reset(socket)
    }

    /** From now on nothing arrives any more, and nobody is told: open connections stay open, new ones open and stay mute. */
    public fun blackHole(): Unit = lock.withLock { isHolding = true }

    /** Cuts, and resets every new connection, too. */
    public fun refuse() {
        lock.withLock { isRefusing = true }
        cut()
    }

    /** From now on bytes take this long in each direction. */
    public fun delay(duration: Duration) {
        delay = duration
    }

    /** All is well again; what a black hole held goes on its way. */
    public fun heal() {
        delay = Duration.ZERO
        lock.withLock {
            isHolding = false
            isRefusing = false
            released.signalAll()
        }
    }

    /** Resets every connection, and listens no more. */
    override fun close() {
        listener.close()
        heal()
        cut()
    }

    private fun accept() {
        while (true) {
            val near = try { listener.accept() } catch (_: IOException) { return }
            if (lock.withLock { isRefusing }) {
                reset(near)
                continue
            }
            val far = try {
                Socket(InetAddress.getLoopbackAddress(), target)
            } catch (_: IOException) {
                reset(near)
                continue
            }
            sockets += near
            sockets += far
            try {
                near.tcpNoDelay = true
                far.tcpNoDelay = true
            } catch (_: IOException) {
                // It was cut already.
                reset(near)
                reset(far)
                continue
            }
            pipe(near, far) {}
            pipe(far, near) { sent.addAndGet(it.toLong()) }
        }
    }

    /** Copies on one thread, and writes on another when what was read is due. */
    private fun pipe(from: Socket, to: Socket, count: (Int) -> Unit) {
        val due = LinkedBlockingQueue<Chunk>()
        thread(isDaemon = true, name = "fault proxy reader") {
            val buffer = ByteArray(64 * 1024)
            while (true) {
                val size = try { from.getInputStream().read(buffer) } catch (_: IOException) { -1 }
                awaitRelease()
                if (size > 0) count(size)
                due.put(Chunk(buffer.copyOf(maxOf(size, 0)), System.nanoTime() + delay.inWholeNanoseconds))
                if (size < 0) break
            }
        }
        thread(isDaemon = true, name = "fault proxy writer") {
            while (true) {
                val chunk = due.take()
                while (chunk.at > System.nanoTime()) LockSupport.parkNanos(chunk.at - System.nanoTime())
                if (chunk.bytes.isEmpty()) break
                try { to.getOutputStream().write(chunk.bytes) } catch (_: IOException) { break }
            }
            sockets -= from
            sockets -= to
            to.close()
            from.close()
        }
    }

    private fun awaitRelease(): Unit = lock.withLock { while (isHolding) released.await() }

    private fun reset(socket: Socket) {
        sockets -= socket
        try {
            socket.setSoLinger(true, 0)
        } catch (_: IOException) {
            // It is closed already.
        }
        socket.close()
    }

    /** What was read, and when it may arrive, by [System.nanoTime]; without bytes it is the end. */
    private class Chunk(val bytes: ByteArray, val at: Long)
}
