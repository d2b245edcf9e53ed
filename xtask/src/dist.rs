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
const FILES: [(&str, &str); 9] = [
    ("moorline.service", "deploy/systemd/moorline.service"),
    ("moorline.sysusers", "deploy/systemd/moorline.sysusers"),
    ("moorline.toml", "docs/moorline.toml"),
    ("alerts.yml", "deploy/prometheus/alerts.yml"),
    ("prometheus.yml", "deploy/prometheus/prometheus.yml"),
    ("grafana.json", "deploy/grafana/moorline.json"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
];
const BINARIES: [&str; 2] = ["moorline-server", "moorline"];
/// zig does not know `-static-pie`; with this it makes one all the same, and addresses are random.
const PIE: &str = "-Clink-arg=-pie";
const SUMS: &str = "SHA256SUMS";

/// `cargo xtask dist`
#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// For which processor.
    #[arg(long, value_enum, default_value = "x86-64")]
    arch: Arch,
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
        let built = build(self.arch, &BINARIES, &[])?;
        for binary in BINARIES {
            is_static(&built.join(binary))?;
        }
        let folder = assemble(&built, &home()?, self.arch)?;
        println!("{}", folder.display());
        Ok(())
    }
}

/// Builds the server alone, static and hardly optimised, and returns where it is: for tests.
///
/// # Errors
/// A missing tool; what does not build or link; a binary that is not static.
pub(crate) fn trial() -> Result<PathBuf> {
    let quick = ["lto=false", "opt-level=0", "codegen-units=16"];
    let file = build(Arch::X86, &BINARIES[..1], &quick)?.join(BINARIES[0]);
    is_static(&file)?;
    Ok(file)
}

/// Puts a release together in `home` from binaries in `built`, and returns its folder. Beside it lies the same as `.tar.gz`.
///
/// # Errors
/// A file that is not there.
pub(crate) fn assemble(built: &Path, home: &Path, arch: Arch) -> Result<PathBuf> {
    let name = format!("moorline-{}-{}", env!("CARGO_PKG_VERSION"), arch.target());
    let folder = home.join(&name);
    tree::remove(&folder)?;
    tree::create(&folder)?;
    for binary in BINARIES {
        let file = folder.join(binary);
        // Keeps that it may be run.
        std::fs::copy(built.join(binary), &file).map_err(|source| Error::File { path: file.clone(), source })?;
    }
    for (to, from) in FILES {
        tree::copy(&tree::root().join(from), &folder.join(to))?;
    }
    let names: Vec<&str> = BINARIES.into_iter().chain(FILES.map(|(name, _)| name)).collect();
    let sums = Process::new("sha256sum").args(&names).directory(&folder).output()?;
    tree::write(&folder.join(SUMS), &sums)?;
    // The same files make the same archive.
    let tar = Process::new("tar").args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--use-compress-program=gzip -n", "-cf", &format!("{name}.tar.gz"), &name]).directory(home).run()?;
    Ok(folder)
}

/// Returns the archive beside a release's folder.
pub(crate) fn archive(release: &Path) -> PathBuf {
    PathBuf::from(format!("{}.tar.gz", release.display()))
}

fn home() -> Result<PathBuf> {
    Ok(cargo::target()?.join("dist"))
}

/// Builds binaries, with these settings of the profile instead of its own, and returns where they are.
fn build(arch: Arch, binaries: &[&str], settings: &[&str]) -> Result<PathBuf> {
    let (tools, target) = (tools::environment(&home()?.join("tools"), &TOOLS)?, arch.target());
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut process = if has_target(target) {
        cargo::cargo(["zigbuild"]).env(&flags, PIE).env("PATH", path(&[&tools]))
    } else {
        // No target of the toolchain in use: Debian's builds its standard library along. Its own objects for the start of a
        // program are not there; zig has them.
        wasm::debian_rust()?;
        wasm::debian_cargo()
            .args(["zigbuild", "-Zbuild-std=std,panic_abort"])
            .env(&flags, format!("-Clink-self-contained=no {PIE}"))
            .env("PATH", path(&[&tools, Path::new("/usr/bin")]))
    };
    process = process.args(["--locked", "--profile", "dist", "--target", target]).env("CARGO_TARGET_DIR", home()?);
    for binary in binaries {
        process = process.args(["-p", binary, "--bin", binary]);
    }
    for setting in settings {
        process = process.args(["--config", &format!("profile.dist.{setting}")]);
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

/// Looks for what a program would have to find on the machine: an interpreter, and shared libraries. Its addresses must not be
/// fixed either.
fn is_static(file: &Path) -> Result {
    let headers = Process::new("readelf")
        .args(["--file-header", "--program-headers", "--dynamic", "--wide"])
        .args([file])
        .output()?;
    Error::unless_empty(
        needs(&headers).map(|line| format!("{}: is not what a release is: {line}", file.display())).collect(),
    )
}

fn needs(headers: &str) -> impl Iterator<Item = &str> {
    let is_wrong = |line: &&str| {
        line.starts_with("INTERP") || line.contains("(NEEDED)") || line.starts_with("Type:") && !line.contains("DYN")
    };
    headers.lines().map(str::trim).filter(is_wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_would_have_to_find_is_seen() {
        let found =
            "  INTERP  0x000318 0x0 R 0x1\n 0x0000000000000001 (NEEDED)  Shared library: [libc.so.6]\n  LOAD 0x0\n";
        assert_eq!(needs(found).count(), 2);
        assert_eq!(needs("  Type:                              EXEC (Executable file)\n").count(), 1);
        assert_eq!(needs("  Type:   DYN (Position-Independent Executable file)\n  LOAD 0x0\n").count(), 0);
    }
}
