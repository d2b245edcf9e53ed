package dev.moorline

import dev.moorline.ffi.errorCodes
import dev.moorline.internal.toMoorline
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ErrorCodeTest {
    private val all = errorCodes()

    @Test
    fun `every code of the protocol's page crosses as it is`() {
        val page = File("${System.getProperty("moorline.root")}/docs/protocol.md").readText()
        assertTrue(all.size > 30)
        for (failure in all) {
            val error = failure.toMoorline()
            assertEquals(failure.code to failure.number.toInt(), error.code to error.number)
            assertEquals(failure.retryable, error.isRetryable)
            assertTrue("`${failure.code}`" in page, failure.code)
            assertTrue(error.message.orEmpty().endsWith("(${failure.code})"), error.message)
        }
    }

    @Test
    fun `each has a constant`() {
        val constants = ErrorCode::class.java.declaredFields.filter { it.type == String::class.java }.map { it.get(null) }
        assertEquals(all.map { it.code }.toSet(), constants.toSet())
    }

    @Test
    fun `all seven kinds occur`() = assertEquals(7, all.map { it.toMoorline()::class }.toSet().size)
}
