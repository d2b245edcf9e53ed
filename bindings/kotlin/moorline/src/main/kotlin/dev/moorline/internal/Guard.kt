package dev.moorline.internal

import dev.moorline.Failure
import dev.moorline.ffi.FfiException
import kotlin.coroutines.cancellation.CancellationException

/**
 * Calls the core, and says what it complains of as this library does. A call to something that was closed meanwhile is
 * `client.closed`; cancellation stays what it is.
 */
internal inline fun <T> core(call: () -> T): T = try {
    call()
} catch (cancelled: CancellationException) {
    throw cancelled
} catch (error: FfiException) {
    throw error.toMoorline()
} catch (_: IllegalStateException) {
    // The core's object is gone.
    throw Failure.closed()
}
