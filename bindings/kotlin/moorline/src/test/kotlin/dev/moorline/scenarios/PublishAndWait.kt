package dev.moorline.scenarios

import dev.moorline.FileStore
import dev.moorline.Moorline
import dev.moorline.Payload
import dev.moorline.Qos
import kotlinx.coroutines.awaitCancellation

/** An app that publishes without a network, says what is kept, and waits to be killed. */
suspend fun main(arguments: Array<String>) {
    val (url, user, store, channel, count) = arguments
    val client = Moorline(url) {
        token("dev:$user")
        this.store = FileStore(store)
    }
    val room = client.channel(channel, qos = Qos.ExactlyOnce)
    val receipts = List(count.toInt()) { room.publish(Payload.json(it)) }
    receipts.forEach { it.queued() }
    receipts.forEach { println(it.id) }
    println("kept")
    awaitCancellation()
}
