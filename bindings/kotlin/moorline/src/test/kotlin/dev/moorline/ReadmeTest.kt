package dev.moorline

import dev.moorline.readme.Api
import dev.moorline.readme.Line
import dev.moorline.readme.chat
import dev.moorline.readme.first
import dev.moorline.readme.tested
import dev.moorline.scenarios.Lab
import java.io.File
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** The code of the README is what is compiled and run here. */
class ReadmeTest : Lab() {
    @Test
    fun `its code is this code`() {
        val readme = File("../README.md").readText()
        val blocks = Regex("```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(readme).map { it.groupValues[1] }.toList()
        val compiled = File("src/test/kotlin/dev/moorline/readme/Readme.kt").readText().lines().map { it.trim() }
        val forAndroid = File("../moorline-android/src/test/kotlin/dev/moorline/android/ReadmeCode.kt").readText().lines().map { it.trim() }
        assertEquals(4, blocks.size)
        for (block in blocks) {
            val lines = block.trim().lines().map { it.trim() }
            val isThere = listOf(compiled, forAndroid).any { it.windowed(lines.size).contains(lines) }
            assertTrue(isThere, "not compiled by a test:\n$block")
        }
    }

    @Test
    fun `a newcomer receives a message`() = scenario {
        assertEquals("alice" to "hello", first(server.url))
    }

    @Test
    fun `the app does what it says`() = scenario {
        val shown = CompletableDeferred<Line>()
        val api = object : Api {
            override suspend fun token() = server.token(user("alice"))
            override fun signIn() = error("no need")
            override fun waitAndRetry() = error("no need")
            override fun show(what: Any) {
                (what as? Line)?.let(shown::complete)
            }
        }
        val life = launch { chat(server.url, api, folder.resolve("readme.moor").toFile()) }
        assertEquals(Line("hi"), shown.await())
        life.cancelAndJoin()
    }

    @Test
    fun `so does the test of an app`() = scenario { tested() }
}
