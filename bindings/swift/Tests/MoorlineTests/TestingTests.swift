#if os(macOS) || os(Linux)
    import Foundation
    import Moorline
    @testable import MoorlineTesting
    import XCTest

    /// The kit for the tests of apps.
    final class TestingTests: XCTestCase {
        func test_a_cut_loses_nothing() async throws {
            let server = try TestServer()
            let network = try FaultProxy(target: server.port)
            let client = try Moorline(url: network.url, token: server.token(user: "alice"))
            let receipt = try client.channel("room:42").publish(text: "hello")
            network.cut()
            let stored = try await receipt.stored()
            XCTAssertEqual(stored.offset, 1)
            await client.close()
            network.close()
            server.close()
        }

        func test_a_network_refuses_and_heals() async throws {
            let server = try TestServer()
            let network = try FaultProxy(target: server.port)
            network.refuse()
            var options = Options(url: network.url)
            options.token = .fixed("dev:alice")
            options.minimumBackoff = .milliseconds(50)
            options.maximumBackoff = .milliseconds(100)
            let client = try Moorline(options)
            let receipt = try client.channel("room:42").publish(text: "later")
            try await receipt.queued()
            network.heal()
            _ = try await receipt.stored()
            await client.close()
            network.close()
            server.close()
        }

        func test_a_server_outlives_a_kill() async throws {
            let server = try TestServer()
            let port = server.port
            XCTAssertThrowsError(try server.start())
            server.kill()
            server.kill()
            try server.start()
            XCTAssertEqual(server.port, port)
            server.close()
            server.close()
        }

        func test_what_is_wrong_is_named() throws {
            XCTAssertThrowsError(try TestServer(program: "/nowhere/moorline-server")) { error in
                XCTAssertTrue("\(error)".contains("MOORLINE_SERVER"), "\(error)")
            }
            XCTAssertThrowsError(try TestServer(configuration: "[nonsense]\n")) { error in
                XCTAssertTrue("\(error)".contains("nonsense"), "\(error)")
            }
        }

        func test_the_signature_is_that_of_the_standard() {
            func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
            XCTAssertEqual(hex(sha256(Array("abc".utf8))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
            // RFC 4231, test case 2.
            let signed = authenticated(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
            XCTAssertEqual(hex(signed), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        }
    }
#endif
