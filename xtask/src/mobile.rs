//! Builds the mobile facade for phones, with Debian's Rust and no kit of their makers: proof that it compiles and links, not
//! what is shipped.

use std::path::{Path, PathBuf};

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
/// What a shared library for Android may ask of the system: names that its C library has had since Android 5; sorted.
const SYMBOLS: &str = include_str!("mobile/android-symbols.txt");
/// What Rust's standard library needs of an unwinder, for a library that never unwinds.
const UNWIND: &str = "int _Unwind_Backtrace(void* f, void* a) { return 5; }
unsigned long _Unwind_GetIP(void* c) { return 0; }
unsigned long _Unwind_GetCFA(void* c) { return 0; }
void* _Unwind_FindEnclosingFunction(void* p) { return 0; }
";
const TARGET_CONDITIONALS: &str = "#pragma once
#define TARGET_OS_MAC 1
#define TARGET_OS_OSX 0
#define TARGET_OS_IPHONE 1
#define TARGET_OS_IOS 1
#define TARGET_OS_SIMULATOR 0
";

/// Compiles for Android, iOS and HarmonyOS; links a shared library for Android and an archive for iOS.
///
/// # Errors
/// A missing tool; what does not compile; a symbol that Android need not have.
pub(crate) fn test() -> Result {
    wasm::debian_rust()?;
    tools::clang()?;
    for target in [ANDROID, IOS, HARMONY] {
        // What the standard library is made of, too.
        let fetch = wasm::debian_cargo().args(["fetch", "--quiet", "-Zbuild-std=std,panic_abort", "--target", target]);
        fetch.obtain(&format!("the crates for {target}"))?;
    }
    harmony()?;
    ios()?;
    android()
}

fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("mobile"))
}

/// Begins a call of Debian's cargo for a target, whose C compiler is clang.
fn cross(command: &str, target: &str, flags: &str) -> Result<Process> {
    let variable = |name: &str| format!("{name}_{}", target.replace('-', "_"));
    let process = wasm::debian_cargo().args([command, "-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
    let process = process.args(["--target", target, "-p", PACKAGE, "--lib"]).env("CARGO_TARGET_DIR", folder()?);
    let process = process.env(&variable("CC"), "clang").env(&variable("AR"), "llvm-ar");
    Ok(process.env(&variable("CFLAGS"), flags))
}

/// Release without what only makes it slow to build.
fn quick(process: Process, kind: &str) -> Process {
    let process = process.args(["--release", "--crate-type", kind, "--config", "profile.release.lto=false"]);
    process.args(["--config", "profile.release.codegen-units=16", "--config", "profile.release.debug=0"])
}

fn harmony() -> Result {
    cross("check", HARMONY, NO_HEADERS)?.run()
}

fn ios() -> Result {
    let sdk = folder()?.join("ios.sdk");
    let headers = sdk.join("usr").join("include");
    write(&headers, "TargetConditionals.h", TARGET_CONDITIONALS)?;
    let flags = format!("{NO_HEADERS} -isystem {}", headers.display());
    quick(cross("rustc", IOS, &flags)?, "staticlib").env("SDKROOT", &sdk).run()
}

fn android() -> Result {
    let stubs = stubs()?;
    let mut flags = String::from("-Cpanic=abort");
    let folder = format!("-L{}", stubs.display());
    for argument in [
        "--target=aarch64-linux-android21",
        "-fuse-ld=lld",
        "-nostdlib",
        folder.as_str(),
        "-Wl,-soname,libmoorline_mobile.so",
        "-Wl,-z,max-page-size=16384",
        "-Wl,--no-as-needed",
        "-lc",
        "-lm",
        "-ldl",
        "-llog",
    ] {
        flags.push_str(" -Clink-arg=");
        flags.push_str(argument);
    }
    let process = quick(cross("rustc", ANDROID, NO_HEADERS)?, "cdylib");
    let process = process.env("CARGO_TARGET_AARCH64_LINUX_ANDROID_LINKER", "clang");
    process.env("CARGO_TARGET_AARCH64_LINUX_ANDROID_RUSTFLAGS", flags).run()?;
    let library = self::folder()?.join(ANDROID).join("release").join("libmoorline_mobile.so");
    let symbols = Process::new("llvm-nm").args(["-D", "--undefined-only"]).args([&library]).output()?;
    Error::unless_empty(unknown(&symbols))
}

/// Names what is not on the list: the stubs are empty, so that the linker misses nothing.
fn unknown(symbols: &str) -> Vec<String> {
    let known: Vec<&str> = SYMBOLS.lines().collect();
    // What is weak (`w`) need not be there.
    let names = symbols.lines().filter_map(|line| line.trim().strip_prefix("U ")?.split('@').next());
    let strange = names.filter(|name| !known.contains(name));
    strange
        .map(|name| format!("{name}: not among what Android has for sure (xtask/src/mobile/android-symbols.txt)"))
        .collect()
}

/// Makes empty libraries in place of the system's.
fn stubs() -> Result<PathBuf> {
    let folder = folder()?.join("android");
    write(&folder, "empty.c", "\n")?;
    write(&folder, "unwind.c", UNWIND)?;
    let clang = || Process::new("clang").args(["--target=aarch64-linux-android21"]).directory(&folder);
    for name in ["c", "m", "dl", "log"] {
        let clang = clang().args(["-shared", "-nostdlib", "-fuse-ld=lld"]);
        clang
            .args([format!("-Wl,-soname,lib{name}.so"), "-o".into(), format!("lib{name}.so"), "empty.c".into()])
            .run()?;
    }
    let flags = ["-O1", "-fPIC", "-ffreestanding", "-fvisibility=hidden", "-c", "unwind.c"];
    clang().args(flags).run()?;
    Process::new("llvm-ar").args(["rc", "libunwind.a", "unwind.o"]).directory(&folder).run()?;
    Ok(folder)
}

fn write(folder: &Path, name: &str, text: &str) -> Result {
    tree::create(folder)?;
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_that_nobody_has_is_named() {
        assert_eq!(unknown("   U malloc\n   U read@LIBC\n   w getrandom\n"), Vec::<String>::new());
        assert_eq!(unknown("   U malloc\n   U _Unwind_Resume\n").len(), 1);
    }
}
