package dev.moorline.internal

import dev.moorline.TokenReason
import dev.moorline.ffi.FfiTokenAnswer
import dev.moorline.ffi.FfiTokenProvider
import dev.moorline.ffi.FfiTokenReason
import kotlin.concurrent.Volatile
import kotlin.coroutines.cancellation.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch

/** Hands the core's question for a token to the app, in the client's scope. */
internal class Tokens(private val fetch: suspend (TokenReason) -> String) : FfiTokenProvider {
    @Volatile
    var scope: CoroutineScope? = null

    override fun wanted(reason: FfiTokenReason, answer: FfiTokenAnswer) {
        val why = when (reason) {
            FfiTokenReason.CONNECT -> TokenReason.Connect
            FfiTokenReason.EXPIRING -> TokenReason.Expiring
            FfiTokenReason.REFUSED -> TokenReason.Refused
        }
        scope?.launch {
            answer.use {
                try {
                    answer.provide(fetch(why))
                } catch (cancelled: CancellationException) {
                    // The app's own, such as a timeout, is a failure like others; that of the client ends this.
                    answer.fail(cancelled.message ?: "cancelled")
                    throw cancelled
                } catch (error: Exception) {
                    answer.fail(error.message ?: error.toString())
                }
            }
        }
    }
}
