use std::sync::atomic::{AtomicU64, Ordering};

/// How many objects a process holds, to find what is never released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct FfiLive {
    /// Clients.
    pub clients: u64,
    /// Handles on channels.
    pub channels: u64,
    /// Readers of all kinds.
    pub readers: u64,
    /// Receipts.
    pub receipts: u64,
    /// Token providers that can still be asked.
    pub providers: u64,
}

/// Returns how many objects there are. For tests: it counts over all clients of the process.
#[uniffi::export]
pub fn live() -> FfiLive {
    let count = |counter: &AtomicU64| counter.load(Ordering::Acquire);
    FfiLive {
        clients: count(&CLIENTS),
        channels: count(&CHANNELS),
        readers: count(&READERS),
        receipts: count(&RECEIPTS),
        providers: count(&PROVIDERS),
    }
}

pub(crate) static CLIENTS: AtomicU64 = AtomicU64::new(0);
pub(crate) static CHANNELS: AtomicU64 = AtomicU64::new(0);
pub(crate) static READERS: AtomicU64 = AtomicU64::new(0);
pub(crate) static RECEIPTS: AtomicU64 = AtomicU64::new(0);
pub(crate) static PROVIDERS: AtomicU64 = AtomicU64::new(0);

/// Counts an object as long as it lives.
pub(crate) struct Counted(&'static AtomicU64);

impl Counted {
    pub(crate) fn new(counter: &'static AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(counter)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
