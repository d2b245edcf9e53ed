package dev.moorline.android

import android.content.Context
import dev.moorline.FileStore
import dev.moorline.HostSignal
import dev.moorline.HostSignals
import dev.moorline.MoorlineConfig
import java.io.File

/** All that Android knows better than the client: [NetworkSignals], [ProcessLifecycle] and [DozeSignals] together. */
public class AndroidSignals(context: Context) : HostSignals {
    private val context = context.applicationContext

    /** Begins to follow; see [HostSignals.follow]. */
    override fun follow(tell: (HostSignal) -> Unit): AutoCloseable {
        val all = listOf(NetworkSignals(context), ProcessLifecycle(context), DozeSignals(context)).map { it.follow(tell) }
        return AutoCloseable { all.forEach(AutoCloseable::close) }
    }
}

/**
 * Makes a client at home on Android: it follows [AndroidSignals], and keeps what must outlive the process in a file that is not
 * backed up, since a device's identity must not appear on another device.
 *
 * @param name Tells stores apart where an app has several clients, or several users: letters, digits, `-` and `_`.
 */
public fun MoorlineConfig.android(context: Context, name: String = "moorline") {
    signals = AndroidSignals(context)
    store = FileStore(context, name)
}

/**
 * A store in the folder of the app that is not backed up.
 *
 * @param name As for [android].
 */
public fun FileStore(context: Context, name: String = "moorline"): FileStore {
    require(name.isNotEmpty() && name.all { it.isLetterOrDigit() || it in "-_" }) { "a store's name is letters, digits, - and _: $name" }
    return FileStore(File(context.noBackupFilesDir, "$name.moor"))
}
