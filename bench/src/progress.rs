//! What is going on, on stderr; stdout is for the figures.

/// Tells the person who waits.
#[expect(clippy::print_stderr, reason = "progress does not belong among the figures")]
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}
