import Foundation
@testable import Moorline
import XCTest

/// What the golden vectors carry, through this package to the real server and back.
final class VectorTests: XCTestCase {
    /// A message as a vector has it.
    private struct Golden: Sendable {
        let name: String
        let id: String?
        let headers: [String: String]
        let payload: Payload

        /// `nil` for a frame that carries none.
        init?(name: String, _ fields: [String: Any]) throws {
            self.name = name
            id = fields["id"] as? String
            headers = fields["headers"] as? [String: String] ?? [:]
            if let text = fields["text"] as? String {
                payload = Payload(text: text)
            } else if let bytes = fields["bin"] as? String {
                payload = Payload(bytes: try XCTUnwrap(Data(base64Encoded: bytes), name))
            } else if let value = fields["data"] {
                payload = Payload(
                    kind: .json, data: try JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed, .sortedKeys]))
            } else {
                return nil
            }
        }
    }

    func test_every_message_of_the_vectors_arrives_as_it_is() async throws {
        var golden = try Checkout.vectors("client/publish").compactMap { try Golden(name: $0.name, $0.frame) }
        for file in ["server/deliver", "server/page"] {
            for (name, frame) in try Checkout.vectors(file) {
                golden += try (frame["messages"] as? [[String: Any]] ?? []).compactMap { try Golden(name: "\(file): \(name)", $0) }
            }
        }
        XCTAssertGreaterThan(golden.count, 25)
        try await play { [golden] world in
            let (alice, bob) = (try world.client("alice"), try world.client("bob"))
            for (number, message) in golden.enumerated() {
                let name = world.channel()
                let qos = Qos.allCases[number % 2 + 1]
                let receipt = try alice.channel(name).publish(message.payload, qos: qos, id: message.id, headers: message.headers)
                try await receipt.stored()
                let live = try await bob.channel(name, since: .first).take(1)[0]
                let kept = try await bob.channel(name).history().messages[0]
                for found in [live, kept] {
                    XCTAssertEqual(found.payload, message.payload, message.name)
                    XCTAssertEqual(found.headers, message.headers, message.name)
                    XCTAssertEqual(found.id, message.id ?? receipt.id, message.name)
                    XCTAssertEqual(found.channel, name)
                    XCTAssertEqual(found.user, world.user("alice"), message.name)
                }
            }
        }
    }

    func test_the_longest_name_of_a_channel_that_the_vectors_have_is_one() async throws {
        let names = try Checkout.vectors("client/publish").compactMap { $0.frame["channel"] as? String }
        let longest = try XCTUnwrap(names.max { $0.utf8.count < $1.utf8.count })
        XCTAssertEqual(longest.utf8.count, 128)
        try await play { world in
            try await world.client("alice").channel(longest).publish(text: "hi").stored()
        }
    }

    func test_every_state_of_a_member_in_the_vectors_arrives_as_it_is() async throws {
        let states = try Checkout.vectors("client/presence").compactMap { $0.frame["state"] as? [String: String] }
        XCTAssertFalse(states.isEmpty)
        try await play { world in
            let name = world.channel()
            let alice = try world.client("alice").channel(name, presence: .watch)
            let reading = try await Reading.begin(alice)
            for state in states {
                try await alice.presence.enter(state)
                let page = try await world.client("bob").channel(name).presence.page()
                XCTAssertEqual(try page.members.first?.state?.decode([String: String].self), state)
            }
            withExtendedLifetime(reading) {}
        }
    }
}
