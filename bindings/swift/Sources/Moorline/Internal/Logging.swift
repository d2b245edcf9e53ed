internal import MoorlineFFI

/// Tells the app the client's log, in a task of its own: it ends with the core.
final class Logging: Sendable {
    private let write: @Sendable (LogLevel, String) -> Void
    private let task = Guarded<Task<Void, Never>?>(nil)

    init(_ write: @escaping @Sendable (LogLevel, String) -> Void) {
        self.write = write
    }

    /// Begins with what is said from now on, once.
    func begin(_ core: FfiClient) {
        task.change { task in
            guard task == nil else { return }
            // Of the core it holds the lines alone.
            let (lines, write) = (core.logs(), write)
            task = Task {
                let reader = Reader<(LogLevel, String)>(lines, keeping: nil, confirms: false) { event in
                    guard case .log(let level, let text) = event else { return nil }
                    return (LogLevel(level), text)
                }
                while let (level, line) = try? await reader.next() { write(level, line) }
            }
        }
    }

    /// Waits for the last line: the core is closed.
    func end() async {
        await task.read { $0 }?.value
    }
}
