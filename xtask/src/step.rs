//! Named steps with their durations, and the summary at the end.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How many checks of a step passed and failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed.
    pub(crate) failed: usize,
}

impl Counts {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; …` (Rust), or `Test Case 'Some.test' passed (0.1 seconds)`
    /// (XCTest); other lines count nothing.
    pub(crate) fn add_test_line(&mut self, line: &str) {
        if line.starts_with("Test Case '") {
            self.passed += usize::from(line.contains("' passed ("));
            self.failed += usize::from(line.contains("' failed ("));
            return;
        }
        let Some(result) = line.trim_start().strip_prefix("test result:") else { return };
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            match pair {
                [count, "passed"] => self.passed += count.parse::<usize>().unwrap_or(0),
                [count, "failed"] => self.failed += count.parse::<usize>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// How a step ended.
enum Outcome {
    Passed(Counts),
    Failed(Counts, Error),
    NotChecked(String),
}

/// Runs steps one after the other and remembers how each ended.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration, Outcome)>,
    only: Option<String>,
}

impl Steps {
    /// Runs only steps whose name contains this, if it says anything.
    pub(crate) fn only(part: Option<&str>) -> Self {
        Self { only: part.map(str::to_owned), ..Self::default() }
    }

    /// Runs a step that is one check.
    pub(crate) fn check(&mut self, name: &'static str, step: impl FnOnce() -> Result) {
        self.count(name, |_| step());
    }

    /// Runs a step that counts checks of its own; without any it counts as one.
    pub(crate) fn count(&mut self, name: &'static str, step: impl FnOnce(&mut Counts) -> Result) {
        self.run(name, false, step);
    }

    /// Runs a step that others are built on, whatever its name.
    pub(crate) fn check_always(&mut self, name: &'static str, step: impl FnOnce() -> Result) {
        let only = self.only.take();
        self.check(name, step);
        self.only = only;
    }

    /// As [`check`](Self::check); where a tool or a package cannot be had, the step was not checked.
    pub(crate) fn check_if_had(&mut self, name: &'static str, step: impl FnOnce() -> Result) {
        self.run(name, true, |_| step());
    }

    /// As [`count`](Self::count); where a tool or a package cannot be had, the step was not checked.
    pub(crate) fn count_if_had(&mut self, name: &'static str, step: impl FnOnce(&mut Counts) -> Result) {
        self.run(name, true, step);
    }

    fn run(&mut self, name: &'static str, may_lack: bool, step: impl FnOnce(&mut Counts) -> Result) {
        if !self.is_wanted(name) {
            return;
        }
        println!("\n── {name}");
        let begin = Instant::now();
        let mut counts = Counts::default();
        let outcome = match step(&mut counts) {
            Ok(()) if counts.passed == 0 => Outcome::Passed(Counts { passed: 1, failed: 0 }),
            Ok(()) => Outcome::Passed(counts),
            // What failed before that is a failure all the same.
            Err(Error::Unobtainable(why)) if may_lack && counts.failed == 0 => Outcome::NotChecked(why),
            Err(error) => Outcome::Failed(Counts { failed: counts.failed.max(1), ..counts }, error),
        };
        let span = begin.elapsed();
        match &outcome {
            Outcome::Failed(_, error) => println!("✗ {name}, {}\n{error}", seconds(span)),
            Outcome::NotChecked(why) => println!("– {name}, not checked: {why}"),
            Outcome::Passed(_) => println!("✓ {name}, {}", seconds(span)),
        }
        self.done.push((name, span, outcome));
    }

    /// Tells whether a step of this name runs.
    pub(crate) fn is_wanted(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }

    /// Tells whether no step ran.
    pub(crate) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Tells whether every step so far passed.
    pub(crate) fn all_passed(&self) -> bool {
        !self.done.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Failed(..)))
    }

    /// The table of what was not verified: a head, and a line per step with what it lacked; empty if all was.
    fn not_verified(&self) -> Vec<String> {
        let lacking = self.done.iter().filter_map(|(name, _, outcome)| match outcome {
            Outcome::NotChecked(why) => Some(format!("– {name}: {}", why.replace('\n', " "))),
            Outcome::Passed(_) | Outcome::Failed(..) => None,
        });
        let lines: Vec<String> = lacking.collect();
        if lines.is_empty() { lines } else { [vec!["\nnot verified on this machine:".to_owned()], lines].concat() }
    }

    /// Prints the summary; the last line is `N passed, N failed`.
    ///
    /// # Errors
    /// [`Error::Steps`] if a step failed.
    pub(crate) fn finish(self) -> Result {
        let mut total = Counts::default();
        let mut time = Duration::ZERO;
        println!();
        for (name, span, outcome) in &self.done {
            let span_text = seconds(*span);
            time += *span;
            match outcome {
                Outcome::Passed(counts) => println!("✓ {name:<44} {span_text:>9}   {:>5} passed", counts.passed),
                Outcome::Failed(counts, _) => {
                    println!("✗ {name:<44} {span_text:>9}   {:>5} passed, {} failed", counts.passed, counts.failed);
                }
                Outcome::NotChecked(_) => println!("– {name:<44} {span_text:>9}   not checked"),
            }
            if let Outcome::Passed(counts) | Outcome::Failed(counts, _) = outcome {
                total.passed += counts.passed;
                total.failed += counts.failed;
            }
        }
        println!("in {}", seconds(time));
        for line in self.not_verified() {
            println!("{line}");
        }
        println!("{} passed, {} failed", total.passed, total.failed);
        if self.all_passed() { Ok(()) } else { Err(Error::Steps) }
    }
}

fn seconds(span: Duration) -> String {
    let whole = span.as_secs();
    if whole >= 60 { format!("{} m {:02} s", whole / 60, whole % 60) } else { format!("{:.1} s", span.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unobtainable() -> Error {
        Error::Unobtainable("Swift 6 is missing".to_owned())
    }

    #[test]
    fn only_what_cannot_be_had_is_not_checked() {
        let mut steps = Steps::default();
        steps.check_if_had("Swift", || Err(unobtainable()));
        assert!(steps.all_passed());
        assert_eq!(steps.not_verified(), ["\nnot verified on this machine:", "– Swift: Swift 6 is missing"]);
        assert!(steps.finish().is_ok());
        let failures: [fn(&mut Counts) -> Result; 3] = [
            |_| Err(Error::Missing("a mount is in the way".to_owned())),
            |_| Err(Error::Answer("mvn")),
            |counts| {
                counts.failed = 1;
                Err(unobtainable())
            },
        ];
        for failure in failures {
            let mut steps = Steps::default();
            steps.count_if_had("Swift", failure);
            assert!(!steps.all_passed());
            assert!(steps.not_verified().is_empty());
        }
        // A step that everybody can run lacks nothing.
        let mut steps = Steps::default();
        steps.check("tests", || Err(unobtainable()));
        assert!(!steps.all_passed());
    }

    #[test]
    fn adds_up_test_results() {
        let mut counts = Counts::default();
        counts.add_test_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        counts.add_test_line("test result: FAILED. 3 passed; 2 failed; 0 ignored");
        counts.add_test_line("test a::b ... ok, 7 passed");
        assert_eq!((counts.passed, counts.failed), (15, 2));
        counts.add_test_line("Test Case 'Messages.test_order' started at 2026-01-01 00:00:00.000");
        counts.add_test_line("Test Case 'Messages.test_order' passed (0.2 seconds)");
        counts.add_test_line("Test Case 'Messages.test_passed' failed (0.2 seconds)");
        assert_eq!((counts.passed, counts.failed), (16, 3));
    }
}
