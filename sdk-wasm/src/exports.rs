//! What the module exports, besides its memory. All of it is called from one thread, as WebAssembly is.
#![expect(unsafe_code, reason = "an exported name is `unsafe` by declaration; nothing in here touches memory by hand")]

use std::cell::RefCell;

use crate::instance::{Instance, moment};

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(act)
}

/// Makes room for `length` bytes that the next call reads, and returns where it is.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    with(|instance| instance.input(length).as_mut_ptr())
}

/// Returns where the last call's output is; see [`Instance::output`].
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    with(|instance| instance.output().as_ptr())
}

/// Makes a client of the settings in the input; see [`Instance::create`]. Its name has the version: hosts may have been given the file
/// of another one by hand.
#[unsafe(export_name = concat!("create-", env!("CARGO_PKG_VERSION")))]
pub extern "C" fn create(mono: f64, unix: f64) -> usize {
    with(|instance| instance.create(moment(mono, unix)))
}

/// Runs the batch in the input; returns where its output is.
#[unsafe(no_mangle)]
pub extern "C" fn run(handle: usize, mono: f64, unix: f64) -> *const u8 {
    with(|instance| {
        instance.run(handle, moment(mono, unix));
        instance.output().as_ptr()
    })
}

/// Forgets a client.
#[unsafe(no_mangle)]
pub extern "C" fn remove(handle: usize) {
    with(|instance| instance.remove(handle));
}
