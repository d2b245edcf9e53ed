//! The release: static binaries for Linux, and what belongs beside them.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{tools, tree, wasm};

/// What links: `zig` as a C compiler with musl inside, and the command that gives it to cargo; from PyPI.
const TOOLS: [&str; 2] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.1"];
/// What a release carries beside its binaries, and where from.
const FILES: [(&str, &str); 8] = [
    ("moorline.service", "deploy/systemd/moorline.service"),
    ("moorline.toml", "docs/moorline.toml"),
    ("alerts.yml", "deploy/prometheus/alerts.yml"),
    ("prometheus.yml", "deploy/prometheus/prometheus.yml"),
    ("grafana.json", "deploy/grafana/moorline.json"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
];
const BINARIES: [&str; 2] = ["moorline-server", "moorline"];
const SUMS: &str = "SHA256SUMS";

/// `cargo xtask dist`
#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// For which processor.
    #[arg(long, value_enum, default_value = "x86-64")]
    arch: Arch,
    /// Optimise less: for tests of what is in the release.
    #[arg(long)]
    quick: bool,
}

/// Processors that binaries are made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Arch {
    /// Intel and AMD.
    #[value(name = "x86-64")]
    X86,
    /// ARM, 64 bits.
    Aarch64,
}

impl Arch {
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }
}

impl Dist {
    pub(crate) fn run(&self) -> Result {
        let folder = release(self.arch, self.quick)?;
        println!("{}", folder.display());
        Ok(())
    }
}

/// Builds a release, and returns its folder. Beside it lies the same as `.tar.gz`.
///
/// # Errors
/// A missing tool; what does not build or link; a binary that is not static.
pub(crate) fn release(arch: Arch, quick: bool) -> Result<PathBuf> {
    let built = build(arch, quick)?;
    let home = home()?;
    let kind = if quick { "-quick" } else { "" };
    let name = format!("moorline-{}-{}{kind}", env!("CARGO_PKG_VERSION"), arch.target());
    let folder = home.join(&name);
    tree::remove(&folder)?;
    tree::create(&folder)?;
    for binary in BINARIES {
        let file = folder.join(binary);
        // Keeps that it may be run.
        std::fs::copy(built.join(binary), &file).map_err(|source| Error::File { path: file.clone(), source })?;
        is_static(&file)?;
    }
    for (to, from) in FILES {
        tree::copy(&tree::root().join(from), &folder.join(to))?;
    }
    let names: Vec<&str> = BINARIES.into_iter().chain(FILES.map(|(name, _)| name)).collect();
    let sums = Process::new("sha256sum").args(&names).directory(&folder).output()?;
    tree::write(&folder.join(SUMS), &sums)?;
    // The same files make the same archive.
    let tar = Process::new("tar").args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["-czf", &format!("{name}.tar.gz"), &name]).env("GZIP", "-n").directory(&home).run()?;
    Ok(folder)
}

/// Returns the archive beside a release's folder.
pub(crate) fn archive(release: &Path) -> PathBuf {
    PathBuf::from(format!("{}.tar.gz", release.display()))
}

fn home() -> Result<PathBuf> {
    Ok(cargo::target()?.join("dist"))
}

/// Builds the binaries, and returns where they are.
fn build(arch: Arch, quick: bool) -> Result<PathBuf> {
    let (tools, target) = (tools::environment(&home()?.join("tools"), &TOOLS)?, arch.target());
    let mut process = if has_target(target) {
        cargo::cargo(["zigbuild"]).env("PATH", path(&[&tools]))
    } else {
        // No target of the toolchain in use: Debian's builds its standard library along. Its own objects for the start of a
        // program are not there; zig has them.
        wasm::debian_rust()?;
        let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
        wasm::debian_cargo()
            .args(["zigbuild", "-Zbuild-std=std,panic_abort"])
            .env(&flags, "-Clink-self-contained=no")
            .env("PATH", path(&[&tools, Path::new("/usr/bin")]))
    };
    process = process.args(["--locked", "--profile", "dist", "--target", target]).env("CARGO_TARGET_DIR", home()?);
    for binary in BINARIES {
        process = process.args(["-p", binary, "--bin", binary]);
    }
    if quick {
        for setting in ["lto=false", "opt-level=1", "codegen-units=16"] {
            process = process.args(["--config", &format!("profile.dist.{setting}")]);
        }
    }
    process.run()?;
    Ok(home()?.join(target).join("dist"))
}

fn has_target(target: &str) -> bool {
    let libraries = Process::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    libraries.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Returns the search path with these folders before all others.
fn path(first: &[&Path]) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = first.iter().map(PathBuf::from).chain(std::env::split_paths(&rest));
    std::env::join_paths(folders).unwrap_or(rest)
}

/// Looks for what a program would have to find on the machine: an interpreter, and shared libraries.
fn is_static(file: &Path) -> Result {
    let headers = Process::new("readelf").args(["--program-headers", "--dynamic", "--wide"]).args([file]).output()?;
    Error::unless_empty(needs(&headers).map(|line| format!("{}: is not static: {line}", file.display())).collect())
}

fn needs(headers: &str) -> impl Iterator<Item = &str> {
    headers.lines().map(str::trim).filter(|line| line.starts_with("INTERP") || line.contains("(NEEDED)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_would_have_to_find_is_seen() {
        let found =
            "  INTERP  0x000318 0x0 R 0x1\n 0x0000000000000001 (NEEDED)  Shared library: [libc.so.6]\n  LOAD 0x0\n";
        assert_eq!(needs(found).count(), 2);
        assert_eq!(needs("  LOAD 0x0\n 0x000000000000001e (FLAGS) BIND_NOW\n").count(), 0);
    }
}
