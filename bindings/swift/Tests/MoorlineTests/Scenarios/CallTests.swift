import Foundation
@testable import Moorline
import XCTest

/// Calls, through a real server, of a real HTTP backend: which answers, refuses, fails, is full, hangs.
final class CallTests: XCTestCase {
    func test_the_backend_answers_a_call_with_what_it_was_asked_with() async throws {
        try await play { world in
            let calls = try world.lab.calls()
            let client = try world.client("alice") { $0.urls = [calls] }
            let payloads = [
                try Payload(json: ["a": "ü", "n": nil]), .null, try Payload(json: 0), Payload(text: "naïve 🦀"), Payload(text: ""),
                Payload(bytes: Data([0, 255])),
            ]
            for payload in payloads {
                let answer = try await client.call("echo", payload)
                guard payload.kind == .json else {
                    XCTAssertEqual(answer, payload)
                    continue
                }
                let (asked, answered) = try (payload.decode(Value.self), answer.decode(Value.self))
                XCTAssertEqual(asked, answered)
            }
            let who = try await client.call("who", id: "order-1").decode(String.self)
            XCTAssertEqual(who, "\(world.user("alice")) order-1")
            let nothing = try await client.call("echo")
            XCTAssertEqual(nothing, .null)
        }
    }

    func test_what_goes_wrong_with_a_call_has_a_code() async throws {
        try await play { world in
            let calls = try world.lab.calls()
            let client = try world.client("alice") { $0.urls = [calls] }
            func failure(_ method: String, timeout: Duration = .seconds(10)) async throws -> MoorlineError {
                do {
                    _ = try await client.call(method, timeout: timeout)
                } catch let error as MoorlineError {
                    return error
                }
                throw Late()
            }
            let refused = try await failure("refuse")
            XCTAssertEqual([refused.code.rawValue, refused.message], ["call.refused.sold_out", "none left"])
            XCTAssertEqual([refused.isRetryable, refused.origin == .server, refused.kind == .rejected], [false, true, true])
            let failed = try await failure("fail")
            XCTAssertEqual([failed.code.rawValue, "\(failed.isRetryable)"], ["call.failed", "false"])
            let full = try await failure("full")
            XCTAssertEqual([full.code.rawValue, "\(full.isRetryable)"], ["call.unavailable", "true"])
            let misuse = try await failure("no method")
            XCTAssertEqual(misuse.code.rawValue, "request.malformed")
            let late = try await failure("hang", timeout: .milliseconds(200))
            XCTAssertEqual(late.code.rawValue, "call.timeout")
            // The connection has stood all the while.
            let answer = try await client.call("echo", Payload(text: "x"))
            XCTAssertEqual(answer.text, "x")
        }
    }

    func test_a_call_needs_a_grant_for_its_method() async throws {
        try await play { world in
            let (calls, token) = (try world.lab.calls(), try world.lab.token(user: "alice", seconds: 3600, match: "ech*", app: "calls"))
            let client = try world.client("alice") { options in
                options.urls = [calls]
                options.token = .fixed(token)
            }
            let granted = try await client.call("echo", try Payload(json: 1)).decode(Int.self)
            XCTAssertEqual(granted, 1)
            let denied = await code { _ = try await client.call("who") }
            XCTAssertEqual(denied, "call.denied")
        }
    }

    func test_a_call_whose_connection_ends_is_uncertain_and_not_made_again() async throws {
        try await play { world in
            let (calls, proxied) = (try world.lab.calls(), try world.lab.calls(proxied: true))
            let alice = try world.client("alice") { $0.urls = [proxied] }
            let other = try world.client("bob") { $0.urls = [calls] }
            func times() async throws -> Int { try await other.call("times", Payload(text: "cut-\(world.id)")).decode(Int.self) }
            let call = Task { try await alice.call("hang", timeout: .seconds(20), id: "cut-\(world.id)") }
            while try await times() == 0 {}
            try world.lab.cut()
            let uncertain = await code { _ = try await call.value }
            XCTAssertEqual(uncertain, "call.uncertain")
            _ = try await alice.call("echo")
            let after = try await times()
            XCTAssertEqual(after, 1)
        }
    }

    func test_cancelling_a_call_ends_the_wait() async throws {
        try await play { world in
            let calls = try world.lab.calls()
            let client = try world.client("alice") { $0.urls = [calls] }
            let waiting = Task { try await client.call("hang") }
            // By then the other call is on its way, too.
            _ = try await client.call("echo")
            waiting.cancel()
            let ended = await waiting.result
            XCTAssertThrowsError(try ended.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        }
    }

    /// What the JSON of these tests can be.
    private enum Value: Decodable, Equatable {
        case null, number(Int), members([String: String?])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let number = try? container.decode(Int.self) {
                self = .number(number)
            } else {
                self = .members(try container.decode([String: String?].self))
            }
        }
    }
}
