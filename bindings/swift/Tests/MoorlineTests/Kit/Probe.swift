import Foundation

/// `Tests/Probe` in a process of its own.
final class Probe: Sendable {
    private let process: Process
    private let output: FileHandle

    static func start(url: URL, user: String, store: String, channel: String) throws -> Probe {
        let process = Process()
        process.executableURL = Bundle(for: Anchor.self).bundleURL.deletingLastPathComponent().appendingPathComponent("Probe")
        #if os(Linux)
            process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent(
                "Probe")
        #endif
        process.arguments = [url.absoluteString, user, store, channel]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        return Probe(process, pipe.fileHandleForReading)
    }

    private init(_ process: Process, _ output: FileHandle) {
        self.process = process
        self.output = output
    }

    /// The next line that it prints.
    func line() throws -> String {
        var bytes = Data()
        while let byte = try output.read(upToCount: 1), !byte.isEmpty {
            if byte[byte.startIndex] == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        throw Lab.Failure(description: "the probe ended")
    }

    /// Kills it, and waits until it is gone.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// The signal that ended it.
    var end: Int32? {
        process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
    }

    private final class Anchor {}
}
