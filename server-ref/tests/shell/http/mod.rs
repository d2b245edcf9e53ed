//! The HTTP API, from a backend to the real program.

mod bad;
mod client;
mod console;
mod docs;
mod keys;
mod metrics;
mod operations;
mod publish;
mod reading;
mod slow;

use std::path::Path;

use crate::support::program::Program;

pub(crate) use self::client::{Answer, Http};

/// A development server and a backend with its key.
fn backend(data: &Path) -> (Program, Http) {
    let program = Program::dev(data);
    let http = Http::new(program.address(), "dev");
    (program, http)
}
