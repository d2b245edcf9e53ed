use std::path::Path;

use moorline::{FileStore, Store, StoreBatch, StoreEntry, StoreError};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::error::{Error, Result};

/// What can keep a client's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Candidate {
    /// The crate's own.
    File,
    /// redb, pure Rust.
    Redb,
    /// SQLite, in C.
    Sqlite,
}

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("store");

struct Redb(redb::Database);

struct Sqlite(rusqlite::Connection);

impl Candidate {
    pub(super) const ALL: [Self; 3] = [Self::File, Self::Redb, Self::Sqlite];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "FileStore",
            Self::Redb => "redb",
            Self::Sqlite => "SQLite, WAL, synchronous=FULL",
        }
    }

    pub(super) fn open(self, path: &Path) -> Result<Box<dyn Store>> {
        let store: std::result::Result<Box<dyn Store>, String> = match self {
            Self::File => FileStore::open(path).map(|store| Box::new(store) as _).map_err(|error| error.to_string()),
            Self::Redb => open_redb(path).map(|store| Box::new(store) as _).map_err(|error| error.to_string()),
            Self::Sqlite => open_sqlite(path).map(|store| Box::new(store) as _).map_err(|error| error.to_string()),
        };
        store.map_err(|why| Error::Store { store: self.name(), why })
    }

    pub(super) fn commit(self, store: &mut dyn Store, batch: StoreBatch) -> Result {
        store.commit(batch).map_err(|error| Error::Store { store: self.name(), why: error.to_string() })
    }

    pub(super) fn load(self, store: &mut dyn Store) -> Result<Vec<StoreEntry>> {
        store.load().map_err(|error| Error::Store { store: self.name(), why: error.to_string() })
    }
}

/// Opens a database and has it check itself, as a store must.
fn open_redb(path: &Path) -> std::result::Result<Redb, redb::DatabaseError> {
    let mut database = redb::Database::create(path)?;
    database.check_integrity()?;
    Ok(Redb(database))
}

fn open_sqlite(path: &Path) -> rusqlite::Result<Sqlite> {
    let connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE IF NOT EXISTS store (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID", [])?;
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(Sqlite(connection)) } else { Err(rusqlite::Error::InvalidQuery) }
}

fn failed(error: impl std::error::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

impl Redb {
    fn write(&self, batch: &StoreBatch) -> std::result::Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        if batch.clear {
            transaction.delete_table(TABLE)?;
        }
        {
            let mut table = transaction.open_table(TABLE)?;
            for key in &batch.deletes {
                table.remove(key.as_slice())?;
            }
            for (key, value) in &batch.puts {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn read(&self) -> std::result::Result<Vec<StoreEntry>, redb::Error> {
        let table = match self.0.begin_read()?.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        table
            .iter()?
            .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
            .map(|entry| entry.map_err(Into::into))
            .collect()
    }
}

impl Store for Redb {
    fn load(&mut self) -> std::result::Result<Vec<StoreEntry>, StoreError> {
        self.read().map_err(failed)
    }

    fn commit(&mut self, batch: StoreBatch) -> std::result::Result<(), StoreError> {
        self.write(&batch).map_err(failed)
    }
}

impl Sqlite {
    fn write(&mut self, batch: &StoreBatch) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        if batch.clear {
            transaction.execute("DELETE FROM store", [])?;
        }
        {
            let mut delete = transaction.prepare("DELETE FROM store WHERE key = ?1")?;
            let mut put = transaction.prepare("INSERT OR REPLACE INTO store VALUES (?1, ?2)")?;
            for key in &batch.deletes {
                delete.execute([key])?;
            }
            for (key, value) in &batch.puts {
                put.execute([key, value])?;
            }
        }
        transaction.commit()
    }

    fn read(&self) -> rusqlite::Result<Vec<StoreEntry>> {
        let mut all = self.0.prepare("SELECT key, value FROM store")?;
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }
}

impl Store for Sqlite {
    fn load(&mut self) -> std::result::Result<Vec<StoreEntry>, StoreError> {
        self.read().map_err(failed)
    }

    fn commit(&mut self, batch: StoreBatch) -> std::result::Result<(), StoreError> {
        self.write(&batch).map_err(failed)
    }
}
