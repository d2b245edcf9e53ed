//! Who may know whom: the edges between crates, and what a core must not touch.

use serde_json::Value;

use crate::cargo;
use crate::error::{Error, Result};
use crate::tree;

/// Each crate with the crates of this workspace it may use (tests may use more).
const EDGES: &[(&str, &[&str])] = &[
    ("moorline-protocol", &[]),
    ("moorline-core", &["moorline-protocol"]),
    ("moorline", &["moorline-core", "moorline-protocol"]),
    ("moorline-server", &["moorline-protocol"]),
    ("moorline-server-wasm", &["moorline-protocol", "moorline-server"]),
    ("moorline-wasm", &["moorline-core", "moorline-protocol"]),
    ("moorline-mobile", &["moorline"]),
    ("moorline-sim", &["moorline-protocol", "moorline-core", "moorline-server"]),
    ("moorline-crash", &["moorline", "moorline-protocol"]),
    ("moorline-bench", &["moorline", "moorline-core", "moorline-protocol", "moorline-server"]),
    ("moorline-fuzz", &["moorline-protocol", "moorline-core", "moorline-server"]),
    ("chat-rust", &["moorline"]),
    ("exactly-once", &["moorline"]),
    ("xtask", &[]),
];

/// The crates without IO, built without default features.
const CORES: &[&str] = &["moorline-protocol", "moorline-core", "moorline-server"];

/// What no core may depend on: IO, clocks, dice, logs.
const FORBIDDEN_CRATES: &[&str] = &[
    "tokio",
    "mio",
    "async-std",
    "smol",
    "socket2",
    "rustix",
    "libc",
    "getrandom",
    "rand",
    "time",
    "chrono",
    "tracing",
    "log",
    "reqwest",
    "hyper",
];

/// The folders and files that hold the cores' code.
const CORE_SOURCES: &[&str] = &[
    "protocol/src",
    "sdk-core/src",
    "server-ref/src/node",
    "server-ref/src/engine/mod.rs",
    "server-ref/src/engine/core.rs",
    "server-ref/src/engine/core",
    "server-ref/src/engine/memory.rs",
    "server-ref/src/engine/record.rs",
    "server-ref/src/engine/turn.rs",
    "server-ref/src/engine/record",
    "server-ref/wasm/src",
];

/// What the code of a core must not say.
const FORBIDDEN_WORDS: &[&str] = &[
    "tokio::",
    "Instant::now",
    "SystemTime",
    "thread::sleep",
    "thread::spawn",
    "thread_rng",
    "getrandom",
    "std::net",
    "std::fs",
    "std::env::",
    "tracing::",
];

/// Checks edges, dependencies and words.
///
/// # Errors
/// [`Error::Rules`] with one line per breach.
pub(crate) fn check() -> Result {
    let mut broken = edges(&cargo::metadata()?);
    broken.extend(dependencies()?);
    broken.extend(words()?);
    Error::unless_empty(broken)
}

fn edges(metadata: &Value) -> Vec<String> {
    let packages = || metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let members: Vec<&str> = packages().filter_map(name).collect();
    let mut broken = Vec::new();
    for package in packages() {
        let Some(from) = name(package) else { continue };
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == from) else {
            broken.push(format!("{from} has no entry in the table of layers (xtask/src/layers.rs)"));
            continue;
        };
        let used = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let used = used.filter(|dependency| dependency.get("kind").is_none_or(Value::is_null)).filter_map(name);
        let forbidden = used.filter(|to| members.contains(to) && !allowed.contains(to));
        broken.extend(forbidden.map(|to| format!("{from} must not depend on {to}")));
    }
    broken
}

fn name(value: &Value) -> Option<&str> {
    value.get("name").and_then(Value::as_str)
}

fn dependencies() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for core in CORES {
        let tree = cargo::cargo(["tree", "--no-default-features", "--edges", "normal", "--prefix", "none", "-p", core]);
        let tree = tree.output()?;
        let used = tree.lines().filter_map(|line| line.split(' ').next());
        let mut forbidden: Vec<&str> = used.filter(|name| FORBIDDEN_CRATES.contains(name)).collect();
        forbidden.sort_unstable();
        forbidden.dedup();
        broken.extend(forbidden.into_iter().map(|name| format!("{core} must not depend on {name}: it is a core")));
    }
    Ok(broken)
}

fn words() -> Result<Vec<String>> {
    let root = tree::root();
    let mut broken = Vec::new();
    for source in CORE_SOURCES.iter().map(|source| root.join(source)).filter(|source| source.exists()) {
        let files = if source.is_dir() { tree::rust_files(&source)? } else { vec![source] };
        for path in files {
            let text = tree::read(&path)?;
            let shown = path.strip_prefix(&root).unwrap_or(&path).display();
            for (number, line) in tree::code_lines(&text) {
                let code = line.split("//").next().unwrap_or_default();
                let forbidden = FORBIDDEN_WORDS.iter().filter(|word| code.contains(**word));
                broken.extend(forbidden.map(|word| format!("{shown}:{number}: `{word}` has no place in a core")));
            }
        }
    }
    Ok(broken)
}
