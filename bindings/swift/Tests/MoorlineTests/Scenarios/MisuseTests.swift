import Foundation
@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/errors.ts`, by the same names.
final class MisuseTests: XCTestCase {
    func test_a_call_that_cannot_be_made_is_refused() async throws {
        try await play { world in
            let client = try world.client("alice")
            let facts = [
                await code { _ = try await client.call("cart.add", try Payload(json: 7)) },
                await code { _ = try await client.call("no method") },
                await code { _ = try await client.call("echo", timeout: .seconds(31)) },
                await code { _ = try await client.call("echo", id: "") },
            ]
            XCTAssertEqual(facts, ["request.unsupported", "request.malformed", "request.malformed", "request.malformed"])
            await client.close()
            let closed = await code { _ = try await client.call("echo") }
            XCTAssertEqual(closed, "client.closed")
        }
    }

    func test_mistakes_are_named_on_the_spot() async throws {
        try await play { world in
            let client = try world.client("alice")
            let room = client.channel(world.channel())
            let facts = [
                await code { try client.channel("room:*").publish(text: "x") },
                await code { try room.publish(json: Double.infinity) },
                await code { try room.publish(text: String(repeating: "x", count: 64 * 1024 + 1)) },
                await code { try room.publish(text: "x", id: "") },
                await code { _ = try Moorline(url: URL(string: "https://example.com")!) },
                await code { _ = try Moorline(Options(urls: [])) },
                await code { _ = try Moorline(Options(url: world.lab.url).with { $0.rootCertificates = [Data("no".utf8)] }) },
                await code { try client.setPushHandle("") },
                await code { _ = try await client.status(of: [""]) },
            ]
            XCTAssertEqual(
                facts,
                [
                    "channel.invalid", "request.malformed", "limit.message", "request.malformed", "request.malformed", "request.malformed",
                    "client.certificate", "request.malformed", "request.malformed",
                ]
            )
            await client.close()
            let closed = [
                await code { try room.publish(text: "x") },
                await code { try await client.connect() },
                await code { _ = try await room.history() },
                await code { _ = try await client.status(of: ["bob"]) },
                await code { try client.setPushHandle("x") },
            ]
            XCTAssertEqual(closed, Array(repeating: "client.closed", count: 5))
        }
    }

    func test_a_channel_that_is_not_granted_is_refused() async throws {
        try await play { world in
            let token = try world.lab.token(user: world.user("alice"), seconds: 3600, match: "lobby:*")
            let client = try world.client("alice") { $0.token = .fixed(token) }
            let room = client.channel(world.channel())
            do {
                _ = try await room.take(1)
                XCTFail("it was not refused")
            } catch let error as MoorlineError {
                XCTAssertEqual(error.code, .channelDenied)
                XCTAssertEqual(error.number, 411)
                XCTAssertEqual(error.origin, .server)
                XCTAssertEqual(error.kind, .rejected)
                XCTAssertFalse(error.isRetryable)
            }
            let published = await code { try await room.publish(text: "x").stored() }
            let asked = await code { _ = try await room.history() }
            XCTAssertEqual([published, asked], ["channel.denied", "channel.denied"])
            XCTAssertTrue(client.state.isOnline)
        }
    }

    func test_two_clients_do_not_share_a_store() async throws {
        try await play { world in
            let first = try world.client("alice", store: "shared")
            let second = await code { _ = try world.client("alice", store: "shared") }
            XCTAssertEqual(second, "client.store_locked")
            await first.close()
            _ = try world.client("alice", store: "shared")
        }
    }
}

extension Options {
    func with(_ change: (inout Self) -> Void) -> Self {
        var options = self
        change(&options)
        return options
    }
}
