//! How much memory reading takes.

/// Returns how many bytes this thread held at most while `work` ran, beyond what it held before.
pub(crate) fn peak(work: impl FnOnce()) -> usize {
    usize::try_from(allocation_counter::measure(work).bytes_max).unwrap_or(usize::MAX)
}

/// Returns how many bytes reading an input of this length may take: a small item of a list is a large structure, and
/// a list that grows is there twice.
pub(crate) fn fair(len: usize) -> usize {
    64 * 1024 + len * 512
}
