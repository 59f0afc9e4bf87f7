//! How a file is opened: whether it is whole, and whether it fits today's schema and this config.
//!
//! Nothing here writes a file that it refuses.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::damage::Before;
use super::full::{Fullness, Leaves, is_full};
use super::mark::{Deed, Mark, Watch};
use super::reserve::Reserve;
use super::{OpenError, Recovered, Routing, Settings, damage, is_busy, lock, schema, silences, start, wal};
use crate::clock;
use crate::silence::Silences;

/// A file that is open and fits.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) reserve: Reserve,
    pub(super) mark: Mark,
    pub(super) routing: Routing,
    pub(super) recovered: Recovered,
    /// Pages that the file may have, if it has a bound.
    pub(super) pages: Option<u32>,
    /// All silences.
    pub(super) silences: Silences,
}

/// What a file shall fit.
pub(super) struct Wanted<'a> {
    pub(super) routing: &'a Routing,
    pub(super) senders: &'a [String],
    pub(super) clock: &'a clock::Clock,
}

/// Refuses what is no plain file: a folder holds no store, and whoever opens a pipe waits.
///
/// # Errors
///
/// Something else than a plain file is there, or it has more than one name.
pub fn check_place(path: &Path) -> Result<(), OpenError> {
    check_kind(path)?;
    match fs::metadata(path) {
        Ok(found) if found.nlink() > 1 => {
            Err(OpenError::Linked { path: path.display().to_string(), links: found.nlink() })
        }
        _ => Ok(()),
    }
}

/// The same for whoever only looks: that may be done under any name.
pub(super) fn check_kind(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let what = if found.is_dir() { "a folder" } else { "no plain file" };
            Err(OpenError::NotAFile { path: path.display().to_string(), what })
        }
        _ => Ok(()),
    }
}

pub(super) fn open_file(settings: &Settings, wanted: &Wanted<'_>, watch: &Watch) -> Result<Opened, OpenError> {
    let path = settings.path.as_deref();
    let mut mark = Mark::beside(path, watch.clone())?;
    let before = path.map(|path| damage::before(path, mark.left())).transpose()?.unwrap_or(Before::New);
    if before == Before::New {
        mark.forget()?;
    }
    let mut conn = settings.connect().map_err(|error| damage::explain(path, error.into()))?;
    conn.set_prepared_statement_cache_capacity(64);
    // What is refused is left as it is: SQLite would empty its log at the end. Of an empty log it takes the file away.
    let keeps_log = path.is_some_and(|path| damage::log_bytes(path) > 0);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
    let mut held_up = HeldUp { settings, fullness: Fullness::of(settings), reserve: None };
    loop {
        match damage::look_at(&conn, path, before, mark.left()) {
            Err(error) if held_up.can_go_on(&error) => {}
            looked => break looked.map_err(|error| held_up.explain(error))?,
        }
    }
    mark.unseal()?;
    let (routing, recovered) = loop {
        let settled = settle(&mut conn, settings, watch);
        match settled.and_then(|()| fit(&mut conn, settings, wanted)) {
            Err(error) if held_up.can_go_on(&error) => {}
            fitted => break fitted.map_err(|error| held_up.explain(error))?,
        }
    };
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let (pages, silences) = loop {
        match begin(&conn, settings, wanted, &mut mark).map_err(OpenError::from) {
            Err(error) if held_up.can_go_on(&error) => {}
            begun => break begun.map_err(|error| held_up.explain(error))?,
        }
    };
    let reserve = held_up.reserve.unwrap_or_else(|| settings.reserve());
    Ok(Opened { conn, reserve, mark, routing, recovered, pages, silences })
}

/// What a start waits for, or makes room for.
struct HeldUp<'a> {
    settings: &'a Settings,
    fullness: Fullness,
    /// Once some of it was needed.
    reserve: Option<Reserve>,
}

impl HeldUp<'_> {
    /// Whether trying again can help: somebody else has the file, or there is room now.
    fn can_go_on(&mut self, error: &OpenError) -> bool {
        if self.is_full(error) {
            // What a start writes is little, and deliveries cannot go on without it.
            return self.reserve.get_or_insert_with(|| self.settings.reserve()).give(Leaves::Nothing);
        }
        let is_busy = matches!(error, OpenError::Sqlite(error) if is_busy(error));
        if is_busy {
            tracing::warn!("the store is locked by another program; waiting until it can be written");
        }
        is_busy
    }

    fn is_full(&self, error: &OpenError) -> bool {
        match error {
            OpenError::Sqlite(error) => self.fullness.is(error),
            OpenError::File { source, .. } => is_full(source),
            _ => false,
        }
    }

    /// Says it for a person.
    fn explain(&self, error: OpenError) -> OpenError {
        match self.settings.path.as_deref() {
            Some(path) if self.is_full(&error) => OpenError::Full { path: path.display().to_string() },
            path => damage::explain(path, error),
        }
    }
}

/// Makes certain that what the file holds is on the disk, before anything is added to it.
fn settle(conn: &mut Connection, settings: &Settings, watch: &Watch) -> Result<(), OpenError> {
    let Some(path) = &settings.path else { return Ok(()) };
    // While this is open no other program adds to the WAL.
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let log = lock::beside(path, "-wal");
    wal::rewrite(&log).map_err(|source: io::Error| OpenError::File { path: log.display().to_string(), source })?;
    watch(Deed::LogRewritten, &[]);
    Ok(transaction.rollback()?)
}

/// Brings the file to today's schema and to this config; tries for as long as SQLite's busy timeout.
fn fit(conn: &mut Connection, settings: &Settings, wanted: &Wanted<'_>) -> Result<(Routing, Recovered), OpenError> {
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    schema::migrate(conn)?;
    let named = damage::store_number(conn)?.is_some();
    let fitted = start::recover(conn, wanted.routing, wanted.senders, settings.ids, wanted.clock)?;
    if !named {
        // Its number is in the file itself, whatever becomes of the log.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))?;
    }
    Ok(fitted)
}

/// What the writer has to know of the file; from now on commits are noted outside of the store too.
fn begin(
    conn: &Connection,
    settings: &Settings,
    wanted: &Wanted<'_>,
    mark: &mut Mark,
) -> rusqlite::Result<(Option<u32>, Silences)> {
    let known = (settings.pages(conn)?, silences::kept(conn, wanted.clock.now())?);
    let commit = damage::last_commit(conn)?;
    if let Some(store) = damage::store_number(conn)? {
        mark.begin(store, commit);
    }
    Ok(known)
}
