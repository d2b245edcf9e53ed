package dev.moorline.planted

import dev.moorline.scenarios.ConnectionScenarios
import dev.moorline.scenarios.PublishScenarios
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.reflect.KClass
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test

/** A bug in the core turns scenarios red: they are run with a core that has some, in a process of their own. */
class PlantedTest {
    private val library: String = System.getProperty("moorline.planted").orEmpty().takeIf { File(it).isFile }.orEmpty()

    /** By the bug's name (`sdk-mobile/src/planted.rs`): what must notice it. */
    private val noticing = mapOf(
        "outbox-unbounded" to scenario(PublishScenarios::class, "an outbox that is full says so"),
        "resume-from-now" to scenario(ConnectionScenarios::class, "gets what it missed when it comes back"),
    )

    @Test
    fun `scenarios notice a bug of the core`() {
        assumeTrue(library.isNotEmpty(), "there is no library with bugs: `cargo xtask kotlin` builds one")
        assertEquals(listOf("SUCCESSFUL", "SUCCESSFUL"), run(noticing.values, null))
        for ((bug, scenario) in noticing) assertEquals(listOf("FAILED"), run(listOf(scenario), bug), "$scenario with $bug")
    }

    private fun scenario(type: KClass<*>, name: String): String = "${type.java.name}#$name"

    /** Runs scenarios, with a bug, and returns how each ended. */
    private fun run(scenarios: Collection<String>, bug: String?): List<String> {
        val java = ProcessHandle.current().info().command().get()
        val classes = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        val properties = listOf("moorline.server", "moorline.root").map { "-D$it=${System.getProperty(it)}" }
        val command = listOf(java, "-cp", classes, "-Duniffi.component.moorline_mobile.libraryOverride=$library") + properties +
            "dev.moorline.planted.ScenariosKt" + scenarios
        val child = ProcessBuilder(command).redirectErrorStream(true).apply { bug?.let { environment()["MOORLINE_PLANTED"] = it } }.start()
        val printed = child.inputStream.bufferedReader().readText()
        assertTrue(child.waitFor(60, TimeUnit.SECONDS), printed)
        val ends = printed.lines().map { it.substringBefore(' ') }.filter { it == "SUCCESSFUL" || it == "FAILED" }
        assertEquals(scenarios.size, ends.size, printed)
        return ends
    }
}
