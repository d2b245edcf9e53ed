#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Foundation

/// A network that fails on demand: a TCP proxy in front of a port of this machine.
///
/// Its functions return at once, and may be called from any thread.
public final class FaultProxy: Sendable {
    /// It could not listen.
    public struct Failure: Error {}

    private struct State {
        var sockets: Set<Int32> = []
        var isHolding = false
        var isRefusing = false
        var isClosed = false
    }

    private let target: Int
    private let listener: Int32
    private let state = Locked(State())
    /// The port that clients connect to instead.
    public let port: Int

    /// Listens on a free port of this machine.
    ///
    /// - Parameter target: The server's port.
    /// - Throws: ``Failure`` if this machine has no port left.
    public init(target: Int) throws {
        self.target = target
        listener = newSocket()
        guard let port = listen(listener) else { throw Failure() }
        self.port = port
        let (state, listener) = (state, listener)
        Thread.detachNewThread { Self.accept(listener, target, state) }
    }

    deinit { close() }

    /// The server through this proxy.
    public var url: URL {
        // A number of this range is always a port.
        URL(string: "ws://127.0.0.1:\(port)/ws")!
    }

    /// Resets every connection. New ones are welcome.
    public func cut() {
        state.change { $0.sockets.forEach(reset) }
    }

    /// From now on nothing arrives any more, and nobody is told: open connections stay open, new ones open and stay mute.
    public func blackHole() {
        state.change { $0.isHolding = true }
    }

    /// Cuts, and resets every new connection, too.
    public func refuse() {
        state.change {
            $0.isRefusing = true
            $0.sockets.forEach(reset)
        }
    }

    /// All is well again; what a black hole held goes on its way.
    public func heal() {
        state.change {
            $0.isHolding = false
            $0.isRefusing = false
        }
    }

    /// Resets every connection, and listens no more. Calling it again does nothing.
    public func close() {
        let listener = listener
        state.change {
            guard !$0.isClosed else { return }
            $0.isClosed = true
            $0.isHolding = false
            $0.sockets.forEach(reset)
            shutdown(listener, Int32(SHUT_RDWR))
        }
    }

    private static func accept(_ listener: Int32, _ target: Int, _ state: Locked<State>) {
        while true {
            let near = systemAccept(listener)
            if state.change({ $0.isClosed }) || near < 0 {
                if near >= 0 { systemClose(near) }
                systemClose(listener)
                return
            }
            let far = newSocket()
            let isWelcome = !state.change { $0.isRefusing } && connect(far, target)
            guard isWelcome else {
                reset(near)
                systemClose(near)
                systemClose(far)
                continue
            }
            state.change { $0.sockets.formUnion([near, far]) }
            Thread.detachNewThread { carry(near, far, state) }
        }
    }

    /// Carries bytes both ways until one end is gone.
    private static func carry(_ near: Int32, _ far: Int32, _ state: Locked<State>) {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            var ends = [near, far].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let isHolding = state.change { $0.isHolding }
            // While it holds, nobody is read: it looks again soon whether it still does.
            if isHolding { ends.indices.forEach { ends[$0].events = 0 } }
            guard poll(&ends, 2, isHolding ? 5 : 50) >= 0 else { break }
            var isOver = false
            for (at, end) in ends.enumerated() where end.revents != 0 {
                if isHolding || state.change({ $0.isHolding }) {
                    isOver = isOver || Int32(end.revents) & POLLERR != 0
                    continue
                }
                let size = read(end.fd, &buffer, buffer.count)
                isOver = isOver || size <= 0 || !writeAll(at == 0 ? far : near, buffer[..<size])
            }
            if isOver { break }
        }
        state.change { $0.sockets.subtract([near, far]) }
        // Whoever was cut off is told so by a reset.
        systemClose(near)
        systemClose(far)
    }
}

/// Makes the next `close` of a socket a reset, and wakes who reads it.
private func reset(_ socket: Int32) {
    var linger = linger(l_onoff: 1, l_linger: 0)
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    shutdown(socket, Int32(SHUT_RDWR))
}

private func newSocket() -> Int32 {
    #if canImport(Glibc)
        return socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
        return socket(AF_INET, SOCK_STREAM, 0)
    #endif
}

private func address(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

private func named(_ address: inout sockaddr_in, _ act: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32) -> Bool {
    withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { act($0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
}

/// Listens on a free port, and returns it.
private func listen(_ socket: Int32) -> Int? {
    var place = address(0)
    guard named(&place, { bind(socket, $0, $1) }), listenAtMost(socket, 50) == 0 else { return nil }
    let isKnown = named(&place) { pointer, size in
        var size = size
        return getsockname(socket, pointer, &size)
    }
    return isKnown ? Int(UInt16(bigEndian: place.sin_port)) : nil
}

private func listenAtMost(_ socket: Int32, _ count: Int32) -> Int32 {
    #if canImport(Glibc)
        return Glibc.listen(socket, count)
    #else
        return Darwin.listen(socket, count)
    #endif
}

private func connect(_ socket: Int32, _ port: Int) -> Bool {
    var place = address(port)
    #if canImport(Glibc)
        return named(&place) { Glibc.connect(socket, $0, $1) }
    #else
        return named(&place) { Darwin.connect(socket, $0, $1) }
    #endif
}

private func systemAccept(_ listener: Int32) -> Int32 {
    #if canImport(Glibc)
        return Glibc.accept(listener, nil, nil)
    #else
        return Darwin.accept(listener, nil, nil)
    #endif
}

private func systemClose(_ socket: Int32) {
    #if canImport(Glibc)
        _ = Glibc.close(socket)
    #else
        _ = Darwin.close(socket)
    #endif
}

private func writeAll(_ socket: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
        // A peer that is gone is an answer, not a signal.
        #if canImport(Glibc)
            let size = rest.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        #else
            var isQuiet: Int32 = 1
            setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &isQuiet, socklen_t(MemoryLayout.size(ofValue: isQuiet)))
            let size = rest.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, 0) }
        #endif
        if size <= 0 { return false }
        rest = rest.dropFirst(size)
    }
    return true
}
