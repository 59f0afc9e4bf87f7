//! What the writer does when the disk, or the size that the file may have, is full: what is new waits, deliveries go on.
//!
//! SQLite says that it is full before anything is half written, so nothing is unknown: the same commands are written
//! later. Only `Change` waits, which brings new rows, and which nobody is answered for before its commit; the others
//! move what is there already and may overtake it, because no command names what a `Change` that waits would make.

use std::time::Duration;

use rusqlite::ErrorCode;
use tokio::time::Instant;

use super::writer::{Command, Writer};
use crate::clock::as_millis;
use crate::limits;

/// What waits for room, in the order in which it came.
pub(super) struct Held {
    commands: Vec<Command>,
    since: Instant,
    retry: Instant,
}

/// Whether SQLite refused because there is no room.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

impl Writer {
    /// Writes a batch, or as much of it as there is room for; answers what is written.
    ///
    /// # Errors
    ///
    /// What is on disk is unknown.
    pub(super) fn write(&mut self, batch: Vec<Command>) -> rusqlite::Result<()> {
        if let Some(held) = &mut self.held {
            held.commands.extend(batch);
            return self.write_held();
        }
        if batch.is_empty() {
            return Ok(());
        }
        match self.commit(&batch)? {
            Some((effects, took)) => self.answer(batch, effects, took),
            None => {
                tracing::warn!(
                    "there is no room for the store ({}); nothing new is taken in until there is, and nothing \
                     acknowledged is lost: free some",
                    self.full_words()
                );
                let now = self.clock.instant();
                self.held = Some(Held { commands: batch, since: now, retry: now + self.full_pause });
                self.write_urgent()?;
            }
        }
        Ok(())
    }

    /// Whether it is time to look for room again.
    pub(super) fn retry_due(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.retry <= self.clock.instant())
    }

    fn full_words(&self) -> &'static str {
        match self.pages {
            Some(_) => "the disk is full, or `[limits] store` is reached",
            None => "the disk is full",
        }
    }

    fn write_held(&mut self) -> rusqlite::Result<()> {
        if !self.retry_due() {
            return self.write_urgent();
        }
        let Some(mut held) = self.held.take() else { return Ok(()) };
        let begun = self.clock.instant();
        // Deliveries come first: what is new has to leave their room alone.
        let roomy = self.make_room()?;
        if roomy && held.commands.is_empty() {
            // All that there was could be written in the room that is kept; a transaction of nothing proves nothing.
            return Ok(());
        }
        if roomy && let Some((effects, took)) = self.commit(&held.commands)? {
            let waited_ms = as_millis(held.since.elapsed());
            tracing::info!(waited_ms, "there is room for the store again, taking in goes on");
            self.answer(held.commands, effects, took);
            return Ok(());
        }
        // Trying takes at most a fifth of the time.
        held.retry = self.clock.instant() + self.full_pause.max(begun.elapsed().saturating_mul(4));
        self.held = Some(held);
        self.write_urgent()
    }

    /// Writes what must not wait, in the room that is kept for it. What does not fit even there waits too.
    fn write_urgent(&mut self) -> rusqlite::Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let (new, urgent): (Vec<_>, Vec<_>) = std::mem::take(&mut held.commands)
            .into_iter()
            .partition(|command| matches!(command, Command::Change { .. }));
        let mut written = None;
        while !urgent.is_empty() && written.is_none() {
            written = self.commit(&urgent)?;
            if written.is_none() && !self.reserve.give() {
                break;
            }
        }
        let left = match written {
            Some((effects, took)) => {
                self.answer(urgent, effects, took);
                Vec::new()
            }
            None => urgent,
        };
        if let Some(held) = &mut self.held {
            held.commands = new;
            held.commands.extend(left);
        }
        Ok(())
    }

    /// Gets the reserve back, first of all from the log that SQLite writes ahead.
    fn make_room(&mut self) -> rusqlite::Result<bool> {
        if self.reserve.is_whole() {
            return Ok(true);
        }
        // Whether all of it could be copied into the file is told in its row; what is left over stays.
        let emptied = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()));
        match emptied {
            Err(error) if !is_full(&error) && !super::is_busy(&error) => Err(error),
            _ => Ok(self.reserve.restore()),
        }
    }

    /// Sets how large the file may become by these commands: what is new leaves room for deliveries.
    pub(super) fn set_bound(&self, batch: &[Command]) -> rusqlite::Result<()> {
        let Some(pages) = self.pages else { return Ok(()) };
        let new = batch.iter().any(|command| matches!(command, Command::Change { .. }));
        let bound = if new { pages - pages / limits::STORE_RESERVE_PART } else { pages };
        self.conn.pragma_update(None, "max_page_count", bound)
    }
}

/// Between two looks for commands while something waits for room.
pub(super) const HELD_PAUSE: Duration = Duration::from_millis(20);
