import Foundation

/// The files of the checkout that these tests are in.
enum Checkout {
    static let root = URL(fileURLWithPath: #filePath).pathComponents.dropLast(6).joined(separator: "/").dropFirst()

    static func url(_ path: String) -> URL { URL(fileURLWithPath: "\(root)/\(path)") }

    static func text(_ path: String) throws -> String { try String(contentsOf: url(path), encoding: .utf8) }

    /// The files below a folder that end so: their paths in the checkout.
    static func files(_ folder: String, _ end: String) throws -> [String] {
        let found = FileManager.default.enumerator(atPath: url(folder).path)?.compactMap { $0 as? String } ?? []
        return found.filter { $0.hasSuffix(end) }.sorted().map { "\(folder)/\($0)" }
    }

    /// The frames of a file of golden vectors, in their JSON form.
    static func vectors(_ name: String) throws -> [(name: String, frame: [String: Any])] {
        let file = try JSONSerialization.jsonObject(with: Data(contentsOf: url("tests/vectors/\(name).json"))) as? [String: Any]
        return (file?["vectors"] as? [[String: Any]] ?? []).compactMap { vector in
            guard let name = vector["name"] as? String, let frame = vector["json"] as? [String: Any] else { return nil }
            return (name, frame)
        }
    }
}
