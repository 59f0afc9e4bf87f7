//! What a person does to dead letters: replays or drops them.
//!
//! Each is part of one transaction, with the ledger moved along. Nothing here calls a sender: what is replayed becomes a
//! delivery in state `queued`, which its sender's task takes as soon as it is free.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::ledger::{Moves, Term};
use super::rows::{int, uint};
use super::{deliveries, escalate, tested};
use crate::limits;
use crate::message::Millis;

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These, all or none of them.
    Ids(Vec<String>),
    /// All of one sender.
    Sender(String),
    /// All.
    All,
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// They are told again: same id, same content, attempts counted on.
    Replay,
    /// They are given up for good; the rows stay for as long as history is kept.
    Drop,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// The id means nothing here.
    #[error("there is no dead letter {id}")]
    Missing {
        /// As it was given.
        id: String,
    },
    /// It is a delivery, but not a dead one.
    #[error("{id} is no dead letter, its state is {state}")]
    NotDead {
        /// As it was given.
        id: String,
        /// What it is.
        state: String,
    },
    /// Nobody is there to tell it.
    #[error(
        "sender {sender} is not in the config: bring [senders.{sender}] back and run `mag reload`, or drop what it left"
    )]
    SenderGone {
        /// Its name.
        sender: String,
    },
    /// More than one transaction should take.
    #[error("more than {} ids at once: name fewer, or use the sender, or all", limits::LETTERS)]
    TooMany,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Letters.
    pub letters: u64,
    /// Messages in them, those of summed up groups included.
    pub messages: u64,
    /// Letters left as they are because their sender is not in the config, by sender.
    pub left: BTreeMap<String, u64>,
    /// The last one looked at, when there may be more.
    pub(super) more_after: Option<String>,
    /// Whose letters they were.
    pub(super) senders: Vec<String>,
}

impl Moved {
    /// Whether there was no letter to look at.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.letters == 0 && self.left.is_empty()
    }

    /// Adds what a further transaction did.
    pub(super) fn add(&mut self, other: Self) {
        self.letters += other.letters;
        self.messages = self.messages.saturating_add(other.messages);
        for (sender, left) in other.left {
            *self.left.entry(sender).or_default() += left;
        }
        self.more_after = other.more_after;
    }
}

/// A request for letters; the same for each transaction of a long one.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) which: Which,
    pub(super) deed: Deed,
    /// Only letters behind this id.
    pub(super) after: String,
}

struct Letter {
    id: String,
    sender: String,
    messages: u64,
}

/// Does it to at most [`limits::LETTERS`] letters. `known` are the senders of the config.
pub(super) fn apply(
    conn: &Connection,
    request: &Request,
    known: &HashSet<String>,
    now: Millis,
    moves: &mut Moves,
) -> Result<std::result::Result<Moved, LetterError>> {
    let letters = match select(conn, request)? {
        Ok(letters) => letters,
        Err(error) => return Ok(Err(error)),
    };
    let gone = |letter: &Letter| request.deed == Deed::Replay && !known.contains(&letter.sender);
    if request.which != Which::All
        && let Some(letter) = letters.iter().find(|letter| gone(letter))
    {
        return Ok(Err(LetterError::SenderGone { sender: letter.sender.clone() }));
    }
    let full = letters.len() >= limits::LETTERS && !matches!(request.which, Which::Ids(_));
    let mut moved =
        Moved { more_after: letters.last().filter(|_| full).map(|letter| letter.id.clone()), ..Moved::default() };
    for letter in letters {
        if gone(&letter) {
            *moved.left.entry(letter.sender).or_default() += 1;
            continue;
        }
        match request.deed {
            Deed::Replay => replay(conn, &letter, moves)?,
            Deed::Drop => drop_one(conn, &letter, now, moves)?,
        }
        moved.letters += 1;
        moved.messages = moved.messages.saturating_add(letter.messages);
        moved.senders.push(letter.sender);
    }
    Ok(Ok(moved))
}

fn select(conn: &Connection, request: &Request) -> Result<std::result::Result<Vec<Letter>, LetterError>> {
    let sender = match &request.which {
        Which::Ids(ids) => return by_id(conn, ids, request.deed),
        Which::Sender(sender) => Some(sender),
        Which::All => None,
    };
    let mut statement = conn.prepare_cached(
        "SELECT id, sender, messages FROM deliveries INDEXED BY deliveries_dead
         WHERE state = 'dead' AND id > ?1 AND (?2 IS NULL OR sender = ?2) ORDER BY id LIMIT ?3",
    )?;
    let letters = statement.query_map(params![request.after, sender, int(limits::LETTERS as u64)], |row| {
        Ok(Letter { id: row.get(0)?, sender: row.get(1)?, messages: uint(row.get(2)?) })
    })?;
    Ok(Ok(letters.collect::<Result<_>>()?))
}

fn by_id(conn: &Connection, ids: &[String], deed: Deed) -> Result<std::result::Result<Vec<Letter>, LetterError>> {
    if ids.len() > limits::LETTERS {
        return Ok(Err(LetterError::TooMany));
    }
    let mut statement = conn.prepare_cached("SELECT state, sender, messages FROM deliveries WHERE id = ?1")?;
    let mut letters: Vec<Letter> = Vec::new();
    for id in ids {
        let found = statement.query_row([id], |row| {
            let letter = Letter { id: id.clone(), sender: row.get(1)?, messages: uint(row.get(2)?) };
            Ok((row.get::<_, String>(0)?, letter))
        });
        match found.optional()? {
            None => return Ok(Err(LetterError::Missing { id: id.clone() })),
            // Whoever asked for a test drops it when they no longer wait.
            Some((state, _)) if state != "dead" && !(deed == Deed::Drop && tested::is_queued(conn, id)?) => {
                return Ok(Err(LetterError::NotDead { id: id.clone(), state }));
            }
            // Named twice is meant once.
            Some((_, letter)) if letters.iter().all(|other| other.id != letter.id) => letters.push(letter),
            Some(_) => {}
        }
    }
    Ok(Ok(letters))
}

/// Its failures are forgotten, else it would be given up again at the first one; its attempts count on. If it dies again,
/// the fallback is told again.
fn replay(conn: &Connection, letter: &Letter, moves: &mut Moves) -> Result<()> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'queued', finished = NULL, next_attempt = NULL,
           failures = 0, limited = 0, faults = 0, tried_ms = 0 WHERE id = ?1",
    )?
    .execute([&letter.id])?;
    escalate::begin_anew(conn, &letter.id)?;
    deliveries::shift(conn, &letter.id, &letter.sender, (Term::Dead, Term::Frozen), moves)
}

/// `finished` becomes now, so that the history keeps it as long as something that was told now.
fn drop_one(conn: &Connection, letter: &Letter, now: Millis, moves: &mut Moves) -> Result<()> {
    conn.prepare_cached("UPDATE deliveries SET state = 'dropped', finished = ?2 WHERE id = ?1")?
        .execute(params![letter.id, int(now)])?;
    deliveries::shift(conn, &letter.id, &letter.sender, (Term::Dead, Term::Dropped), moves)
}
