package dev.moorline

import java.io.File

/** Where a client keeps what must outlive the process: outbox, positions, the device's id. */
public sealed interface Store

/** Keeps it in memory: nothing outlives the process. */
public data object MemoryStore : Store

/**
 * Keeps it in a file, which one client at a time uses: another one gets `client.store_locked`. It is one user's: somebody else
 * gets `client.user`. Its folder has to exist.
 */
public data class FileStore(public val path: String) : Store {
    /** Keeps it in this file. */
    public constructor(file: File) : this(file.path)
}
