//! Builds the cores for wasm32: proof that they need no sockets, threads or clock of the standard library. Runs the
//! simulator there, too: proof that they do the same.

use std::path::{Path, PathBuf};

use crate::cargo::{self, TEST_FAST};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{run, tools, tree};

const TARGET: &str = "wasm32-unknown-unknown";
/// The profile of what goes to browsers.
const WEB: &str = "web";
const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";
const IMMEDIATE_ABORT: &str = "-Zunstable-options -Cpanic=immediate-abort";
/// What LLVM leaves undone for size: whatever is larger than one word is copied by `memory.copy`, addresses in loops are not
/// counted up beside the index, what is known on some paths is not computed ahead on the others, and a function with much on
/// its stack stays one: in a caller of many such, each local is a number of two bytes. Its Attributor (`attributor-enable`)
/// makes a module that is smaller, and wrong.
const SMALL: [&str; 5] = [
    "-Cllvm-args=-max-store-memcpy=1",
    "-Cllvm-args=-disable-lsr",
    "-Cllvm-args=-enable-pre=0",
    "-Cllvm-args=-enable-load-pre=0",
    "-Cllvm-args=-inline-max-stacksize=400",
];
/// A stack of one page, for the clients' core: addresses behind it are short. Its longest path takes 8 KB, and it has no
/// recursion that data could drive. Beyond its end WebAssembly traps.
const SMALL_STACK: &str = "-Clink-arg=-zstack-size=65536";
const CLIENTS: &str = "moorline-wasm";
/// Seeds that `cargo xtask wasm` plays.
const SEEDS: u64 = 64;
/// Debian's Rust, which comes with the source of its standard library; for machines without a wasm32 target.
const DEBIAN_RUST: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld", "llvm"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "wasm-ld";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std";

/// Which Rust builds for wasm32.
enum Toolchain {
    /// The one in use has the target.
    Present,
    /// Debian's, which builds its standard library along.
    Debian,
}

/// `cargo xtask wasm`
///
/// # Errors
/// As [`build`] and [`compare`].
pub(crate) fn command() -> Result {
    build()?;
    compare(&run::build_simulator()?, SEEDS)
}

/// Builds `moorline-protocol` without JSON, `moorline-core`, and `moorline-server` without its shell.
///
/// # Errors
/// A missing toolchain, or a core that does not build.
pub(crate) fn build() -> Result {
    let toolchain = toolchain()?;
    for packages in [&["moorline-protocol", "moorline-core"][..], &["moorline-server"][..]] {
        let mut process = toolchain.cargo_build()?.args(["--lib", "--no-default-features"]);
        for package in packages {
            process = process.args(["-p", package]);
        }
        process.run()?;
    }
    Ok(())
}

/// Builds what the npm package carries of a crate, and returns where the module is. The next call replaces it.
///
/// With the source of the standard library at hand that is built along, for size: a panic is a trap then, without a text.
///
/// # Errors
/// As [`build`].
pub(crate) fn module(package: &str, features: &[&str]) -> Result<PathBuf> {
    let toolchain = toolchain()?;
    let folder = cargo::target()?.join(WEB);
    let mut process = toolchain.cargo("rustc")?.args(["--profile", WEB, "--lib", "-p", package]);
    // Beside a module for Rust, link-time optimisation would do less.
    process = process.args(["--crate-type", "cdylib"]);
    process = process.args(["--features", &features.join(",")]).env("CARGO_TARGET_DIR", &folder);
    if let Toolchain::Debian = toolchain {
        process = process.args(["-Zbuild-std-features=optimize_for_size"]).env(RUSTFLAGS, IMMEDIATE_ABORT);
    }
    let stack = (package == CLIENTS).then_some(SMALL_STACK);
    process.args(["--"]).args(SMALL).args(stack).run()?;
    Ok(folder.join(TARGET).join(WEB).join(format!("{}.wasm", package.replace('-', "_"))))
}

/// Plays seeds of the simulator on wasm32, in Node, and natively, from the simulator in `built`: a seed has one trace.
///
/// # Errors
/// [`Error::Rules`] with the seeds that have two; a missing toolchain, or no Node.
pub(crate) fn compare(built: &Path, seeds: u64) -> Result {
    compare_with(&tree::root().join("tests").join("sim").join("wasm").join("play.mjs"), built, seeds)
}

/// The same with a player of its own: a script for Node that prints `seed trace` lines, called with module, first seed
/// and count.
///
/// # Errors
/// As [`compare`].
pub(crate) fn compare_with(player: &Path, built: &Path, seeds: u64) -> Result {
    tools::node()?;
    toolchain()?.cargo_build()?.args(["--profile", TEST_FAST, "-p", "moorline-sim", "--example", "wasm"]).run()?;
    let module = target()?.join(TARGET).join(TEST_FAST).join("examples").join("wasm.wasm");
    let foreign = Process::new("node").args([player, &module]).args(["0".to_owned(), seeds.to_string()]).output()?;
    let native = run::simulator(built, seeds).args(["--traces"]).output()?;
    let count = foreign.lines().count();
    if count as u64 != seeds || native.lines().count() != count {
        return Err(Error::Answer("the simulator"));
    }
    Error::unless_empty(differences(&native, &foreign))?;
    let player = player.strip_prefix(tree::root()).unwrap_or(player);
    println!("{seeds} seeds, the same traces natively and by {}", player.display());
    Ok(())
}

/// Names the seeds that have two traces.
fn differences(native: &str, foreign: &str) -> Vec<String> {
    let pairs = native.lines().zip(foreign.lines()).filter(|(native, foreign)| native != foreign);
    pairs.map(|(native, foreign)| format!("natively {native}, on wasm32 {foreign}")).collect()
}

fn toolchain() -> Result<Toolchain> {
    let libraries = Process::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    if libraries.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Ok(Toolchain::Present);
    }
    debian_rust()?;
    Ok(Toolchain::Debian)
}

/// Installs Debian's Rust if it is missing.
///
/// # Errors
/// As [`tools::install_debian`].
pub(crate) fn debian_rust() -> Result {
    let has_linker = tools::answers(DEBIAN_LINKER, &["--version"]);
    if Path::new(DEBIAN_RUSTC).exists() && Path::new(DEBIAN_STD).exists() && has_linker {
        return Ok(());
    }
    tools::install_debian(&DEBIAN_RUST, "the wasm32 target is missing: rustup target add wasm32-unknown-unknown")
}

/// Where the builds for wasm32 go: Debian's compiler must not meet the artifacts of another.
fn target() -> Result<PathBuf> {
    Ok(cargo::target()?.join("wasm"))
}

impl Toolchain {
    /// Begins a build for wasm32.
    fn cargo_build(&self) -> Result<Process> {
        self.cargo("build")
    }

    fn cargo(&self, command: &str) -> Result<Process> {
        let process = match self {
            Self::Present => cargo::cargo([command]),
            Self::Debian => debian_cargo().args([command, "-Zbuild-std=std,panic_abort"]),
        };
        Ok(process.args(["--target", TARGET]).env("CARGO_TARGET_DIR", target()?))
    }
}

/// Begins a call of Debian's cargo, which can build the standard library along.
pub(crate) fn debian_cargo() -> Process {
    let path = std::env::var("PATH").unwrap_or_default();
    Process::new("/usr/bin/cargo")
        .directory(tree::root())
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTDOC", "/usr/bin/rustdoc")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO", "/usr/bin/cargo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_with_two_traces_are_named() {
        assert_eq!(differences("0 aa\n1 bb\n", "0 aa\n1 bb\n"), Vec::<String>::new());
        assert_eq!(differences("0 aa\n1 bb\n", "0 aa\n1 bc\n"), ["natively 1 bb, on wasm32 1 bc"]);
    }
}
