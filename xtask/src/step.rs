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
    NotChecked(&'static str),
}

/// Runs steps one after the other and remembers how each ended.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration, Outcome)>,
}

impl Steps {
    /// Runs a step that is one check.
    pub(crate) fn check(&mut self, name: &'static str, step: impl FnOnce() -> Result) {
        self.count(name, |_| step());
    }

    /// Runs a step that counts checks of its own; without any it counts as one.
    pub(crate) fn count(&mut self, name: &'static str, step: impl FnOnce(&mut Counts) -> Result) {
        println!("\n── {name}");
        let begin = Instant::now();
        let mut counts = Counts::default();
        let outcome = match step(&mut counts) {
            Ok(()) if counts.passed == 0 => Outcome::Passed(Counts { passed: 1, failed: 0 }),
            Ok(()) => Outcome::Passed(counts),
            Err(error) => Outcome::Failed(Counts { failed: counts.failed.max(1), ..counts }, error),
        };
        let span = begin.elapsed();
        match &outcome {
            Outcome::Failed(_, error) => println!("✗ {name}, {}\n{error}", seconds(span)),
            Outcome::Passed(_) | Outcome::NotChecked(_) => println!("✓ {name}, {}", seconds(span)),
        }
        self.done.push((name, span, outcome));
    }

    /// Notes a step that cannot be checked on this machine.
    pub(crate) fn not_checked(&mut self, name: &'static str, why: &'static str) {
        println!("\n── {name}\n– not checked: {why}");
        self.done.push((name, Duration::ZERO, Outcome::NotChecked(why)));
    }

    /// Tells whether every step so far passed.
    pub(crate) fn all_passed(&self) -> bool {
        !self.done.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Failed(..)))
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
                Outcome::NotChecked(why) => println!("– {name:<44} not checked: {why}"),
            }
            if let Outcome::Passed(counts) | Outcome::Failed(counts, _) = outcome {
                total.passed += counts.passed;
                total.failed += counts.failed;
            }
        }
        println!("in {}", seconds(time));
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
