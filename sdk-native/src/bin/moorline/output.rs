use std::fmt::Display;
use std::io::Write;

use crate::Failed;

/// Prints one line on standard output and sees to it that it is out.
///
/// # Errors
/// [`Failed::NobodyReads`], or what the system says.
pub(crate) fn print(line: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Tells people something, if anybody is there.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "moorline: {text}");
}
