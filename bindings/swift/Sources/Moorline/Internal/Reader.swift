internal import MoorlineFFI

/// Pulls elements of the core, a batch at a time, and hands them out one by one.
///
/// A batch stays the core's until what was handed out is confirmed, so a wait that is cancelled loses nothing.
final class Reader<Element: Sendable>: Sendable {
    /// Elements of one batch.
    private static var batch: UInt32 { 64 }

    private struct Progress {
        /// Handed out by the core, not yet to the app; the next one is last.
        var ready: [FfiItem] = []
        /// The number of the last item that the app was handed.
        var taken: UInt64 = 0
    }

    private let core: FfiReader
    private let channel: Channel?
    private let confirms: Bool
    private let map: @Sendable (FfiEvent) throws -> Element?
    private let progress = Guarded(Progress())

    init(
        _ core: FfiReader, keeping channel: Channel?, confirms: Bool, map: @escaping @Sendable (FfiEvent) throws -> Element?
    ) {
        self.core = core
        self.channel = channel
        self.confirms = confirms
        self.map = map
    }

    deinit {
        core.cancel(taken: progress.read { $0.taken })
    }

    func next() async throws -> Element? {
        while true {
            if Task.isCancelled {
                core.cancel(taken: progress.read { $0.taken })
                throw CancellationError()
            }
            if let (element, before) = try hand() {
                if confirms, before > 0 { core.confirm(taken: before) }
                return element
            }
            guard try await pull() else { return nil }
        }
    }

    /// Takes the next element of the batch, and the number of the one before.
    private func hand() throws -> (Element, UInt64)? {
        try progress.change { progress in
            while let item = progress.ready.popLast() {
                let before = progress.taken
                progress.taken = item.number
                if let element = try map(item.event) { return (element, before) }
            }
            return nil
        }
    }

    /// Waits for the next batch; `false` at the end.
    private func pull() async throws -> Bool {
        let (core, taken) = (core, progress.read { $0.taken })
        let pulled = try await withTaskCancellationHandler {
            try await core.next(taken: taken, max: Self.batch)
        } onCancel: {
            // Swift's own cancellation does not reach the core.
            core.cancel(taken: taken)
        }
        guard let pulled else {
            try Task.checkCancellation()
            return false
        }
        progress.change { $0.ready = pulled.items.reversed() }
        return true
    }
}
