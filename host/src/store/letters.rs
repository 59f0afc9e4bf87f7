//! What a person does to deliveries: replays or drops dead letters, and asks a sender for a test.
//!
//! Each is part of one transaction, with the ledger moved along. Nothing here calls a sender: what is replayed or tested
//! becomes a delivery in state `queued`, which its sender's task takes as soon as it is free.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::ledger::{Moves, NO_ROUTE, Term};
use super::rows::{int, uint};
use super::{deliveries, new_delivery_id};
use crate::group::group_id;
use crate::limits;
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Labels, Message, Millis, Reason};

/// What a test notification says.
pub const TEST_TEXT: &str = "Test notification from mag";

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
        "sender {sender} is not in the config: bring [senders.{sender}] back and start mag again, or drop what it left"
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
        Which::Ids(ids) => return by_id(conn, ids),
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

fn by_id(conn: &Connection, ids: &[String]) -> Result<std::result::Result<Vec<Letter>, LetterError>> {
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
            Some((state, _)) if state != "dead" => return Ok(Err(LetterError::NotDead { id: id.clone(), state })),
            // Named twice is meant once.
            Some((_, letter)) if letters.iter().all(|other| other.id != letter.id) => letters.push(letter),
            Some(_) => {}
        }
    }
    Ok(Ok(letters))
}

/// Its failures are forgotten, else it would be given up again at the first one; its attempts count on.
fn replay(conn: &Connection, letter: &Letter, moves: &mut Moves) -> Result<()> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'queued', finished = NULL, next_attempt = NULL,
           failures = 0, limited = 0, faults = 0, tried_ms = 0 WHERE id = ?1",
    )?
    .execute([&letter.id])?;
    deliveries::shift(conn, &letter.id, &letter.sender, (Term::Dead, Term::Frozen), moves)
}

/// `finished` becomes now, so that the history keeps it as long as something that was told now.
fn drop_one(conn: &Connection, letter: &Letter, now: Millis, moves: &mut Moves) -> Result<()> {
    conn.prepare_cached("UPDATE deliveries SET state = 'dropped', finished = ?2 WHERE id = ?1")?
        .execute(params![letter.id, int(now)])?;
    deliveries::shift(conn, &letter.id, &letter.sender, (Term::Dead, Term::Dropped), moves)
}

/// Queues a test for a sender; gives its id.
///
/// Its one group belongs to no route, so no row of the ledger counts it, now or when it ends.
pub(super) fn test(
    conn: &Connection,
    sender: &str,
    known: &HashSet<String>,
    now: Millis,
) -> Result<std::result::Result<String, LetterError>> {
    if !known.contains(sender) {
        return Ok(Err(LetterError::SenderGone { sender: sender.to_owned() }));
    }
    let id = new_delivery_id(now);
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           reason) VALUES (?1, ?2, 'queued', 0, 1, 1, 0, 0, ?3, ?4)",
    )?
    .execute(params![id, sender, int(now), Reason::Test.as_str()])?;
    let message = Message {
        text: TEST_TEXT.to_owned(),
        kind: DEFAULT_KIND.to_owned(),
        severity: None,
        labels: Labels::default(),
        source: String::new(),
    };
    conn.prepare_cached(
        "INSERT INTO delivery_groups (delivery, n, omitted, total, group_id, route, kind, text, labels, count, first_seen,
           last_seen, opened, closed, samples, reason, resolved)
         VALUES (?1, 0, 0, 1, ?2, ?3, ?4, ?5, '{}', 1, ?6, ?6, ?6, ?6, '[]', ?7, 0)",
    )?
    .execute(params![
        id,
        group_id(NO_ROUTE, &[Field::Text], &message).to_string(),
        NO_ROUTE,
        message.kind,
        message.text,
        int(now),
        Reason::Test.as_str(),
    ])?;
    Ok(Ok(id))
}
