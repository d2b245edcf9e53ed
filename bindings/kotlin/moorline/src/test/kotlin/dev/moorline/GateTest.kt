package dev.moorline

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What the sources must not say, in any module that apps use. */
class GateTest {
    private val modules = listOf("moorline", "moorline-android", "moorline-testing")
    private val sources = modules.flatMap { File("../$it/src/main").walk().filter { file -> file.extension == "kt" } }

    /** Code, without comments and texts. */
    private fun File.code(): String = readText().replace(Regex("""/\*.*?\*/""", RegexOption.DOT_MATCHES_ALL), "").replace(Regex("""//.*"""), "")
        .replace(Regex(""""(\\.|[^"\\\n])*""""), "\"\"")

    private fun found(rule: Regex, where: (File) -> Boolean = { true }): List<String> =
        sources.filter(where).flatMap { file -> rule.findAll(file.code()).map { "${file.name}: ${it.value}" } }

    @Test
    fun `they are there`() = assertTrue(sources.size > 15, "$sources")

    @Test
    fun `nothing blocks, leaks, drops or shouts`() {
        val rule = Regex("""\b(runBlocking|GlobalScope|UNLIMITED|trySend|finalize|println)\b|!!""")
        assertEquals(emptyList<String>(), found(rule))
    }

    @Test
    fun `nothing decides about the protocol`() {
        // What is known of it is only converted.
        val rule = Regex("""\b(if|when|while)\s*\([^{\n]*\b(FfiConnectionState|ConnectionState|ReceiptState|epoch|offset|head|attempt|isReplayed|isRedelivered)\b""")
        assertEquals(emptyList<String>(), found(rule) { it.name != "Convert.kt" })
    }

    @Test
    fun `generated code is named by this package alone, and never in public`() {
        val rule = Regex("""(public|protected)[^\n{=]*\bFfi\w+""")
        assertEquals(emptyList<String>(), found(rule) { it.name != "Convert.kt" }.filterNot { "internal constructor" in it })
    }

    @Test
    fun `files are short`() = assertEquals(emptyList<String>(), sources.filter { it.name != "ErrorCode.kt" && it.readLines().size > 300 }.map { it.name })
}
