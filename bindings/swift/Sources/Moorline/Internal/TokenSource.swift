internal import MoorlineFFI

/// Fetches tokens for the core, one at a time, in tasks that end with the client.
final class TokenSource: FfiTokenProvider {
    private enum State {
        case open(Task<Void, Never>?)
        case closed
    }

    private let fetch: @Sendable (TokenReason) async throws -> String
    private let state = Guarded(State.open(nil))

    init(_ fetch: @escaping @Sendable (TokenReason) async throws -> String) {
        self.fetch = fetch
    }

    func wanted(reason: FfiTokenReason, answer: FfiTokenAnswer) {
        state.change { state in
            guard case .open(let before) = state else { return }
            before?.cancel()
            let (reason, fetch) = (TokenReason(reason), fetch)
            state = .open(
                Task {
                    do {
                        answer.provide(token: try await fetch(reason))
                    } catch {
                        answer.fail(message: String(describing: error))
                    }
                }
            )
        }
    }

    /// Ends a fetch that is under way; nothing is fetched any more.
    func close() {
        state.change { state in
            if case .open(let task) = state { task?.cancel() }
            state = .closed
        }
    }
}
