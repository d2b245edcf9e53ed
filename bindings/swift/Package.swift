// swift-tools-version:6.0
import Foundation
import PackageDescription

// On Apple platforms: the library for all of them, made by scripts/xcframework.sh. Elsewhere: the one that
// `cargo xtask swift` builds, found with `-Xlinker -L…`.
let framework = "MoorlineMobile.xcframework"
let isBundled = FileManager.default.fileExists(atPath: Context.packageDirectory + "/" + framework)
let library: Target =
    isBundled ? .binaryTarget(name: "CMoorline", path: framework) : .systemLibrary(name: "CMoorline")

let package = Package(
    name: "Moorline",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .library(name: "Moorline", targets: ["Moorline"]),
        // A real server and a network that fails, for the tests of apps.
        .library(name: "MoorlineTesting", targets: ["MoorlineTesting"]),
    ],
    targets: [
        library,
        // Generated, and no product: apps cannot import it.
        .target(name: "MoorlineFFI", dependencies: ["CMoorline"], swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Moorline", dependencies: ["MoorlineFFI"]),
        .target(name: "MoorlineTesting"),
        // What the tests kill.
        .executableTarget(name: "Probe", dependencies: ["Moorline"], path: "Tests/Probe"),
        .testTarget(name: "MoorlineTests", dependencies: ["Moorline", "MoorlineFFI", "MoorlineTesting", "Probe"]),
    ],
    swiftLanguageModes: [.v6]
)
