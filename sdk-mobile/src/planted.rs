//! A bug in the core, for the suites of the languages: they must turn red (`--planted` of `cargo xtask kotlin`, `python`, `swift`).

use moorline::planted::{Bug, Bugs};

use crate::error::{FfiError, FfiFailure, FfiKind, FfiOrigin};

/// What names the bug of every client of a process.
const VARIABLE: &str = "MOORLINE_PLANTED";

/// Returns the bug that the environment names, or none.
///
/// # Errors
/// `client.runtime` for a name that is none: a suite that is green must not be green by a slip of the pen.
pub(crate) fn bugs() -> Result<Bugs, FfiError> {
    let Ok(name) = std::env::var(VARIABLE) else { return Ok(Bugs::default()) };
    match name.as_str() {
        "outbox-unbounded" => Ok(Bugs::only(Bug::OutboxUnbounded)),
        "resume-from-now" => Ok(Bugs::only(Bug::ResumeFromNow)),
        _ => {
            let failure = FfiFailure {
                code: "client.runtime".to_owned(),
                number: 106,
                message: format!("{VARIABLE}: there is no planted bug `{name}`"),
                retryable: false,
                origin: FfiOrigin::Client,
                kind: FfiKind::Internal,
                retry_after_ms: None,
            };
            Err(FfiError::Internal { failure })
        }
    }
}
