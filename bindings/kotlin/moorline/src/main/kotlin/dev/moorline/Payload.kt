package dev.moorline

import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.serializer

/** What a message carries: a text, JSON, or bytes; at most 64 KiB unless the server says otherwise. */
public sealed interface Payload {
    /** A text. */
    public data class Text(public val text: String) : Payload

    /** Something as JSON, by its text. [Payload.json] makes one of a value, [Message.decode] reads it. */
    public data class JsonText(public val json: String) : Payload

    /** Bytes as they are. */
    public class Bytes(public val bytes: ByteArray) : Payload {
        /** Tells whether the other is the same bytes. */
        override fun equals(other: Any?): Boolean = other is Bytes && bytes.contentEquals(other.bytes)

        /** A hash of the content. */
        override fun hashCode(): Int = bytes.contentHashCode()

        /** Says how many bytes it is. */
        override fun toString(): String = "Bytes(${bytes.size})"
    }

    public companion object {
        /**
         * Makes JSON of a value: of a `@Serializable` class, a map, a list, a text, a number.
         *
         * @throws MoorlineException with `request.malformed` if it has no serializer, or cannot be JSON.
         */
        public inline fun <reified T> json(value: T): JsonText = json(value) { serializer<T>() }

        /**
         * Makes JSON of a value with a serializer.
         *
         * @throws MoorlineException with `request.malformed` if the value cannot be JSON.
         */
        public fun <T> json(value: T, serializer: () -> KSerializer<T>): JsonText = malformed { JsonText(lenient.encodeToString(serializer(), value)) }
    }
}

/** Reads what later versions of an app added, too. */
internal val lenient: Json = Json { ignoreUnknownKeys = true }

/** Names what serialization complains of. */
internal fun <T> malformed(act: () -> T): T = try {
    act()
} catch (error: SerializationException) {
    throw Failure.malformed(error.message ?: "this cannot be JSON", error)
}
