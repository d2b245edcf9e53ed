package dev.moorline.android

import com.android.tools.r8.D8
import com.android.tools.r8.D8Command
import com.android.tools.r8.OutputMode
import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import org.jetbrains.kotlin.abi.tools.AbiFilters
import org.jetbrains.kotlin.abi.tools.AbiTools
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** What users get: the public API of each module as it was agreed upon, and classes that Android can run. */
class ArtifactsTest {
    private val modules = listOf("moorline", "moorline-android", "moorline-testing")

    @Test
    fun `the public API is the one in the repository`() {
        val changed = modules.filter { module ->
            val now = buildString { AbiTools.getInstance().printJvmDump(this, classes(module), AbiFilters.EMPTY) }
            val kept = File("../$module/api/$module.api")
            if (System.getenv("MOORLINE_BLESS") == "1") kept.apply { parentFile.mkdirs() }.writeText(now)
            now != kept.readText()
        }
        assertEquals("if a change is meant: MOORLINE_BLESS=1 cargo xtask kotlin", emptyList<String>(), changed)
    }

    @Test
    fun `no generated name is in a public signature`() {
        for (module in modules) {
            val api = File("../$module/api/$module.api").readText()
            assertTrue(api.length > 500)
            assertFalse(module, Regex("Ffi|uniffi|com/sun/jna").containsMatchIn(api))
        }
    }

    @Test
    fun `the classes can be made into dex for the smallest Android that is supported`() {
        val libraries = System.getProperty("java.class.path").split(File.pathSeparator).map(Path::of).filter(Files::exists)
        fun named(part: String) = libraries.filter { part in it.fileName.toString() }
        val out = Files.createTempDirectory("moorline-dex-")
        val command = D8Command.builder()
            .setMinApiLevel(System.getProperty("android.min").toInt())
            .addLibraryFiles(named("android-all"))
            .addClasspathFiles(named("kotlin-stdlib") + named("kotlinx-") + named("jna"))
            .addProgramFiles((modules.minus("moorline-testing") + "ffi").flatMap(::classes).map { it.toPath() })
            .setOutput(out, OutputMode.DexIndexed)
            .build()
        D8.run(command)
        assertTrue(Files.size(out.resolve("classes.dex")) > 100_000)
        out.toFile().deleteRecursively()
    }

    private fun classes(module: String): List<File> = File("../$module/target/classes").walk().filter { it.extension == "class" }.sorted().toList()
}
