import Foundation
import XCTest

/// Rules of the house that a search can check.
final class GateTests: XCTestCase {
    private let sources = "bindings/swift/Sources/Moorline"

    /// The code, without comments and texts.
    private func code(_ path: String) throws -> [String] {
        try Checkout.text(path).components(separatedBy: "\n").map { line in
            let code = line.components(separatedBy: "//").first ?? ""
            return code.replacingOccurrences(of: #""[^"]*""#, with: "", options: .regularExpression)
        }
    }

    func test_the_sources_say_nothing_that_has_no_place_in_them() throws {
        let nowhere = [
            #"\btry!"#, #"\bas!"#, #"\bfatalError\b"#, #"\bpreconditionFailure\b"#, #"\bDispatchQueue\b"#, #"\bprint\("#, #"\bObjC\b"#,
            #"\bTimeInterval\b"#,
        ]
        let onlyInside = [#"@unchecked"#, #"\bTask \{"#, #"\bTask\.detached"#, #"\bmakeStream\b"#, #"\bNSLock\b"#]
        var found: [String] = []
        for path in try Checkout.files(sources, ".swift") {
            let rules = path.contains("/Internal/") ? nowhere : nowhere + onlyInside
            for (number, line) in try code(path).enumerated() {
                for rule in rules where line.range(of: rule, options: .regularExpression) != nil {
                    found.append("\(path):\(number + 1): \(rule)")
                }
            }
        }
        XCTAssertEqual(found, [])
    }

    func test_files_are_short() throws {
        let long = try Checkout.files(sources, ".swift").filter { try Checkout.text($0).components(separatedBy: "\n").count > 300 }
        XCTAssertEqual(long, [])
    }

    /// What crosses is imported so that it cannot stand in a public signature: the compiler sees to the rest.
    func test_what_is_generated_stays_inside() throws {
        var open: [String] = []
        for path in try Checkout.files(sources, ".swift") {
            let lines = try code(path)
            open += lines.filter { $0.contains("import MoorlineFFI") && !$0.hasPrefix("internal import") }.map { "\(path): \($0)" }
        }
        XCTAssertEqual(open, [])
        let products = try Checkout.text("bindings/swift/Package.swift").components(separatedBy: "\n").filter { $0.contains(".library(") }
        let named = ["Moorline", "MoorlineTesting"].map { #"        .library(name: "\#($0)", targets: ["\#($0)"]),"# }
        XCTAssertEqual(products, named)
    }

    /// Every public declaration says what it is.
    func test_what_is_public_is_documented() throws {
        var bare: [String] = []
        for path in try Checkout.files(sources, ".swift") {
            let lines = try Checkout.text(path).components(separatedBy: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            for (number, line) in lines.enumerated() where line.hasPrefix("public ") {
                let inherited = ["description", "hash(into", "makeAsyncIterator", "typealias Failure", "var id: String { user }"]
                if inherited.contains(where: line.contains) { continue }
                let above = lines[..<number].last { !$0.hasPrefix("@") }
                if above?.hasPrefix("///") != true { bare.append("\(path):\(number + 1): \(line)") }
            }
        }
        XCTAssertEqual(bare, [])
    }
}
