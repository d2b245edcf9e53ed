package dev.moorline.testing

import java.io.File
import java.io.IOException
import java.nio.file.Files
import java.nio.file.Path
import java.util.Base64
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec
import kotlin.concurrent.thread
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours

/**
 * A real Moorline server for tests: the program `moorline-server` in development mode, on a free port of this machine, with a
 * folder of its own that outlives its restarts.
 *
 * The program is the one that the system property `moorline.server` or the variable `MOORLINE_SERVER` names, else the one on
 * the `PATH`. Any token `dev:NAME` is the user NAME; [token] makes one that expires, or that is granted less.
 *
 * Its functions block, and may be called from any thread.
 */
public class TestServer private constructor(private val folder: Path, private val configuration: String) : AutoCloseable {
    private var process: Process? = null
    private val atExit = thread(start = false) { process?.destroyForcibly() }.also(Runtime.getRuntime()::addShutdownHook)

    /** The port, from the first start on; 1 to 65,535. */
    public var port: Int = 0
        private set

    /** Where clients connect to. */
    public val url: String get() = "ws://127.0.0.1:$port/ws"

    /**
     * Starts it again, on the same port, after [kill]. Returns when it listens.
     *
     * @throws IllegalStateException if it is running, or ends at once; the text has what it printed.
     */
    @Synchronized
    public fun start() {
        check(process?.isAlive != true) { "the server is running" }
        val file = folder.resolve("moorline.toml").also { Files.writeString(it, configuration) }
        val command = listOf(program(), "--dev", "--listen", "127.0.0.1:$port", "--data", "$folder/data", "--config", "$file")
        val started = ProcessBuilder(command).redirectErrorStream(true).start()
        process = started
        val seen = mutableListOf<String>()
        val lines = started.inputStream.bufferedReader()
        port = generateSequence { lines.readLine() }.onEach { seen += it }
            .firstNotNullOfOrNull { line -> LISTENS.find(line)?.groupValues?.get(1)?.toInt()?.takeIf { it != 0 } }
            ?: error("the server ended with ${started.waitFor()}:\n${seen.joinToString("\n")}")
        // What it prints later has to go somewhere, or it would wait for a reader.
        thread(isDaemon = true, name = "moorline-server output") {
            try {
                lines.use { rest -> rest.forEachLine {} }
            } catch (_: IOException) {
                // It was killed.
            }
        }
    }

    /** Kills it, as a loss of power would. Returns when it is gone; does nothing if it is not running. */
    @Synchronized
    public fun kill() {
        process?.destroyForcibly()?.waitFor()
        process = null
    }

    /**
     * Makes a token.
     *
     * @param user Who it is for.
     * @param lifetime How long it counts, in whole seconds.
     * @param channels A pattern of the channels that it grants everything on, and of the methods that may be called: `room:*`.
     */
    public fun token(user: String, lifetime: Duration = 1.hours, channels: String = "*"): String {
        val now = System.currentTimeMillis() / 1000
        val grants = """[{"match":"$channels","can":["subscribe","publish","history","presence","call"]}]"""
        val claims = """{"aud":"default","sub":"$user","iat":$now,"exp":${now + lifetime.inWholeSeconds},"grants":$grants}"""
        val signed = "${base64("""{"alg":"HS256","typ":"JWT"}""".toByteArray())}.${base64(claims.toByteArray())}"
        val mac = Mac.getInstance("HmacSHA256").apply { init(SecretKeySpec(SECRET.toByteArray(), "HmacSHA256")) }
        return "$signed.${base64(mac.doFinal(signed.toByteArray()))}"
    }

    /** Kills it, and removes its folder. Calling it again does nothing. */
    override fun close() {
        kill()
        folder.toFile().deleteRecursively()
    }

    public companion object {
        /**
         * Starts one, and returns when it listens.
         *
         * @param limits What the section `[limits]` of its configuration says, one setting a line: `ping = "5s"`.
         * @param calls Where the calls of clients go: the URL of a backend, such as `http://127.0.0.1:8080/calls`; null for nowhere.
         * @throws IllegalStateException if the program is nowhere, or ends at once.
         */
        public fun start(vararg limits: String, calls: String? = null): TestServer {
            val all = listOf("publish_rate = 0").filter { limits.none { limit -> limit.startsWith("publish_rate") } } + limits
            val sections = listOf("[limits]") + all + listOfNotNull(calls?.let { CALLOUT.format(it) }) + CONFIGURATION
            return TestServer(Files.createTempDirectory("moorline-test-"), sections.joinToString("\n")).apply { start() }
        }

        private val LISTENS = Regex("""127\.0\.0\.1:(\d+)""")
        private const val SECRET = "a-secret-of-the-tests-32-bytes-long"
        private val CONFIGURATION = """
            [server]
            durability = "process"
            [[apps]]
            name = "default"
            anonymous = true
            [[apps.keys]]
            alg = "HS256"
            secret = "$SECRET"
        """.trimIndent()

        private val CALLOUT = """
            [[callouts]]
            name = "calls"
            url = "%s"
            secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
            asks = ["call"]
            allow_private = true
        """.trimIndent()

        private fun base64(bytes: ByteArray): String = Base64.getUrlEncoder().withoutPadding().encodeToString(bytes)

        private fun program(): String {
            val named = System.getProperty("moorline.server")?.takeIf { it.isNotBlank() && !it.startsWith("\${") } ?: System.getenv("MOORLINE_SERVER")
            val found = named?.let(::File) ?: System.getenv("PATH").split(File.pathSeparator).map { File(it, "moorline-server") }.find { it.canExecute() }
            check(found != null && found.canExecute()) {
                "moorline-server is ${if (found == null) "not on the PATH" else "not at $found"}: name it in the variable MOORLINE_SERVER"
            }
            return found.path
        }
    }
}
