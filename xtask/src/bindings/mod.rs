//! What UniFFI makes of the mobile facade, in the packages that use it: Kotlin, Swift, Python.

mod codes;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Process;
use crate::{cargo, tree};

const PACKAGE: &str = "moorline-mobile";
const GENERATOR: &str = "moorline-bindgen";
const LIBRARY: &str = "libmoorline_mobile";
/// The library that is linked rather than loaded.
pub(crate) const STATIC: &str = "libmoorline_mobile.a";

/// What a language's generator makes, and where in the checkout it lies.
const GENERATED: &[(&str, &str, &str)] = &[
    (
        "kotlin",
        "dev/moorline/ffi/moorline_mobile.kt",
        "bindings/kotlin/ffi/src/main/kotlin/dev/moorline/ffi/moorline_mobile.kt",
    ),
    ("swift", "MoorlineFFI.swift", "bindings/swift/Sources/MoorlineFFI/MoorlineFFI.swift"),
    ("swift", "CMoorline.h", "bindings/swift/Sources/CMoorline/CMoorline.h"),
    ("python", "moorline_mobile.py", "bindings/python/src/moorline/_ffi/moorline_mobile.py"),
];

/// `cargo xtask bindings`
#[derive(Debug, clap::Args)]
pub(crate) struct Bindings {
    /// Only report what is not as it would be made now.
    #[arg(long)]
    check: bool,
}

impl Bindings {
    pub(crate) fn run(&self) -> Result {
        if self.check { check() } else { made()?.iter().try_for_each(|(path, text)| write(path, text)) }
    }
}

/// Compares what would be made with what is there.
///
/// # Errors
/// [`Error::Rules`] with the files that differ.
pub(crate) fn check() -> Result {
    Error::unless_empty(drift(&tree::root(), &made()?)?)
}

/// Names the files below `root` that are not there, or have another text.
fn drift(root: &Path, made: &[(String, String)]) -> Result<Vec<String>> {
    let mut old = Vec::new();
    for (path, text) in made {
        if tree::read_if_present(&root.join(path))?.is_none_or(|found| found != *text) {
            old.push(format!("{path} is not what the facade makes: cargo xtask bindings"));
        }
    }
    Ok(old)
}

/// Builds the facade as a library to be loaded, with these features, and returns where it is; the one to be linked is beside it.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn library(profile: &str, features: &[&str]) -> Result<PathBuf> {
    let build = cargo::cargo(["build", "--profile", profile, "-p", PACKAGE, "--lib", "--features"]);
    build.args([features.join(",")]).run()?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(cargo::target()?.join(folder).join(format!("{LIBRARY}{}", std::env::consts::DLL_SUFFIX)))
}

/// Makes everything: paths in the checkout, and texts.
fn made() -> Result<Vec<(String, String)>> {
    cargo::cargo(["build", "-p", PACKAGE, "--features", "bindgen", "--bin", GENERATOR]).run()?;
    let library = library("dev", &[])?;
    let target = cargo::target()?;
    let generator = || Process::new(target.join("debug").join(GENERATOR)).directory(tree::root());
    let mut made = codes::tables(&generator().args(["codes"]).output()?);
    let folder = target.join("bindings");
    tree::remove(&folder)?;
    for language in ["kotlin", "swift", "python"] {
        let out = folder.join(language);
        let call = generator().args(["generate", "--language", language, "--no-format"]);
        let call = call.arg("--config", Path::new("sdk-mobile/bindgen.toml")).arg("--out-dir", &out);
        call.args([&library]).output()?;
        for (_, name, path) in GENERATED.iter().filter(|(of, ..)| *of == language) {
            made.push(((*path).to_owned(), tree::read(&out.join(name))?));
        }
    }
    Ok(made)
}

fn write(path: &str, text: &str) -> Result {
    let path = tree::root().join(path);
    tree::create(path.parent().unwrap_or(&path))?;
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facade made each file anew: those that are in the checkout stand for what it makes.
    fn as_committed() -> Vec<(String, String)> {
        let paths = GENERATED.iter().map(|(.., path)| (*path).to_owned());
        let codes = codes::tables("").into_iter().map(|(path, _)| path);
        paths.chain(codes).map(|path| (path.clone(), tree::read(&tree::root().join(path)).unwrap())).collect()
    }

    #[test]
    fn every_generated_file_that_differs_is_named() {
        let committed = as_committed();
        assert_eq!(committed.len(), 7);
        assert_eq!(drift(&tree::root(), &committed).unwrap(), Vec::<String>::new());
        for at in 0..committed.len() {
            // The facade changed, and makes one function more.
            let mut made = committed.clone();
            made[at].1.push_str("more\n");
            let drifted = drift(&tree::root(), &made).unwrap();
            assert_eq!(drifted, [format!("{} is not what the facade makes: cargo xtask bindings", committed[at].0)]);
        }
    }

    #[test]
    fn a_file_that_was_edited_or_is_gone_is_named() {
        let folder = std::env::temp_dir().join(format!("moorline-drift-{}", std::process::id()));
        let made = vec![("edited.kt".to_owned(), "a\n".to_owned()), ("gone.swift".to_owned(), "b\n".to_owned())];
        tree::create(&folder).unwrap();
        tree::write(&folder.join("edited.kt"), "a, by hand\n").unwrap();
        let drifted = drift(&folder, &made);
        tree::remove(&folder).unwrap();
        let names: Vec<String> = drifted.unwrap().iter().map(|line| line.split(' ').take(1).collect()).collect();
        assert_eq!(names, ["edited.kt", "gone.swift"]);
    }
}
