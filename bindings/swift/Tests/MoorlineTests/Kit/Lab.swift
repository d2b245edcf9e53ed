import Foundation

/// A line to `moorline-crash lab`: the real server, and a proxy of this line's own in front of it that fails on demand.
final class Lab {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The server's address, and that of the proxy.
    let url: URL
    let proxied: URL
    private let socket: Int32

    init() throws {
        guard let place = ProcessInfo.processInfo.environment["MOORLINE_LAB"] else {
            throw Failure(description: "there is no lab: run `cargo xtask swift --test`, which starts one")
        }
        let parts = place.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { throw Failure(description: "MOORLINE_LAB is no address: \(place)") }
        socket = Self.open(port)
        guard socket >= 0 else { throw Failure(description: "the lab does not listen on \(place)") }
        url = URL(string: try Self.ask(socket, "server"))!
        proxied = URL(string: try Self.ask(socket, "proxy"))!
    }

    deinit {
        close(socket)
    }

    /// Resets every connection through the proxy.
    func cut() throws { try run("cut") }
    /// Nothing passes any more, and nobody is told.
    func blackHole() throws { try run("black-hole") }
    /// Cuts, and resets new connections.
    func refuse() throws { try run("refuse") }
    /// Everything arrives so much later.
    func delay(ms: Int) throws { try run("delay \(ms)") }
    /// All is well again; what a black hole held arrives.
    func heal() throws { try run("heal") }
    /// Kills the server.
    func kill() throws { try run("kill") }
    /// Starts it again.
    func start() throws { try run("start") }

    /// How many bytes the server has sent through the proxy.
    func bytesSent() throws -> Int { try traffic()[0] }
    /// How many connections clients have opened through the proxy.
    func connections() throws -> Int { try traffic()[2] }

    /// The server's address for an app whose calls go to a backend: `tests/crash/src/lab/backend.rs`.
    func calls(proxied: Bool = false) throws -> URL {
        let answer = proxied ? "\(self.proxied.absoluteString)/calls" : try Self.ask(socket, "calls")
        guard let url = URL(string: answer), answer.hasPrefix("ws") else { throw Failure(description: "calls: \(answer)") }
        return url
    }

    /// A token for channels and methods that match, in an app.
    func token(user: String, seconds: Int, match: String = "*", app: String = "default") throws -> String {
        try Self.ask(socket, "token \(user) \(seconds) \(match) \(app)")
    }

    private func traffic() throws -> [Int] {
        try Self.ask(socket, "traffic").split(separator: " ").compactMap { Int($0) }
    }

    private func run(_ command: String) throws {
        let answer = try Self.ask(socket, command)
        if answer != "done" { throw Failure(description: "\(command): \(answer)") }
    }

    private static func open(_ port: UInt16) -> Int32 {
        #if canImport(Glibc)
            let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        return connected == 0 ? descriptor : -1
    }

    private static func ask(_ socket: Int32, _ command: String) throws -> String {
        let line = Array("\(command)\n".utf8)
        guard write(socket, line, line.count) == line.count else { throw Failure(description: "the lab is gone") }
        var (answer, byte): ([UInt8], UInt8) = ([], 0)
        while read(socket, &byte, 1) == 1 {
            if byte == UInt8(ascii: "\n") { return String(decoding: answer, as: UTF8.self) }
            answer.append(byte)
        }
        throw Failure(description: "the lab is gone")
    }
}
