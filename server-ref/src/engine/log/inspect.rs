//! Looks at a data directory without changing it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::files::{self, Directory, Files, LogFile};
use super::open::LogConfig;
use super::recovery::{Recovered, recover};
use super::{OpenError, checkpoint, segment, tables};
use crate::engine::core::CoreConfig;

/// What is in a data directory. Displays as text for people.
#[derive(Debug)]
pub struct Report {
    lines: Vec<String>,
    /// What is wrong with it, if anything.
    pub damage: Option<OpenError>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        match &self.damage {
            None => write!(f, "no damage found"),
            Some(damage) => write!(f, "DAMAGE: {damage}"),
        }
    }
}

/// Reads a data directory, also that of a running server (what it writes meanwhile may be missing).
///
/// # Errors
/// [`OpenError::Directory`] if there is nothing to look at.
pub fn inspect(dir: &Path) -> Result<Report, OpenError> {
    let path = dir.display().to_string();
    let files: Arc<dyn Files> = Arc::new(ReadOnly(Directory::new(dir)));
    let names = files.list().map_err(|source| OpenError::Directory { path: path.clone(), source })?;
    if !names.iter().any(|name| segment::base_of(name).is_some() || name == "store") {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no log in it");
        return Err(OpenError::Directory { path, source });
    }
    let mut lines = vec![format!("data directory {path}")];
    let store = files::read(files.as_ref(), "store").ok().and_then(|bytes| String::from_utf8(bytes).ok());
    lines.extend(store.map(|store| store.trim().replace('\n', ", ")));
    for name in names.iter().filter(|name| is_data(name)) {
        let len = files.open(name, false).and_then(|file| file.size()).unwrap_or(0);
        lines.push(format!("  {name}  {len} bytes"));
    }
    match recover(CoreConfig::new("inspect"), &files, &names, &LogConfig::new(dir)) {
        Ok(Recovered { core, torn }) => {
            let stats = core.stats();
            let tables = core.store().table_stats();
            lines.push(format!(
                "{} tables of ids, producers and cursors: {} entries, {} bytes; since the checkpoint: {} ids, {} \
                 producers, {} cursors",
                tables.tables, tables.entries, tables.bytes, stats.ids, stats.producers, stats.cursors
            ));
            lines.push(format!("{} channels:", stats.channels));
            for (key, epoch, [first, head], id) in core.channels() {
                let (count, bytes) = core.store().places.size(id);
                let epoch = epoch.as_str();
                lines.push(format!(
                    "  {}/{}  epoch {epoch}  offsets {first}..{head}  {count} messages, {bytes} bytes",
                    key.app, key.name
                ));
            }
            if let Some(position) = torn {
                lines.push(format!(
                    "the last batch was cut short at byte {position}; the next start removes it (it was never answered)"
                ));
            }
            let damage = core.store().tables.verify().err().map(OpenError::from);
            Ok(Report { lines, damage })
        }
        Err(damage) => Ok(Report { lines, damage: Some(damage) }),
    }
}

/// Tells whether a file holds messages or state.
fn is_data(name: &str) -> bool {
    segment::base_of(name).or_else(|| checkpoint::lsn_of(name)).or_else(|| tables::number_of(name)).is_some()
}

/// Files that cannot be changed.
struct ReadOnly(Directory);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Files for ReadOnly {
    fn create(&self, _name: &str) -> io::Result<Arc<dyn LogFile>> {
        refused()
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Arc<dyn LogFile>> {
        self.0.open(name, false)
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        refused()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }
}
