//! What the writer does when the disk, or the size that the file may have, is full: nothing new is taken in, and what is
//! there already goes on being told.
//!
//! SQLite says that it is full before anything is half written, so nothing is unknown: the same commands are written
//! later. Only a `Change` with something new waits, and what the engine says after it; the others move what is there
//! already and may overtake it, because no command names what a `Change` that waits would make.
//!
//! The room that is kept (`reserve.rs`, or a part of `[limits] store`) is for these others. Its first half may also take
//! in what the engine had counted before it stopped: only what the store knows can close and be told.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::time::Instant;

use super::writer::{Command, Effects, Writer};
use super::{Settings, Trouble, lock};
use crate::clock::as_millis;
use crate::limits;

/// What waits for room, in the order in which it came.
pub(super) struct Held {
    commands: Vec<Command>,
    since: Instant,
    retry: Instant,
}

/// How much of the room that is kept a transaction leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    All,
    Half,
    Nothing,
}

/// Knows a full disk by its errors.
#[derive(Clone, Debug)]
pub(super) struct Fullness {
    /// `None` for a store that has no file.
    pub(super) path: Option<PathBuf>,
    /// Says whether further bytes are refused beside that file.
    pub(super) refuses: fn(&Path) -> bool,
}

impl Fullness {
    /// Of the disk that a store is on.
    pub(super) fn of(settings: &Settings) -> Self {
        Self { path: settings.path.clone(), refuses: settings.refuses }
    }

    /// Whether SQLite could not write because there is no room. Where a quota refuses bytes SQLite speaks of a failed
    /// write, after which it has done the same as after a full disk, so the disk itself is asked which of them it was.
    pub(super) fn is(&self, error: &rusqlite::Error) -> bool {
        let Some(found) = error.sqlite_error() else { return false };
        match (found.code, found.extended_code) {
            (ErrorCode::DiskFull, _) => true,
            (_, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE) => {
                self.path.as_deref().is_some_and(|path| (self.refuses)(path))
            }
            _ => false,
        }
    }
}

/// Whether a few more bytes are refused beside a file for want of room.
pub(super) fn refuses_bytes(path: &Path) -> bool {
    let probe = lock::beside(path, ".probe");
    let tried = fs::write(&probe, vec![1; PROBE_BYTES]);
    if let Err(error) = fs::remove_file(&probe) {
        tracing::debug!(%error, "what tried for room could not be removed");
    }
    tried.is_err_and(|error| is_full(&error))
}

/// Whether the system could not write because there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull)
}

/// As much as a small transaction takes.
const PROBE_BYTES: usize = 64 * 1024;

impl Writer {
    /// Writes a batch, or as much of it as there is room for; answers what is written.
    ///
    /// # Errors
    ///
    /// What is on disk is unknown.
    pub(super) fn write(&mut self, batch: Vec<Command>) -> rusqlite::Result<()> {
        if let Some(held) = &mut self.held {
            let came = !batch.is_empty();
            held.commands.extend(batch);
            return if self.retry_due() { self.look_for_room() } else { self.write_kept(came) };
        }
        if batch.is_empty() {
            return Ok(());
        }
        let leaves = if batch.iter().any(is_new) { Leaves::All } else { Leaves::Nothing };
        match self.commit(&batch, leaves)? {
            Some((effects, took)) => self.answer(batch, effects, took),
            None => {
                tracing::warn!(
                    "there is no room for the store ({}); nothing new is taken in until there is, and nothing \
                     acknowledged is lost: free some",
                    self.full_words()
                );
                let now = self.clock.instant();
                self.held = Some(Held { commands: batch, since: now, retry: now + self.full_pause });
                self.write_kept(true)?;
            }
        }
        Ok(())
    }

    /// Whether it is time to look for room again.
    pub(super) fn retry_due(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.retry <= self.clock.instant())
    }

    /// Whether commands wait for room.
    pub(super) fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.commands.is_empty())
    }

    fn full_words(&self) -> &'static str {
        match self.pages {
            Some(_) => "the disk is full, or `[limits] store` is reached",
            None => "the disk is full",
        }
    }

    fn look_for_room(&mut self) -> rusqlite::Result<()> {
        let Some(mut held) = self.held.take() else { return Ok(()) };
        let begun = self.clock.instant();
        // What is kept comes first: what is new has to leave it alone.
        if self.make_room()? && self.write_held(&mut held)? {
            let waited_ms = as_millis(held.since.elapsed());
            tracing::info!(waited_ms, "there is room for the store again, taking in goes on");
            self.trouble.send_if_modified(|trouble| trouble.take().is_some());
            return Ok(());
        }
        // Trying takes at most a fifth of the time.
        held.retry = self.clock.instant() + self.full_pause.max(begun.elapsed().saturating_mul(4));
        self.held = Some(held);
        self.write_kept(false)
    }

    /// Writes what waits as if nothing had been; `false` when there is no room for it. Where nothing new waits that would
    /// prove it, there must be room for something new.
    fn write_held(&mut self, held: &mut Held) -> rusqlite::Result<bool> {
        let proves = held.commands.iter().any(is_new);
        if !proves && (!self.reserve.has_more() || !self.has_pages()?) {
            return Ok(false);
        }
        if held.commands.is_empty() {
            return Ok(true);
        }
        let Some((effects, took)) = self.commit(&held.commands, Leaves::All)? else { return Ok(false) };
        self.answer(std::mem::take(&mut held.commands), effects, took);
        Ok(true)
    }

    /// Writes what must not wait in the room that is kept for it, and what is new in its first half. What does not fit
    /// waits.
    fn write_kept(&mut self, came: bool) -> rusqlite::Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let (new, old) = split(std::mem::take(&mut held.commands));
        let mut left = self.write_each(old)?;
        let spent = !left.is_empty();
        if came && !spent && !new.is_empty() {
            match self.commit_in_reserve(&new, Leaves::Half)? {
                Some((effects, took)) => self.answer(new, effects, took),
                None => left.extend(new),
            }
        } else {
            left.extend(new);
        }
        if let Some(held) = &mut self.held {
            held.commands = left;
        }
        self.trouble.send_replace(Some(if spent { Trouble::Spent } else { Trouble::Full }));
        Ok(())
    }

    /// Writes commands together, or, where that is too much, each for which there is room; returns the others.
    fn write_each(&mut self, commands: Vec<Command>) -> rusqlite::Result<Vec<Command>> {
        if commands.is_empty() {
            return Ok(commands);
        }
        if let Some((effects, took)) = self.commit_in_reserve(&commands, Leaves::Nothing)? {
            self.answer(commands, effects, took);
            return Ok(Vec::new());
        }
        let alone = commands.len() == 1;
        let mut left = Vec::new();
        for command in commands {
            // What the engine says stays in its order.
            let must_wait = matches!(command, Command::Change { .. }) && left.iter().any(is_change);
            let one = std::slice::from_ref(&command);
            match if alone || must_wait { None } else { self.commit(one, Leaves::Nothing)? } {
                Some((effects, took)) => self.answer(vec![command], effects, took),
                None => left.push(command),
            }
        }
        Ok(left)
    }

    /// Gives up what is kept, step by step, until there is room.
    fn commit_in_reserve(
        &mut self,
        commands: &[Command],
        leaves: Leaves,
    ) -> rusqlite::Result<Option<(Effects, Duration)>> {
        loop {
            // A log that is in the file already begins anew and takes no room. So what is given up goes to the file
            // first: there it serves many transactions, in the log it would serve one.
            if !self.checkpoint("PASSIVE")? && self.reserve.give(leaves) {
                continue;
            }
            if let Some(done) = self.commit(commands, leaves)? {
                return Ok(Some(done));
            }
            if !self.reserve.give(leaves) {
                return Ok(None);
            }
        }
    }

    /// Gets the reserve back, first of all from the log that SQLite writes ahead.
    fn make_room(&mut self) -> rusqlite::Result<bool> {
        if self.reserve.is_whole() {
            return Ok(true);
        }
        self.checkpoint("TRUNCATE")?;
        Ok(self.reserve.restore())
    }

    /// Copies of the log what can be copied now; `false` when the file has no room for it.
    fn checkpoint(&self, how: &str) -> rusqlite::Result<bool> {
        match self.conn.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_row| Ok(())) {
            Err(error) if self.fullness.is(&error) => Ok(false),
            // Somebody reads: what is left over is copied later.
            Err(error) if super::is_busy(&error) => Ok(true),
            copied => copied.map(|()| true),
        }
    }

    /// The file may become so large from now on; what is in it stays, also where that is more. Room is looked for at once.
    pub(super) fn rebound(&mut self, bytes: Option<u64>) {
        match pages(&self.conn, bytes) {
            Ok(pages) => self.pages = pages,
            Err(error) => return tracing::error!(%error, "[limits] store stays as it was, start mag again"),
        }
        self.was_bounded |= self.pages.is_some();
        if let Some(held) = &mut self.held {
            held.retry = self.clock.instant();
        }
    }

    /// Sets how large the file may become by a transaction.
    pub(super) fn set_bound(&self, leaves: Leaves) -> rusqlite::Result<()> {
        let most = match self.pages {
            Some(pages) => bound(pages, leaves),
            // SQLite goes by what it was told last.
            None if self.was_bounded => PAGES_MOST,
            None => return Ok(()),
        };
        self.conn.pragma_update(None, "max_page_count", most)
    }

    /// Whether a file with a bound has pages for something new.
    fn has_pages(&self) -> rusqlite::Result<bool> {
        let Some(pages) = self.pages else { return Ok(true) };
        let number = |name| self.conn.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        let used = match number("page_count").and_then(|all| Ok(all.saturating_sub(number("freelist_count")?))) {
            // It is looked at again soon.
            Err(error) if super::is_busy(&error) => return Ok(false),
            used => used?,
        };
        // A little below the bound, so that not every row that goes lets one message in.
        Ok(used.saturating_add(pages / limits::STORE_ROOM_PART) < bound(pages, Leaves::All))
    }
}

/// What SQLite allows a file.
const PAGES_MOST: u32 = u32::MAX - 1;

/// Pages of a file that may have so many bytes.
pub(super) fn pages(conn: &Connection, bytes: Option<u64>) -> rusqlite::Result<Option<u32>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let page: u32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = bytes / u64::from(page.max(1));
    Ok(Some(u32::try_from(pages).unwrap_or(PAGES_MOST).clamp(1, PAGES_MOST)))
}

fn bound(pages: u32, leaves: Leaves) -> u32 {
    let kept = pages / limits::STORE_RESERVE_PART;
    pages
        - match leaves {
            Leaves::All => kept,
            Leaves::Half => kept / 2,
            Leaves::Nothing => 0,
        }
}

/// What has to wait for room, and what goes before it.
fn split(commands: Vec<Command>) -> (Vec<Command>, Vec<Command>) {
    let mut waits = false;
    commands.into_iter().partition(|command| {
        waits = waits || is_new(command);
        waits && is_change(command)
    })
}

fn is_change(command: &Command) -> bool {
    matches!(command, Command::Change { .. })
}

fn is_new(command: &Command) -> bool {
    matches!(command, Command::Change { changes, .. } if changes.is_new())
}

/// Between two looks for commands while something waits for room.
pub(super) const HELD_PAUSE: Duration = Duration::from_millis(20);
