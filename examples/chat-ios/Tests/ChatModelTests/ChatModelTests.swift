import ChatModel
import Foundation
import Observation
import XCTest

/// Two people in a room of the real server, through the model that the views show.
@MainActor
final class ChatModelTests: XCTestCase {
    func test_two_people_see_each_other_and_what_is_said() async throws {
        let url = try XCTUnwrap(ProcessInfo.processInfo.environment["MOORLINE_URL"].flatMap(URL.init(string:)), "cargo xtask swift --test")
        let room = "room:chat-\(UUID().uuidString.prefix(8))"
        let (alice, bob) = (try ChatModel(url: url, user: "alice", room: room), try ChatModel(url: url, user: "bob", room: room))
        let (first, second) = (Task { await alice.run() }, Task { await bob.run() })
        await until { alice.members == ["alice", "bob"] && bob.members == ["alice", "bob"] }
        alice.draft = "  hello  "
        await alice.send()
        XCTAssertEqual(alice.draft, "")
        await until { bob.lines.count == 1 }
        await until { alice.lines.first?.offset == 1 }
        XCTAssertEqual(bob.lines.map(\.text), ["hello"])
        XCTAssertEqual(alice.lines, bob.lines)
        XCTAssertEqual(alice.connection.name, "online")
        bob.draft = "hi"
        await bob.send()
        await until { alice.lines.count == 2 }
        XCTAssertEqual(alice.lines.map(\.user), ["alice", "bob"])
        first.cancel()
        await first.value
        await alice.close()
        await bob.close()
        await second.value
        XCTAssertNil(alice.problem)
        XCTAssertNil(bob.problem)
    }

    /// Waits until something is so, told by what it reads.
    private func until(_ isSo: @escaping @MainActor () -> Bool) async {
        while true {
            let changed = AsyncStream<Void>.makeStream()
            if withObservationTracking(isSo, onChange: { changed.continuation.yield() }) { return }
            for await _ in changed.stream { break }
        }
    }
}
