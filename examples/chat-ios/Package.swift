// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "chat-ios",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [.library(name: "ChatModel", targets: ["ChatModel"])],
    dependencies: [.package(name: "Moorline", path: "../../bindings/swift")],
    targets: [
        .target(name: "ChatModel", dependencies: [.product(name: "Moorline", package: "Moorline")]),
        .testTarget(name: "ChatModelTests", dependencies: ["ChatModel"]),
    ],
    swiftLanguageModes: [.v6]
)

#if os(macOS)
    // The same views in a window of the Mac: `swift run ChatApp`.
    package.targets.append(.executableTarget(name: "ChatApp", dependencies: ["ChatModel"], path: "ChatApp"))
#endif
