import Foundation
internal import MoorlineFFI

#if canImport(Network)
    import Network
#endif

/// Tells the core what the system says: of the network, where the framework Network is, and of the app's background, where
/// somebody posts the notifications of UIKit.
final class SystemSignals: Sendable {
    /// UIKit's names, which never change: without importing it, the same code serves extensions, other systems and tests.
    static let lifecycle: [(Notification.Name, LifecycleSignal)] = [
        (Notification.Name("UIApplicationDidEnterBackgroundNotification"), .background),
        (Notification.Name("UIApplicationWillEnterForegroundNotification"), .foreground),
    ]

    private enum State {
        case idle
        case watching(stop: @Sendable () -> Void)
        case ended
    }

    private let core: FfiClient
    private let state = Guarded(State.idle)

    init(_ core: FfiClient) {
        self.core = core
    }

    deinit {
        end()
    }

    /// Begins to watch, once.
    func begin() {
        state.change { state in
            guard case .idle = state else { return }
            let (lifecycle, network) = (watchLifecycle(), watchNetwork())
            state = .watching {
                lifecycle()
                network()
            }
        }
    }

    /// Stops watching, for good.
    func end() {
        state.change { state in
            if case .watching(let stop) = state { stop() }
            state = .ended
        }
    }

    private func watchLifecycle() -> @Sendable () -> Void {
        let center = NotificationCenter.default
        let observers = Self.lifecycle.map { name, signal in
            // The core is held weakly: an app that forgets its client is not kept from releasing it.
            center.addObserver(forName: name, object: nil, queue: nil) { [weak core] _ in core?.lifecycle(signal: signal.ffi) }
        }
        let held = Guarded(observers)
        return { held.read { $0.forEach(NotificationCenter.default.removeObserver) } }
    }

    private func watchNetwork() -> @Sendable () -> Void {
        #if canImport(Network)
            let monitor = NWPathMonitor()
            monitor.pathUpdateHandler = { [weak core] path in
                core?.lifecycle(signal: LifecycleSignal(path).ffi)
            }
            monitor.start(queue: .global(qos: .utility))
            return { monitor.cancel() }
        #else
            return {}
        #endif
    }
}

#if canImport(Network)
    extension LifecycleSignal {
        /// What a path of the system means to the client.
        init(_ path: NWPath) {
            guard path.status == .satisfied else {
                self = .offline
                return
            }
            let gateways = path.gateways.map { "\($0)" }
            let interfaces = path.availableInterfaces.prefix(1).map { "\($0.type) \($0.name)" }
            self = .network(networkNumber(of: interfaces + gateways))
        }
    }
#endif

/// A number for a network, the same after a restart: FNV-1a of what is known of it.
func networkNumber(of parts: [String]) -> UInt64 {
    parts.joined(separator: "\n").utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
