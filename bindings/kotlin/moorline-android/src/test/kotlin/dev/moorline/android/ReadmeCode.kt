package dev.moorline.android

import android.content.Context
import dev.moorline.Moorline
import kotlinx.coroutines.CoroutineScope

interface Api {
    suspend fun token(): String
}

/** What the README says of Android. */
fun readme(url: String, viewModelScope: CoroutineScope, context: Context, api: Api): Moorline {
    val client = Moorline(url, viewModelScope) {
        android(context)
        token { api.token() }
    }
    return client
}
