import Foundation
@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/faults.ts`, by the same names.
final class FaultTests: XCTestCase {
    /// Publishes before, during and after a fault; everything must arrive once and in order.
    private func survives(_ fault: @escaping @Sendable (World, [Receipt]) async throws -> Void) async throws {
        try await play(within: .seconds(120)) { world in
            let name = world.channel()
            let alice = try world.client("alice", proxied: true) { $0.connectTimeout = .seconds(2) }
            let bob = try world.client("bob", proxied: true) { $0.connectTimeout = .seconds(2) }
            let reading = try await Reading.begin(bob.channel(name, qos: .exactlyOnce))
            let writer = alice.channel(name, qos: .exactlyOnce)
            func publish(_ range: Range<Int>) throws -> [Receipt] { try range.map { try writer.publish(json: $0) } }
            for receipt in try publish(0..<10) { try await receipt.stored() }
            let middle = try publish(10..<20)
            try await fault(world, middle)
            for receipt in middle { try await receipt.stored() }
            for receipt in try publish(20..<30) { try await receipt.stored() }
            let received = try await reading.messages(30)
            XCTAssertEqual(received.map(\.number), Array(0..<30))
        }
    }

    func test_goes_on_after_a_cut() async throws {
        try await survives { world, _ in try world.lab.cut() }
    }

    func test_goes_on_after_cut_upon_cut() async throws {
        try await survives { world, _ in for _ in 1...3 { try world.lab.cut() } }
    }

    func test_goes_on_when_a_black_hole_lets_go() async throws {
        try await survives { world, _ in
            try world.lab.blackHole()
            try world.lab.heal()
        }
    }

    func test_goes_on_over_a_slow_line() async throws {
        try await survives { world, receipts in
            try world.lab.delay(ms: 100)
            for receipt in receipts { try await receipt.stored() }
        }
    }

    func test_goes_on_over_a_killed_server() async throws {
        try await survives { world, _ in
            try world.lab.kill()
            try world.lab.start()
        }
    }

    func test_gives_up_a_connection_that_is_mute() async throws {
        try await play { world in
            let alice = try world.client("alice", proxied: true) { $0.connectTimeout = .seconds(2) }
            try await alice.connect()
            try world.lab.blackHole()
            // The device says that something changed: the client asks the server for a sign instead of waiting for silence.
            alice.lifecycle(.wake)
            var reason: ConnectionState.Reason?
            for await state in alice.states {
                guard case .recovering(let attempt) = state else { continue }
                reason = attempt.reason
                break
            }
            XCTAssertEqual(reason, .silent)
            let receipt = try alice.channel(world.channel()).publish(text: "kept")
            try await receipt.queued()
            try world.lab.heal()
            let stored = try await receipt.stored()
            XCTAssertEqual(receipt.state, .stored(stored))
        }
    }

    func test_says_why_it_is_not_connected() async throws {
        try await play { world in
            try world.lab.refuse()
            let client = try world.client("alice", proxied: true)
            try client.channel(world.channel()).publish(text: "now or later")
            for await state in client.states {
                guard case .connecting(let attempt) = state, attempt.count > 1 else { continue }
                XCTAssertNotNil(attempt.cause ?? (attempt.reason == .transportClosed ? MoorlineError.malformed("") : nil))
                break
            }
            try world.lab.heal()
            await client.reaches("online")
        }
    }

    func test_keeps_what_was_published_offline_over_a_reload() async throws {
        try await play { world in
            try world.lab.refuse()
            let name = world.channel()
            let receipts = try {
                let room = try world.client("alice", proxied: true, store: "outbox").channel(name, qos: .exactlyOnce)
                return try (0..<5).map { try room.publish(json: $0) }
            }()
            for receipt in receipts { try await receipt.queued() }
            await world.closeClients()
            let ended = await code { try await receipts[0].stored() }
            XCTAssertEqual(ended, "client.closed")

            try world.lab.heal()
            let alice = try world.client("alice", proxied: true, store: "outbox")
            try await alice.connect()
            let restored = alice.restored
            for receipt in restored { try await receipt.stored() }
            let page = try await alice.channel(name).history()
            XCTAssertEqual(restored.map(\.id), receipts.map(\.id))
            XCTAssertEqual(Set(restored.map(\.channel)), [name])
            XCTAssertEqual(page.messages.map(\.id), receipts.map(\.id))
            XCTAssertEqual(page.messages.map(\.number), [0, 1, 2, 3, 4])
            XCTAssertEqual(alice.outbox, Outbox(messages: 0, bytes: 0))
        }
    }

    func test_wipes_its_store_on_a_logout() async throws {
        try await play { world in
            try world.lab.refuse()
            let alice = try world.client("alice", proxied: true, store: "wipe")
            try await alice.channel(world.channel()).publish(text: "secret").queued()
            try await alice.closeAndWipe()
            try world.lab.heal()
            let bob = try world.client("bob", store: "wipe")
            try await bob.connect()
            XCTAssertEqual(bob.restored.count, 0)
            XCTAssertEqual(bob.user, world.user("bob"))
        }
    }

    /// The process that published is killed, not asked to end: what its receipts called kept goes out from the next one, once.
    func test_keeps_what_was_published_offline_over_a_killed_process() async throws {
        try await play { world in
            try world.lab.refuse()
            let name = world.channel()
            let probe = try Probe.start(url: world.lab.proxied, user: world.user("alice"), store: world.path("killed"), channel: name)
            let ids = try (0..<5).map { _ in try probe.line() }
            probe.kill()
            XCTAssertEqual(probe.end, SIGKILL)

            try world.lab.heal()
            let alice = try world.client("alice", proxied: true, store: "killed")
            let restored = alice.restored
            XCTAssertEqual(restored.map(\.id), ids)
            try await alice.connect()
            for receipt in restored { try await receipt.stored() }
            let page = try await alice.channel(name).history()
            XCTAssertEqual(page.messages.map(\.id), ids)
            XCTAssertEqual(page.messages.map(\.number), [0, 1, 2, 3, 4])
        }
    }
}
