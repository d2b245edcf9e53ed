import Foundation
@testable import Moorline
import MoorlineFFI
import XCTest

/// The core's types and those of this package say the same.
final class ConvertTests: XCTestCase {
    func test_every_code_keeps_what_the_core_says_of_it() throws {
        let table = errorCodes()
        XCTAssertGreaterThan(table.count, 40)
        for failure in table {
            let error = MoorlineError(failure)
            XCTAssertEqual(error.code.rawValue, failure.code)
            XCTAssertEqual(error.number, Int(failure.number))
            XCTAssertEqual(error.isRetryable, failure.retryable)
            XCTAssertEqual(error.message, failure.message)
            XCTAssertNil(error.retryAfter)
            XCTAssertEqual("\(error.kind)".lowercased(), "\(failure.kind)".lowercased())
            XCTAssertEqual("\(error)", "\(failure.message) (\(failure.code))")
        }
        // One constant per code, in a file that is made of the same table.
        let text = try Checkout.text("bindings/swift/Sources/Moorline/Codes.swift")
        XCTAssertEqual(text.components(separatedBy: "Self(rawValue: ").count - 1, table.count)
        XCTAssertEqual(Set(table.map(\.code)).intersection([MoorlineError.Code.authExpired.rawValue, "limit.outbox"]).count, 2)
    }

    func test_every_code_of_the_vectors_is_known() throws {
        let known = Set(errorCodes().map(\.code))
        let codes = try Checkout.vectors("server/error").compactMap { $0.frame["code"] as? String }
        XCTAssertGreaterThan(codes.filter(known.contains).count, 30)
        // What is not known is of a later version, and survives as its text.
        for code in codes where !known.contains(code) {
            let failure = FfiFailure(
                code: code, number: 0, message: "later", retryable: true, origin: .server, kind: .rejected, retryAfterMs: nil)
            XCTAssertEqual(MoorlineError(failure).code, MoorlineError.Code(rawValue: code))
        }
    }

    func test_every_kind_of_error_becomes_the_one_type() {
        let failure = FfiFailure(
            code: "auth.expired", number: 301, message: "m", retryable: true, origin: .transport, kind: .transport, retryAfterMs: 1_500)
        let errors: [FfiError] = [
            .Auth(failure: failure), .Limit(failure: failure), .Rejected(failure: failure), .Continuity(failure: failure),
            .Transport(failure: failure), .Closed(failure: failure), .Internal(failure: failure),
        ]
        for error in errors {
            XCTAssertEqual(error.asMoorline as? MoorlineError, MoorlineError(failure))
            XCTAssertEqual((error.asMoorline as? MoorlineError)?.retryAfter, .milliseconds(1_500))
        }
        XCTAssertTrue(FfiError.Cancelled.asMoorline is CancellationError)
        XCTAssertTrue(CancellationError().asMoorline is CancellationError)
        struct Panic: Error {}
        XCTAssertEqual((Panic().asMoorline as? MoorlineError)?.kind, .internal)
    }

    func test_every_state_of_a_connection_and_a_receipt() {
        let failure = FfiFailure(
            code: "auth.expired", number: 301, message: "m", retryable: false, origin: .server, kind: .auth, retryAfterMs: nil)
        func connection(_ state: FfiConnectionState) -> ConnectionState {
            ConnectionState(
                FfiConnection(
                    state: state, reason: "silent", closeCode: 4001, cause: failure, sinceMs: 1_500, attempt: 3, retryAtMs: 2_500,
                    user: "alice"
                )
            )
        }
        let attempt = ConnectionState.Attempt(
            count: 3, next: Date(timeIntervalSince1970: 2.5), reason: .silent, cause: MoorlineError(failure))
        XCTAssertEqual(connection(.idle), .idle)
        XCTAssertEqual(connection(.connecting), .connecting(attempt))
        XCTAssertEqual(connection(.online), .online(since: Date(timeIntervalSince1970: 1.5)))
        XCTAssertEqual(connection(.recovering), .recovering(attempt))
        XCTAssertEqual(connection(.closed), .closed(cause: MoorlineError(failure)))
        let stored = FfiStored(epoch: "a.1", offset: 7, duplicate: true)
        let receipts: [FfiReceiptState] = [.queued, .sent, .stored(stored: stored), .failed(failure: failure), .uncertain]
        XCTAssertEqual(
            receipts.map(ReceiptState.init),
            [.queued, .sent, .stored(Stored(epoch: "a.1", offset: 7, isDuplicate: true)), .failed(MoorlineError(failure)), .uncertain]
        )
    }

    func test_every_event_of_a_channel() {
        let payloads: [FfiPayload] = [.json(text: "{}"), .text(text: "ü"), .bytes(bytes: Data([255]))]
        for payload in payloads {
            XCTAssertEqual(Payload(payload).ffi, payload)
            let message = FfiMessage(
                channel: "a", id: "i", epoch: "e", offset: nil, user: nil, timeMs: 1_767_225_600_013, replayed: true, redelivered: true,
                headers: ["a": "b"], payload: payload
            )
            guard case .message(let found) = ChannelEvent(.message(message: message)) else { return XCTFail("no message") }
            XCTAssertEqual(found.payload, Payload(payload))
            XCTAssertEqual(found.time.ms, 1_767_225_600_013)
            XCTAssertNil(found.position)
        }
        XCTAssertEqual(
            ChannelEvent(.subscribed(epoch: "e", from: 1, head: 2, replay: true)), .subscribed(epoch: "e", from: 1, head: 2, isReplay: true)
        )
        XCTAssertEqual(
            ChannelEvent(.reset(reason: "trimmed", epoch: "e", first: 3, head: 9, from: 2)),
            .reset(reason: .trimmed, epoch: "e", first: 3, head: 9, from: 2)
        )
        XCTAssertEqual(ChannelEvent(.dropped(count: 4)), .dropped(count: 4))
        XCTAssertEqual(ChannelEvent(.acked(offset: 5)), .acknowledged(offset: 5))
        let changes: [(FfiMemberEvent, MemberChange.Event)] = [
            (.join, .join), (.leave, .leave), (.timeout, .timeout), (.back, .back), (.update, .update), (.other, .other),
        ]
        for (from, to) in changes {
            XCTAssertEqual(MemberChange(FfiMemberChange(event: from, user: "u", state: "{}")).event, to)
        }
    }

    func test_what_the_app_says_reaches_the_core() {
        XCTAssertEqual(Qos.allCases.map(\.ffi), [.atMostOnce, .atLeastOnce, .exactlyOnce])
        let time = Date(timeIntervalSince1970: 1.5)
        let since: [Since] = [.resume, .live, .cursor, .first, .last(3), .position(Position(epoch: "e", offset: 2)), .time(time)]
        XCTAssertEqual(
            since.map(\.ffi),
            [.resume, .live, .cursor, .first, .last(count: 3), .position(epoch: "e", offset: 2), .time(ms: 1500)]
        )
        XCTAssertEqual(Since.last(-1).ffi, .last(count: 0))
        let ranges: [HistoryRange] = [.newest, .after(1), .before(2), .since(time), .until(time)]
        XCTAssertEqual(ranges.map(\.ffi), [.newest, .after(offset: 1), .before(offset: 2), .since(ms: 1500), .until(ms: 1500)])
        let signals: [LifecycleSignal] = [.foreground, .background, .online, .offline, .network(7), .wake]
        XCTAssertEqual(signals.map(\.ffi), [.foreground, .background, .online, .offline, .network(id: 7), .wake])
        XCTAssertEqual([PresenceMode.off, .watch, .join].map(\.ffi), [.off, .watch, .join])
        let levels = [FfiLogLevel.debug, .info, .warn, .error].map(LogLevel.init)
        XCTAssertEqual(levels, LogLevel.allCases)
        XCTAssertEqual(levels.shuffled().sorted(), levels)
        XCTAssertEqual([FfiTokenReason.connect, .expiring, .refused].map { "\(TokenReason($0))" }, ["connect", "expiring", "refused"])
        let spans: [Duration] = [.zero, .milliseconds(1), .microseconds(1), .seconds(2), .seconds(-1), .milliseconds(-1_500)]
        XCTAssertEqual(spans.map(\.ms), [0, 1, 1, 2000, 0, 0])
        XCTAssertGreaterThan(Duration.seconds(Int64.max).ms, 1 << 62)
        let times: [Double] = [-1, .nan, .infinity, -.infinity, 1e300]
        XCTAssertEqual(times.map { Date(timeIntervalSince1970: $0).ms }, [0, 0, .max, 0, .max])
    }

    func test_a_network_has_one_number() {
        XCTAssertEqual(networkNumber(of: []), 0xcbf2_9ce4_8422_2325)
        XCTAssertEqual(networkNumber(of: ["wifi en0", "192.168.0.1"]), networkNumber(of: ["wifi en0", "192.168.0.1"]))
        XCTAssertNotEqual(networkNumber(of: ["wifi en0", "192.168.0.1"]), networkNumber(of: ["wifi en0", "192.168.1.1"]))
    }
}
