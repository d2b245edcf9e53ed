package dev.moorline.scenarios

import kotlinx.coroutines.CompletableDeferred

/** Holds up who passes until it is opened. */
class Gate {
    private val opened = CompletableDeferred<Unit>()

    fun open() {
        opened.complete(Unit)
    }

    suspend fun pass(): Unit = opened.await()
}
