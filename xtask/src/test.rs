//! `cargo xtask test`: what continuous integration runs.

use crate::cargo::{self, cargo};
use crate::error::Result;
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
}

/// One step of the test.
type Step = fn(&mut Steps);

const STEPS: &[Step] = &[
    lints,
    |steps| steps.count("tests", |counts| tools::curl().and_then(|()| tests(&["--all-targets"], counts))),
    |steps| steps.count("doc tests", |counts| tests(&["--doc"], counts)),
    |steps| steps.check("documentation", documentation),
    |steps| steps.check("cores on wasm32", wasm::build),
    |steps| steps.check("npm package", npm::test),
    |steps| steps.check("npm package in browsers", browsers::test),
    |steps| steps.check("npm package on mini-programs and React Native", platforms::test),
    |steps| steps.check("chats built by uni-app, Taro and Metro", platforms::apps),
    |steps| steps.check("generated bindings are current", bindings::check),
    |steps| steps.count("Python package", python::test),
    |steps| steps.check("mobile facade for Android, iOS, HarmonyOS", mobile::test),
    swift::step,
    |steps| steps.count("Kotlin packages", kotlin::test),
    deny,
    conformance::step,
    api::step,
    image::step,
    guide::step,
    runs,
];

impl Test {
    pub(crate) fn run(&self) -> Result {
        let mut steps = Steps::default();
        for step in STEPS {
            step(&mut steps);
            if self.fail_fast && !steps.all_passed() {
                break;
            }
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

fn documentation() -> Result {
    cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

fn deny(steps: &mut Steps) {
    steps.check("licences, bans and sources", || {
        tools::cargo_deny()?;
        cargo(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]).run()
    });
}

/// What runs the real thing: the simulator, the crash test, the demo.
fn runs(steps: &mut Steps) {
    let mut built = None;
    steps.check("build of simulator, crash test and demo", || run::build_all().map(|folder| built = Some(folder)));
    let Some(built) = built else { return };
    steps.check("simulator, seeds that failed once", || run::corpus(&built).run());
    steps.check("simulator, 2,000 seeds", || run::simulator(&built, SEEDS).run());
    steps.check("simulator, 64 seeds natively and on wasm32", || wasm::compare(&built, TWIN_SEEDS));
    steps.check("simulator, 16 seeds natively and in Chromium", || browsers::compare(&built, browsers::SEEDS));
    steps
        .check("simulator, 64 seeds natively and as plain JavaScript", || platforms::compare(&built, platforms::SEEDS));
    steps.check("a phone away for 100,000 messages", || run::away(&built));
    steps.check("5,000 clients come back to a server", || run::storm(&built));
    steps.check("10,000 HTTP requests on a network that fails", || run::requests(&built));
    steps.check("network scripts, 200", || run::scripts(&built, SCRIPTS, None));
    steps.check("crash test, 50 kills", || run::crash(&built, KILLS, None));
    steps.check("demo", || run::demo(&built, true));
    // Last, since they replace the simulator's binary by one with bugs in it.
    steps.count("scenarios of the holes, each with its planted bugs", run::scenarios);
    steps.check("simulator finds every planted bug", || run::planted_bugs(BUG_SEEDS));
}
