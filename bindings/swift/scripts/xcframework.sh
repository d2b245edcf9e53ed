#!/bin/sh
# Builds the client core for Apple's systems and puts it where Package.swift looks for it: MoorlineMobile.xcframework.
#
# Needs macOS with Xcode, and Rust with the targets:
#   rustup target add aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin
set -eu

package=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$package/../.." && pwd)
target="$root/target/xcframework"
library=libmoorline_mobile.a

# The oldest systems that Package.swift names.
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0

build() {
    cargo build --manifest-path "$root/Cargo.toml" --target-dir "$target" --release -p moorline-mobile --lib --target "$1"
}

# One library for all processors of a system: `universal NAME TARGET…`
universal() {
    name=$1
    shift
    mkdir -p "$target/$name"
    inputs=
    for triple in "$@"; do
        build "$triple"
        inputs="$inputs $target/$triple/release/$library"
    done
    # shellcheck disable=SC2086
    lipo -create $inputs -output "$target/$name/$library"
}

universal ios aarch64-apple-ios
universal simulator aarch64-apple-ios-sim x86_64-apple-ios
universal macos aarch64-apple-darwin x86_64-apple-darwin

# The header and its map are a folder of their own, so that two such frameworks in one app do not collide.
headers="$target/headers/CMoorline"
rm -rf "$target/headers"
mkdir -p "$headers"
cp "$package/Sources/CMoorline/CMoorline.h" "$package/Sources/CMoorline/module.modulemap" "$headers/"

framework="$package/MoorlineMobile.xcframework"
rm -rf "$framework"
xcodebuild -create-xcframework \
    -library "$target/ios/$library" -headers "$target/headers" \
    -library "$target/simulator/$library" -headers "$target/headers" \
    -library "$target/macos/$library" -headers "$target/headers" \
    -output "$framework"
echo "$framework"
