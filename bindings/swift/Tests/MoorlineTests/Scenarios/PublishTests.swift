import Foundation
@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/publish.ts`, by the same names.
final class PublishTests: XCTestCase {
    func test_publishes_at_QoS_0() async throws { try await publishes(.atMostOnce) }
    func test_publishes_at_QoS_1() async throws { try await publishes(.atLeastOnce) }
    func test_publishes_at_QoS_2() async throws { try await publishes(.exactlyOnce) }

    private func publishes(_ qos: Qos) async throws {
        try await play { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob").channel(name, qos: qos))
            let alice = try world.client("alice")
            try await alice.connect()
            let receipt = try alice.channel(name).publish(json: ["text": "hi"], qos: qos, headers: ["a": "1"])
            let message = try await reading.message()
            XCTAssertEqual(message.id, receipt.id)
            XCTAssertEqual(message.user, world.user("alice"))
            XCTAssertEqual(try message.decode([String: String].self), ["text": "hi"])
            XCTAssertEqual(message.headers, ["a": "1"])
            XCTAssertFalse(message.isReplayed)
            if qos == .atMostOnce {
                XCTAssertNil(message.offset)
                let refused = await code { try await receipt.stored() }
                XCTAssertEqual(refused, "request.unsupported")
                XCTAssertEqual(receipt.state, .sent)
            } else {
                let stored = try await receipt.stored()
                XCTAssertEqual(stored.offset, 1)
                XCTAssertFalse(stored.isDuplicate)
                XCTAssertEqual(message.position, Position(epoch: stored.epoch, offset: 1))
                XCTAssertEqual(receipt.state, .stored(stored))
            }
        }
    }

    func test_carries_texts_bytes_and_values_as_they_are() async throws {
        struct Value: Codable, Equatable { var a: [String?] }
        try await play { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob").channel(name))
            let from = try world.client("alice").channel(name)
            let text = "naïve 日本語 🦀 \u{0} end"
            try from.publish(text: text)
            try from.publish(bytes: Data([0, 255, 128]))
            try from.publish(json: Value(a: ["1", nil, "ü"]))
            try from.publish(json: String?.none)
            try from.publish(text: "")
            try from.publish(bytes: Data())
            let received = try await reading.messages(6)
            XCTAssertEqual(received[0].text, text)
            XCTAssertEqual(received[1].bytes, Data([0, 255, 128]))
            XCTAssertEqual(try received[2].decode(Value.self), Value(a: ["1", nil, "ü"]))
            XCTAssertEqual(String(decoding: received[3].payload.data, as: UTF8.self), "null")
            XCTAssertEqual(received[4].text, "")
            XCTAssertEqual(received[5].bytes, Data())
            XCTAssertEqual(received.map(\.payload.kind), [.text, .bytes, .json, .json, .text, .bytes])
        }
    }

    func test_a_receipt_says_when_it_is_kept_sent_and_stored() async throws {
        try await play { world in
            try world.lab.refuse()
            let receipt = try world.client("alice", proxied: true).channel(world.channel()).publish(text: "hi")
            try await receipt.queued()
            XCTAssertEqual(receipt.state, .queued)
            try world.lab.heal()
            let stored = try await receipt.stored()
            XCTAssertEqual(receipt.state, .stored(stored))
        }
    }

    func test_a_receipt_tells_how_far_its_message_has_come() async throws {
        try await play { world in
            let alice = try world.client("alice", proxied: true)
            let room = alice.channel(world.channel())
            try await alice.connect()
            try world.lab.blackHole()
            let receipt = try room.publish(text: "hi")
            var seen: [ReceiptState] = []
            // The server cannot answer: however slow this is, it gets to see that the message was sent.
            for await state in receipt.states {
                seen.append(state)
                if state == .sent { try world.lab.heal() }
            }
            let stored = ReceiptState.stored(try await receipt.stored())
            XCTAssertEqual(seen.filter { $0 != .queued }, [.sent, stored])
            var again: [ReceiptState] = []
            for await state in receipt.states { again.append(state) }
            XCTAssertEqual(again, [stored])
            try world.lab.refuse()
            let unsettled = try room.publish(text: "later").states.makeAsyncIterator()
            let begun = await unsettled.next()
            XCTAssertNotNil(begun)
            await alice.close()
            while let state = await unsettled.next() { XCTAssertTrue([.queued, .sent].contains(state), "\(state)") }
        }
    }

    func test_the_same_id_is_stored_once() async throws {
        try await play { world in
            let room = try world.client("alice").channel(world.channel())
            let first = try await room.publish(text: "one", id: "same").stored()
            let again = try await room.publish(text: "one", id: "same").stored()
            XCTAssertEqual([first.offset, again.offset], [1, 1])
            XCTAssertEqual([first.isDuplicate, again.isDuplicate], [false, true])
            let another = await code { try await room.publish(text: "another", id: "same").stored() }
            XCTAssertEqual(another, "publish.reused")
        }
    }

    func test_a_thousand_keep_their_order() async throws {
        try await play { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob").channel(name, qos: .exactlyOnce))
            let writer = try world.client("alice").channel(name, qos: .exactlyOnce)
            for i in 0..<1000 { try writer.publish(json: i) }
            let received = try await reading.messages(1000)
            XCTAssertEqual(received.map(\.number), Array(0..<1000))
        }
    }

    func test_an_outbox_that_is_full_says_so() async throws {
        try await play { world in
            try world.lab.refuse()
            let alice = try world.client("alice", proxied: true) { $0.outboxMessages = 2 }
            let outboxes = alice.outboxes.makeAsyncIterator()
            let empty = await outboxes.next()
            XCTAssertEqual(empty, Outbox(messages: 0, bytes: 0))
            let room = alice.channel(world.channel())
            let receipts = [try room.publish(json: 1), try room.publish(json: 2)]
            let full = await code { try room.publish(json: 3) }
            XCTAssertEqual(full, "limit.outbox")
            for receipt in receipts { try await receipt.queued() }
            XCTAssertEqual(alice.outbox, Outbox(messages: 2, bytes: 2))
            try world.lab.heal()
            for receipt in receipts { try await receipt.stored() }
            XCTAssertEqual(alice.outbox, Outbox(messages: 0, bytes: 0))
            var last = empty
            while last?.messages != 0 || last == empty, let now = await outboxes.next() {
                last = now
                if now.messages == 0 { break }
            }
            XCTAssertEqual(last?.messages, 0)
        }
    }
}
