#if os(macOS) || os(Linux)
    import Foundation

    /// A real Moorline server for the tests of an app: the program `moorline-server` in development mode, on a free port of this
    /// machine, with a folder of its own that outlives its restarts.
    ///
    /// Any token `dev:NAME` is the user NAME; ``token(user:lifetime:channels:)`` makes one that expires, or grants less. Its
    /// functions block until they are done, a fraction of a second, and may be called from any thread. Devices and simulators start no
    /// programs: there, name a server that runs elsewhere.
    public final class TestServer: Sendable {
        /// What went wrong, with what the server printed.
        public struct Failure: Error, CustomStringConvertible {
            /// What, and what to do about it.
            public let description: String
        }

        private let program: String
        private let folder: URL
        private let running: Locked<(process: Process?, port: Int)>

        /// Starts one, and returns when it listens.
        ///
        /// - Parameters:
        ///   - configuration: What its configuration says beside the app and its key, in TOML.
        ///   - program: Where the server is (default: what the variable `MOORLINE_SERVER` names, else `moorline-server` of the `PATH`).
        /// - Throws: ``Failure`` if there is no such program, or if it ends at once.
        public init(configuration: String = "", program: String? = nil) throws {
            self.program = try Self.find(program)
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("moorline-test-\(UUID().uuidString)")
            running = Locked((nil, 0))
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                let text = configuration + Self.app
                try text.write(to: folder.appendingPathComponent("moorline.toml"), atomically: true, encoding: .utf8)
                try start()
            } catch {
                close()
                throw error
            }
        }

        deinit { close() }

        /// Its port, the same after a restart: 1 to 65,535.
        public var port: Int { running.change { $0.port } }

        /// Where clients connect to.
        public var url: URL {
            // A number of this range is always a port.
            URL(string: "ws://127.0.0.1:\(port)/ws")!
        }

        /// Starts it again after ``kill()``, on the same port.
        ///
        /// - Throws: ``Failure`` if it runs, or ends at once.
        public func start() throws {
            try running.change { running in
                guard running.process == nil else { throw Failure(description: "the server is running: kill it first") }
                let (process, output) = (Process(), Pipe())
                process.executableURL = URL(fileURLWithPath: program)
                process.arguments = [
                    "--dev", "--listen", "127.0.0.1:\(running.port)", "--data", folder.appendingPathComponent("data").path,
                    "--config", folder.appendingPathComponent("moorline.toml").path,
                ]
                process.standardOutput = output
                process.standardError = output
                try process.run()
                var printed = Data()
                var port: Int?
                while port == nil {
                    let more = output.fileHandleForReading.availableData
                    if more.isEmpty { break }
                    printed += more
                    port = Self.port(String(decoding: printed, as: UTF8.self))
                }
                guard let port else {
                    process.waitUntilExit()
                    let text = String(decoding: printed, as: UTF8.self)
                    throw Failure(description: "the server ended with \(process.terminationStatus):\n\(text)")
                }
                // What it prints later has to go somewhere, or it would wait for a reader.
                output.fileHandleForReading.readabilityHandler = { handle in
                    if handle.availableData.isEmpty { handle.readabilityHandler = nil }
                }
                running = (process, port)
            }
        }

        /// Kills it, as a loss of power would, and returns when it is gone. Does nothing if it is not running.
        public func kill() {
            running.change { running in
                guard let process = running.process else { return }
                _ = Foundation.kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                running.process = nil
            }
        }

        /// Kills it, and removes its folder. Calling it again does nothing.
        public func close() {
            kill()
            try? FileManager.default.removeItem(at: folder)
        }

        /// Makes a token.
        ///
        /// - Parameters:
        ///   - user: Who it is for.
        ///   - lifetime: How long it counts, in whole seconds.
        ///   - channels: A pattern of the channels that it grants everything on, and of the methods that may be called: `room:*`.
        public func token(user: String, lifetime: Duration = .seconds(3600), channels: String = "*") throws -> String {
            let now = Int(Date().timeIntervalSince1970)
            let grants = [["match": channels, "can": ["subscribe", "publish", "history", "presence", "call"]] as [String: Any]]
            let claims: [String: Any] = [
                "aud": "default", "sub": user, "iat": now, "exp": now + Int(lifetime.components.seconds), "grants": grants,
            ]
            let parts = try [["alg": "HS256", "typ": "JWT"], claims].map { try base64(JSONSerialization.data(withJSONObject: $0)) }
            let signed = parts.joined(separator: ".")
            return "\(signed).\(base64(Data(authenticated(Array(signed.utf8), key: Array(Self.secret.utf8)))))"
        }

        private static let secret = "a-secret-of-the-tests-32-bytes-long"
        private static let app = """

            [[apps]]
            name = "default"
            anonymous = true
            [[apps.keys]]
            alg = "HS256"
            secret = "\(secret)"

            """

        private static func port(_ printed: String) -> Int? {
            // The last line may have been cut off in the number.
            let lines = printed.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            return lines.lazy.compactMap { line in
                line.range(of: "127.0.0.1:").flatMap { Int(line[$0.upperBound...].prefix { $0.isNumber }) }
            }.first { $0 > 0 }
        }

        private static func find(_ named: String?) throws -> String {
            let environment = ProcessInfo.processInfo.environment
            let folders = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/moorline-server" }
            let places = (named ?? environment["MOORLINE_SERVER"]).map { [$0] } ?? folders
            guard let found = places.first(where: FileManager.default.isExecutableFile) else {
                let place = places.count == 1 ? places[0] : "moorline-server"
                throw Failure(description: "\(place) is no program: name moorline-server in the variable MOORLINE_SERVER")
            }
            return found
        }
    }

    private func base64(_ data: Data) -> String {
        let text = data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
        return text.replacingOccurrences(of: "=", with: "")
    }
#endif
