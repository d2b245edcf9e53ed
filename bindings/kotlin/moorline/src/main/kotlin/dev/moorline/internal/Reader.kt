package dev.moorline.internal

import dev.moorline.ffi.FfiEvent
import dev.moorline.ffi.FfiReader
import kotlin.coroutines.cancellation.CancellationException
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.isActive

/** The most that crosses at once. */
private const val BATCH = 64u

/**
 * Pulls from a reader of the core: each collector opens its own. What was handed over is confirmed with the next pull; an item
 * that a collector was cut off in, by cancellation or by its own failure, goes to the next one. One that ends the collection as
 * `first` and `take` do has taken it.
 */
internal fun <T : Any> readerFlow(open: () -> FfiReader, convert: (FfiEvent) -> T?): Flow<T> = flow {
    val reader = core(open)
    var taken = 0uL
    try {
        while (true) {
            val batch = core { reader.next(taken, BATCH) } ?: break
            for (item in batch.items) {
                try {
                    convert(item.event)?.let { emit(it) }
                } catch (ended: CancellationException) {
                    if (currentCoroutineContext().isActive) taken = item.number
                    throw ended
                }
                taken = item.number
            }
        }
    } finally {
        reader.cancel(taken)
        reader.destroy()
    }
}
