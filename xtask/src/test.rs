//! `cargo xtask test`: what continuous integration runs.

use std::path::Path;

use crate::cargo::{self, cargo};
use crate::error::{Error, Result};
use crate::step::{Counts, Steps};
use crate::{
    api, bindings, browsers, conformance, guide, image, kotlin, layers, mobile, npm, platforms, python, readme, run,
    security, sizes, swift, tools, wasm,
};

/// Seeds of the simulator.
const SEEDS: u64 = 2_000;
/// Seeds that are played natively and on wasm32.
const TWIN_SEEDS: u64 = 64;
/// Fresh seeds on which each planted bug is looked for, beside its recorded one.
const BUG_SEEDS: u64 = 200;
/// Groups of clients on networks that fail.
const SCRIPTS: u64 = 200;
/// SIGKILLs of the server under load.
const KILLS: u32 = 50;

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Stop at the first step that fails.
    #[arg(long)]
    fail_fast: bool,
    /// Only the steps whose name contains this, such as `Kotlin` or `simulator`.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

/// One step of the test.
type Step = fn(&mut Steps);

const STEPS: &[Step] = &[
    lints,
    |steps| steps.count("tests", |counts| tools::curl().and_then(|()| tests(&["--all-targets"], counts))),
    |steps| steps.count("core with the bytes that browsers have", small_core),
    |steps| steps.count("doc tests", |counts| tests(&["--doc"], counts)),
    |steps| steps.check("documentation", documentation),
    |steps| steps.check_if_had("cores on wasm32", wasm::build),
    |steps| steps.check_if_had("npm package", npm::test),
    |steps| steps.check_if_had("npm package in browsers", browsers::test),
    |steps| steps.check_if_had("npm package on mini-programs and React Native", platforms::test),
    |steps| steps.check_if_had("chats built by uni-app, Taro and Metro", platforms::apps),
    |steps| steps.check("generated bindings are current", bindings::check),
    |steps| steps.count_if_had("Python package", python::test),
    |steps| steps.check_if_had("mobile facade for Android, iOS, HarmonyOS", mobile::test),
    |steps| steps.count_if_had("Swift package", swift::test),
    |steps| steps.count_if_had("Kotlin packages", kotlin::test),
    deny,
    |steps| steps.count_if_had(conformance::NAME, conformance::test),
    |steps| steps.check_if_had(api::NAME, api::test),
    |steps| steps.count_if_had(image::NAME, image::test),
    |steps| steps.count_if_had(guide::NAME, guide::test),
    runs,
];

impl Test {
    pub(crate) fn run(&self) -> Result {
        let mut steps = Steps::only(self.only.as_deref());
        for step in STEPS {
            step(&mut steps);
            if self.fail_fast && !steps.all_passed() {
                break;
            }
        }
        if steps.is_empty() {
            return Err(Error::Missing("no step has a name that contains that".to_owned()));
        }
        steps.finish()
    }
}

/// `cargo xtask lint`
///
/// # Errors
/// Names the steps that failed.
pub(crate) fn lint() -> Result {
    let mut steps = Steps::default();
    lints(&mut steps);
    deny(&mut steps);
    steps.finish()
}

fn lints(steps: &mut Steps) {
    steps.check("formatting", || cargo::fmt(true));
    steps.check("file sizes", sizes::check);
    steps.check("layers", layers::check);
    steps.check("README in both languages", readme::check);
    steps.check("tests that SECURITY.md names", security::check);
    steps.check("clippy", || {
        cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--keep-going", "--", "-D", "warnings"])
            .run()
    });
}

fn tests(which: &[&str], counts: &mut Counts) -> Result {
    cargo(["test", "--workspace", "--no-fail-fast"]).args(which).run_tests(counts)
}

/// The workspace has the features of all; here the core has none that is for speed alone.
fn small_core(counts: &mut Counts) -> Result {
    let features = "blackbox,chacha,fast-inflate";
    cargo(["test", "-p", "moorline-core", "--no-default-features", "--features", features]).run_tests(counts)
}

fn documentation() -> Result {
    cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

fn deny(steps: &mut Steps) {
    steps.check_if_had("licences, bans and sources", || {
        tools::cargo_deny()?;
        cargo(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]).run()
    });
}

/// A run of what [`run::build_all`] builds.
type Run = fn(&Path) -> Result;

/// What runs the real thing: the simulator, the crash test, the demo.
const RUNS: &[(&str, Run)] = &[
    ("simulator, seeds that failed once", |built| run::corpus(built).run()),
    ("simulator, 2,000 seeds", |built| run::simulator(built, SEEDS).run()),
    ("simulator, 64 seeds natively and on wasm32", |built| wasm::compare(built, TWIN_SEEDS)),
    ("simulator, 16 seeds natively and in Chromium", |built| browsers::compare(built, browsers::SEEDS)),
    ("simulator, 64 seeds natively and as plain JavaScript", |built| platforms::compare(built, platforms::SEEDS)),
    ("a phone away for 100,000 messages", run::away),
    ("5,000 clients come back to a server", run::storm),
    ("10,000 HTTP requests on a network that fails", run::requests),
    ("network scripts, 200", |built| run::scripts(built, SCRIPTS, None)),
    ("crash test, 50 kills", |built| run::crash(built, KILLS, None)),
    ("demo", |built| run::demo(built, true)),
];

fn runs(steps: &mut Steps) {
    if RUNS.iter().any(|(name, _)| steps.is_wanted(name)) {
        let mut built = None;
        steps.check_always("build of simulator, crash test and demo", || {
            run::build_all().map(|folder| built = Some(folder))
        });
        let Some(built) = built else { return };
        for (name, run) in RUNS {
            steps.check_if_had(name, || run(&built));
        }
    }
    // Last, since they replace the simulator's binary by one with bugs in it.
    steps.count("scenarios of the holes, each with its planted bugs", run::scenarios);
    steps.check("simulator finds every planted bug", || run::planted_bugs(BUG_SEEDS));
}
