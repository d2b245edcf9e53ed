//! The HTTP API against its own description: both documents are linted, and schemathesis sends what OpenAPI allows, and
//! what it does not, to the real server.

use std::path::{Path, PathBuf};

use crate::cargo::{self, cargo};
use crate::error::Result;
use crate::process::Process;
use crate::step::Steps;
use crate::{tools, tree};

const PYTHON: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
const NPM: &str = "@asyncapi/parser@3.6.6";
pub(crate) const NAME: &str = "HTTP API against its OpenAPI and AsyncAPI documents";
/// Requests per endpoint and kind, beside those that are worked out.
const EXAMPLES: &str = "40";
/// The same requests each time: what was found once is found again.
const SEED: &str = "1";

/// `cargo xtask api`
///
/// # Errors
/// A missing tool, or what one of them found.
pub(crate) fn command() -> Result {
    let mut steps = Steps::default();
    steps.check(NAME, test);
    steps.finish()
}

/// Lints both documents, and sends the requests.
///
/// # Errors
/// What one of the tools found; a tool that cannot be had.
pub(crate) fn test() -> Result {
    let folder = cargo::target()?.join("api");
    tree::create(&folder)?;
    let python = python(&folder)?;
    let parser = parser(&folder)?;
    cargo(["build", "-p", "moorline-server", "--bin", "moorline-server"]).run()?;
    let server = Process::new(cargo::target()?.join("debug").join("moorline-server"));
    let server = server.args(["--dev", "--engine", "memory", "--listen", "127.0.0.1:0"]).env("MOORLINE_LOG", "warn");
    let server = server.serve()?.killed();
    let address = server.line().rsplit("ws://").next().and_then(|rest| rest.strip_suffix("/ws")).unwrap_or_default();
    let base = format!("http://{address}");
    let scripts = tree::root().join("xtask").join("api");
    let fetch = |name: &str| -> Result<PathBuf> {
        let file = folder.join(name);
        let get = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])";
        Process::new(python.join("python")).args(["-c", get, &format!("{base}/{name}")]).args([&file]).run()?;
        Ok(file)
    };
    Process::new(python.join("openapi-spec-validator")).args([fetch("openapi.json")?]).run()?;
    Process::new("node").args([scripts.join("asyncapi.cjs")]).args([parser, fetch("asyncapi.json")?]).run()?;
    Process::new(python.join("schemathesis"))
        .arg("--config-file", &scripts.join("schemathesis.toml"))
        .args(["run", &format!("{base}/openapi.json"), "--header", "Authorization: Bearer dev"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--no-color"])
        .directory(&folder)
        .run()
}

/// Installs the Python tools into a folder of their own. Returns where their programs are.
fn python(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("python");
    let programs = folder.join("bin");
    if !programs.join("schemathesis").exists() {
        Process::new(tools::python()?).args(["-m", "venv"]).args([&folder]).run()?;
        Process::new(programs.join("pip")).args(["install", "--quiet"]).args(PYTHON).obtain("schemathesis")?;
    }
    Ok(programs)
}

/// Installs the parser of AsyncAPI into a folder of its own. Returns where it is.
fn parser(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("node");
    let package = folder.join("node_modules").join("@asyncapi").join("parser");
    if !package.exists() {
        tools::node()?;
        tools::npm()?;
        tree::create(&folder)?;
        Process::new("npm")
            .args(["install", "--silent", "--no-save", "--prefix"])
            .args([&folder])
            .args([NPM])
            .obtain(NPM)?;
    }
    Ok(package)
}
