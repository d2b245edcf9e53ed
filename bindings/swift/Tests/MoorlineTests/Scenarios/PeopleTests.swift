@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/people.ts`, by the same names.
final class PeopleTests: XCTestCase {
    private struct Nick: Codable, Equatable { var nick: String }

    func test_shows_who_joins_changes_and_leaves() async throws {
        try await play { world in
            let name = world.channel()
            let watcher = try world.client("bob").channel(name, presence: .watch)
            let changes = watcher.presence.changes.makeAsyncIterator()
            var seen: [MemberChange] = []
            let snapshot = try await changes.next()
            XCTAssertEqual(snapshot, MembersChange(count: 0, changes: [], isSnapshot: true))
            let alice = try world.client("alice").channel(name, presence: .join, state: Nick(nick: "Al"))
            let reading = try await Reading.begin(alice)
            func until(_ count: Int) async throws {
                while seen.count < count, let change = try await changes.next() { seen += change.changes }
            }
            try await until(1)
            try await alice.presence.update(Nick(nick: "Bo"))
            try await until(2)
            let member = try XCTUnwrap(watcher.presence.members?.first)
            XCTAssertEqual(member.user, world.user("alice"))
            XCTAssertEqual(try member.state?.decode(Nick.self), Nick(nick: "Bo"))
            try await alice.presence.leave()
            try await until(3)
            XCTAssertEqual(seen.map(\.event), [.join, .update, .leave])
            XCTAssertEqual(watcher.presence.count, 0)
            XCTAssertEqual(watcher.presence.members, [])
            let page = try await world.client("carol").channel(name).presence.page()
            XCTAssertEqual(page, MembersPage(count: 0, members: [], next: nil))
            withExtendedLifetime(reading) {}
        }
    }

    func test_tells_who_is_online_once_and_from_now_on() async throws {
        try await play { world in
            let (bob, dora) = (try world.client("bob"), world.user("dora"))
            let asked = try await bob.status(of: [dora])
            XCTAssertEqual(asked, [dora: Status(isOnline: false, since: nil)])
            let statuses = bob.statuses(of: [dora]).makeAsyncIterator()
            let first = try await statuses.next()
            XCTAssertEqual(first?[dora]?.isOnline, false)
            try await world.client("dora").connect()
            let came = try await statuses.next()
            XCTAssertEqual(came?[dora]?.isOnline, true)
        }
    }
}
