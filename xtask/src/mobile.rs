//! Compiles the mobile facade for phones, with Debian's Rust and no kit of their makers: proof that it compiles, not what is
//! shipped.

use std::path::PathBuf;

use crate::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{tools, tree, wasm};

const PACKAGE: &str = "moorline-mobile";
const ANDROID: &str = "aarch64-linux-android";
const IOS: &str = "aarch64-apple-ios";
const HARMONY: &str = "aarch64-unknown-linux-ohos";
/// Without the headers of a system, `ring` has no more than the compiler's.
const NO_HEADERS: &str = "-nostdlibinc -DRING_CORE_NOSTDLIBINC=1";
const TARGET_CONDITIONALS: &str = "#pragma once
#define TARGET_OS_MAC 1
#define TARGET_OS_OSX 0
#define TARGET_OS_IPHONE 1
#define TARGET_OS_IOS 1
#define TARGET_OS_SIMULATOR 0
";

/// Checks the facade, with all the C in it, for Android, iOS and HarmonyOS.
///
/// # Errors
/// A missing tool; what does not compile.
pub(crate) fn test() -> Result {
    wasm::debian_rust()?;
    tools::clang()?;
    check(HARMONY, NO_HEADERS)?.run()?;
    check(ANDROID, NO_HEADERS)?.run()?;
    let sdk = folder()?.join("ios.sdk");
    let headers = sdk.join("usr").join("include");
    tree::create(&headers)?;
    let path = headers.join("TargetConditionals.h");
    std::fs::write(&path, TARGET_CONDITIONALS).map_err(|source| Error::File { path, source })?;
    check(IOS, &format!("{NO_HEADERS} -isystem {}", headers.display()))?.env("SDKROOT", &sdk).run()
}

fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("mobile"))
}

/// Begins a check by Debian's cargo for a target, whose C compiler is clang.
fn check(target: &str, flags: &str) -> Result<Process> {
    let variable = |name: &str| format!("{name}_{}", target.replace('-', "_"));
    let process = wasm::debian_cargo().args(["check", "-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
    let process = process.args(["--target", target, "-p", PACKAGE, "--lib"]).env("CARGO_TARGET_DIR", folder()?);
    let process = process.env(&variable("CC"), "clang").env(&variable("AR"), "llvm-ar");
    Ok(process.env(&variable("CFLAGS"), flags))
}
