internal import MoorlineFFI

/// What comes again and again, pulled: the messages of a channel, for instance.
///
/// Every `for try await` is a reader of its own, at its own position; readers do not hold each other up. Nothing is dropped: when
/// nobody asks for more, the server waits. Asking for the next element says that the app is done with the one before.
///
/// - Cancelling the task ends a wait at once, with `CancellationError`; elements that were not handed out come to the next reader of
///   the same ``Channel``.
/// - Leaving the channel or closing the client ends the iteration. A refusal throws its ``MoorlineError``.
/// - Breaking out of the loop closes the reader, and does not leave the channel.
public struct Feed<Element: Sendable>: AsyncSequence, Sendable {
    private let open: @Sendable () throws -> Reader<Element>

    init(
        channel: Channel? = nil, confirms: Bool = false, _ open: @escaping @Sendable () throws -> FfiReader,
        map: @escaping @Sendable (FfiEvent) throws -> Element?
    ) {
        // The reader keeps the channel, so that `client.channel("a").messages` is enough.
        self.open = { Reader(try open(), keeping: channel, confirms: confirms, map: map) }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(opened: Result { try open() })
    }

    /// An iteration: one reader.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let opened: Result<Reader<Element>, any Error>

        /// Waits for the next element; `nil` at the end.
        public func next() async throws -> Element? {
            do {
                return try await opened.get().next()
            } catch {
                throw error.asMoorline
            }
        }
    }
}

/// What is known at the moment, and every change of it: the connection's state, for instance.
///
/// An iteration begins with what is now. A reader that is slow misses what is not so any more, never the newest. It ends when the
/// client is closed, or its task cancelled; that of a receipt also once it is known what became of the message.
public struct Latest<Element: Sendable>: AsyncSequence, Sendable {
    public typealias Failure = Never

    private let open: @Sendable () -> Reader<Element>

    init(_ open: @escaping @Sendable () -> FfiReader, map: @escaping @Sendable (FfiEvent) -> Element?) {
        self.open = { Reader(open(), keeping: nil, confirms: false, map: map) }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(reader: open())
    }

    /// An iteration: one reader.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        public typealias Failure = Never

        let reader: Reader<Element>

        /// Waits for the next value; `nil` at the end.
        public func next() async -> Element? {
            // There is nobody who could refuse this.
            try? await reader.next()
        }
    }
}
