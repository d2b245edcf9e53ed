//! What the module exports, besides its memory: one server per instance, numbers and bytes in, numbers and bytes out.
//!
//! Bytes go in through [`input`], just before the call that takes them; bytes come out through [`output`], until the
//! next call. Times are ms since 1970. All of it is called from one thread, as WebAssembly is.
//! Elsewhere the names are not exported: some of them are the C library's.

use std::cell::RefCell;

use bytes::Bytes;
use moorline_protocol::{AppName, Codec};

use crate::machine::{Machine, Output};
use crate::operator::Answer;

/// A server and what is handed across.
#[derive(Default)]
struct Seam {
    machine: Option<Machine>,
    input: Vec<u8>,
    output: Bytes,
    conn: u32,
    code: u32,
}

thread_local! {
    static SEAM: RefCell<Seam> = RefCell::default();
}

/// The answer of a call that did what it was asked.
const DONE: u32 = 0;
/// The answer of a call that did not.
const REFUSED: u32 = 1;
/// No output is left.
const NOTHING: u32 = 0;
const SEND: u32 = 1;
const CLOSE: u32 = 2;
const DRAINED: u32 = 3;
const CALL: u32 = 4;
const UNCALL: u32 = 5;

fn with<T>(act: impl FnOnce(&mut Seam) -> T) -> T {
    SEAM.with_borrow_mut(act)
}

fn on_machine(act: impl FnOnce(&mut Machine)) {
    with(|seam| {
        if let Some(machine) = &mut seam.machine {
            act(machine);
        }
    });
}

/// Makes room for `length` bytes that the next call takes, and returns where it is.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn input(length: usize) -> *mut u8 {
    with(|seam| {
        seam.input.resize(length, 0);
        seam.input.as_mut_ptr()
    })
}

/// Returns where the bytes are that the last call put out.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn output() -> *const u8 {
    with(|seam| seam.output.as_ptr())
}

/// Returns how many bytes the last call put out.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn output_length() -> usize {
    with(|seam| seam.output.len())
}

/// Returns the connection of the last output.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn output_conn() -> u32 {
    with(|seam| seam.conn)
}

/// Returns the code of the last output.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn output_code() -> u32 {
    with(|seam| seam.code)
}

/// Starts the server with the settings in the input (JSON). Returns 0, or 1 with a sentence in the output.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn create(now: f64) -> u32 {
    with(|seam| match serde_json::from_slice(&seam.input) {
        Ok(settings) => {
            seam.machine = Some(Machine::new(settings, now as u64));
            DONE
        }
        Err(error) => {
            seam.output = error.to_string().into();
            REFUSED
        }
    })
}

/// A WebSocket was opened for the app whose name is in the input. Returns 0, or 1 if that is no name of an app.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn open(conn: u32, text: u32, now: f64) -> u32 {
    with(|seam| {
        let app = std::str::from_utf8(&seam.input).ok().and_then(|name| AppName::new(name).ok());
        let (Some(machine), Some(app)) = (&mut seam.machine, app) else { return REFUSED };
        machine.open(conn, app, if text == 1 { Codec::Json } else { Codec::Binary }, now as u64);
        DONE
    })
}

/// The WebSocket message in the input arrived.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn message(conn: u32, text: u32, now: f64) {
    with(|seam| {
        let message = Bytes::copy_from_slice(&seam.input);
        if let Some(machine) = &mut seam.machine {
            machine.message(conn, text == 1, message, now as u64);
        }
    });
}

/// A WebSocket is gone.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn closed(conn: u32, now: f64) {
    on_machine(|machine| machine.closed(conn, now as u64));
}

/// So many bytes wait for a connection.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn queued(conn: u32, bytes: usize, now: f64) {
    on_machine(|machine| machine.queued(conn, bytes, now as u64));
}

/// A deadline has passed.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn timeout(now: f64) {
    on_machine(|machine| machine.timeout(now as u64));
}

/// Returns the next deadline; infinity if there is none.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn deadline(now: f64) -> f64 {
    let next = |machine: &Machine| machine.deadline(now as u64);
    with(|seam| seam.machine.as_ref().and_then(next).map_or(f64::INFINITY, |at| at as f64))
}

/// Takes the next output: 0 nothing, 1 a message for a connection (with code 1 if it is text), 2 a close with a code,
/// 3 the server has stopped, 4 a call for the app's backend, 5 nobody waits for the call any more whose number is the code.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn poll() -> u32 {
    with(|seam| match seam.machine.as_mut().and_then(Machine::poll_output) {
        None => NOTHING,
        Some(Output::Send { conn, text, message }) => {
            (seam.conn, seam.code, seam.output) = (conn, u32::from(text), message);
            SEND
        }
        Some(Output::Close { conn, code }) => {
            (seam.conn, seam.code) = (conn, u32::from(code.0));
            CLOSE
        }
        Some(Output::Drained) => DRAINED,
        Some(Output::Call { question, .. }) => {
            seam.output = question;
            CALL
        }
        Some(Output::Uncall(call)) => {
            // A test does not make four thousand million calls.
            seam.code = call as u32;
            UNCALL
        }
    })
}

/// Puts out an [`Answer`] to the [`Ask`](crate::Ask) in the input, both JSON.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn ask(now: f64) {
    with(|seam| {
        let answer = match (&mut seam.machine, serde_json::from_slice(&seam.input)) {
            (Some(machine), Ok(ask)) => machine.handle_ask(ask, now as u64),
            (_, Err(error)) => Answer::Refused(error.to_string()),
            (None, Ok(_)) => Answer::Refused("no server was created".into()),
        };
        seam.output = serde_json::to_vec(&answer).unwrap_or_default().into();
    });
}
