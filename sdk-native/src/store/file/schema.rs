//! Versions of what the file holds, and how an earlier one becomes the next.

use super::record::Entries;
use crate::store::StoreError;

/// Turns the entries of one version into those of the next.
pub(super) type Step = fn(Entries) -> Result<Entries, StoreError>;

/// The versions that are read: the first has the number 1, each step leads to the next, the last one is written.
#[derive(Clone, Copy)]
pub(super) struct Schema(pub(super) &'static [Step]);

/// What this crate reads and writes. A step stays for ever: somewhere there is a device that was off for years.
pub(super) const SCHEMA: Schema = Schema(&[]);

impl Schema {
    /// Returns the version that is written.
    pub(super) fn version(self) -> u32 {
        self.0.len() as u32 + 1
    }

    /// Takes entries of an earlier version to the one that is written.
    ///
    /// # Errors
    /// A step's.
    pub(super) fn migrate(self, from: u32, entries: Entries) -> Result<Entries, StoreError> {
        self.0.iter().skip(from.saturating_sub(1) as usize).try_fold(entries, |entries, step| step(entries))
    }
}
