#!/bin/sh
# Builds the native library for each of Android's instruction sets, where moorline-android puts it into its AAR.
#
# Needs the Android NDK (ANDROID_NDK_HOME), `cargo install cargo-ndk`, and
# `rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android`.
# The tests of this repository do not run this script: they have no NDK.
set -eu
: "${ANDROID_NDK_HOME:?names no Android NDK}"
root=$(cd "$(dirname "$0")/../../.." && pwd)
out="$root/bindings/kotlin/moorline-android/target/jni"
cd "$root"
# 16 KiB pages, as devices with Android 15 and later may have.
export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,max-page-size=16384"
cargo ndk --platform 24 -t arm64-v8a -t armeabi-v7a -t x86_64 -o "$out" build --release -p moorline-mobile --lib
find "$out" -name 'libmoorline_mobile.so'
