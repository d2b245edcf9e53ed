import Foundation

/// What a message carries: a value as JSON, a text, or bytes. At most 64 KiB, unless the server allows another size.
public struct Payload: Sendable, Hashable {
    /// What a payload was published as.
    public enum Kind: Sendable, Hashable {
        /// A value, as JSON text.
        case json
        /// A text.
        case text
        /// Bytes.
        case bytes
    }

    /// What it was published as.
    public let kind: Kind
    /// JSON text, the text in UTF-8, or the bytes themselves.
    public let data: Data

    /// The value `null`, as JSON.
    public static let null = Self(kind: .json, data: Data("null".utf8))

    /// Makes a payload of a text.
    public init(text: String) {
        self.init(kind: .text, data: Data(text.utf8))
    }

    /// Makes a payload of bytes.
    public init(bytes: Data) {
        self.init(kind: .bytes, data: bytes)
    }

    /// Makes a payload of a value that can be JSON.
    ///
    /// - Throws: `request.malformed` if it cannot; the encoder's error is the `cause`.
    public init(json value: some Encodable, encoder: JSONEncoder = JSONEncoder()) throws {
        do {
            self.init(kind: .json, data: try encoder.encode(value))
        } catch {
            throw MoorlineError.malformed("the value cannot be JSON: \(error)", cause: error)
        }
    }

    init(kind: Kind, data: Data) {
        self.kind = kind
        self.data = data
    }

    /// The text, if it was published as one.
    public var text: String? {
        kind == .text ? String(decoding: data, as: UTF8.self) : nil
    }

    /// The bytes, if it was published as bytes.
    public var bytes: Data? {
        kind == .bytes ? data : nil
    }

    /// Reads the value.
    ///
    /// - Throws: `DecodingError`, also for a text or bytes that are no JSON.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, decoder: JSONDecoder = JSONDecoder()) throws -> Value {
        try decoder.decode(type, from: data)
    }
}
