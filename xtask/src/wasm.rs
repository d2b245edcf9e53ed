//! Builds the cores for wasm32: proof that they need no sockets, threads or clock of the standard library.

use std::path::Path;

use crate::cargo;
use crate::error::Result;
use crate::process::Process;
use crate::tools;

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's Rust, which comes with the source of its standard library; for machines without a wasm32 target.
const DEBIAN_RUST: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld", "llvm"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std";

/// Which Rust builds for wasm32.
enum Toolchain {
    /// The one in use has the target.
    Present,
    /// Debian's, which builds its standard library along.
    Debian,
}

/// Builds `moorline-protocol` without JSON, `moorline-core`, and `moorline-server` without its shell.
///
/// # Errors
/// A missing toolchain, or a core that does not build.
pub(crate) fn build() -> Result {
    let toolchain = toolchain()?;
    let target = cargo::target()?.join("wasm");
    for packages in [&["moorline-protocol", "moorline-core"][..], &["moorline-server"][..]] {
        let mut process = match toolchain {
            Toolchain::Present => cargo::cargo(["build"]),
            Toolchain::Debian => debian_cargo(),
        };
        process = process.args(["--target", TARGET, "--lib", "--no-default-features"]);
        for package in packages {
            process = process.args(["-p", package]);
        }
        process.env("CARGO_TARGET_DIR", &target).run()?;
    }
    Ok(())
}

fn toolchain() -> Result<Toolchain> {
    let libraries = Process::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    if libraries.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Ok(Toolchain::Present);
    }
    if !(Path::new(DEBIAN_RUSTC).exists() && Path::new(DEBIAN_STD).exists()) {
        tools::install_debian(&DEBIAN_RUST, "the wasm32 target is missing: rustup target add wasm32-unknown-unknown")?;
    }
    Ok(Toolchain::Debian)
}

fn debian_cargo() -> Process {
    let path = std::env::var("PATH").unwrap_or_default();
    Process::new("/usr/bin/cargo")
        .args(["build", "-Zbuild-std=std,panic_abort"])
        .directory(crate::tree::root())
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTDOC", "/usr/bin/rustdoc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO", "/usr/bin/cargo")
}
