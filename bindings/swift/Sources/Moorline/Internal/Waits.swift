internal import MoorlineFFI

/// Waits for the core until this task is cancelled: Swift's own cancellation does not reach it.
///
/// Cancelling before the wait began is fine, too: then it ends as soon as it begins.
func cancellable<Result>(_ wait: (FfiCancel) async throws -> Result) async throws -> Result {
    let cancel = FfiCancel()
    do {
        return try await withTaskCancellationHandler {
            try await wait(cancel)
        } onCancel: {
            cancel.cancel()
        }
    } catch {
        throw error.asMoorline
    }
}

/// Calls the core, and turns what it throws into the app's error.
func converting<Result>(_ call: () throws -> Result) throws -> Result {
    do {
        return try call()
    } catch {
        throw error.asMoorline
    }
}

extension Error {
    /// What the app gets to see of an error of the core.
    var asMoorline: any Error {
        switch self {
        case is MoorlineError, is CancellationError: self
        case let error as FfiError: error.asSwift
        // Only a panic of the core gets here.
        default:
            MoorlineError(
                code: .clientRuntime, number: 106, message: "the core failed: \(self)", isRetryable: false, origin: .client,
                kind: .internal, cause: self
            )
        }
    }
}
