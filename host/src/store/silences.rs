//! Silences in their table: made, changed and ended by commands, matched when a window closes.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::rows::{self, int};
use super::writer::Command;
use super::{Stopped, Store};
use crate::limits;
use crate::matcher::Matcher;
use crate::message::{Group, Message, Millis};
use crate::silence::{Silence, Silences, State};

/// What a person wants of a silence.
#[derive(Clone, Debug)]
pub enum SilenceWish {
    /// A new one, or, with an id, another form of one that is there.
    Set(Silence),
    /// The end of the one with this id.
    Expire(String),
}

/// Why that is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// No such id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It is over already.
    #[error("silence {0} is already expired")]
    Expired(String),
    /// Too many.
    #[error("there are {} silences already: expire some", limits::SILENCES)]
    TooMany,
    /// Too many regular expressions in all of them, or too long ones.
    #[error(
        "all silences together have {} regular expressions at most, of {} KiB: expire some",
        limits::SILENCE_REGEXES,
        limits::SILENCE_REGEXES_BYTES / 1024
    )]
    TooManyRegexes,
}

impl Store {
    /// Makes, changes or ends a silence; returns its id. Windows that close from then on heed it.
    ///
    /// # Errors
    ///
    /// The store stopped; or there is no such silence, or too many, and then nothing was done.
    pub async fn silence(&self, wish: SilenceWish) -> std::result::Result<Done, Stopped> {
        self.ask(|done| Command::Silence { wish, done }).await
    }
}

/// What became of a wish: the silence's id, or why nothing was done.
pub(super) type Done = std::result::Result<String, SilenceError>;

/// Does it, in the table and among those that hold or will.
pub(super) fn apply(conn: &Connection, silences: &mut Silences, wish: &SilenceWish, now: Millis) -> Result<Done> {
    match wish {
        SilenceWish::Set(silence) => set(conn, silences, silence, now),
        SilenceWish::Expire(id) => expire(conn, silences, id, now),
    }
}

fn set(conn: &Connection, silences: &mut Silences, wanted: &Silence, now: Millis) -> Result<Done> {
    let there = if wanted.id.is_empty() { None } else { find(conn, &wanted.id)? };
    if there.is_none() && !wanted.id.is_empty() {
        return Ok(Err(SilenceError::Unknown(wanted.id.clone())));
    }
    if let Some(there) = there.as_ref().filter(|there| keeps_its_id(there, wanted, now)) {
        let starts = if there.state(now) == State::Active { there.starts } else { wanted.starts };
        put(conn, silences, &Silence { starts, ..wanted.clone() }, now)?;
        return Ok(Ok(wanted.id.clone()));
    }
    let (others, regexes) = silences.count_but(&wanted.id, now);
    if others >= limits::SILENCES {
        return Ok(Err(SilenceError::TooMany));
    }
    if wanted.regexes().count > 0 && !regexes.have_room(wanted.regexes()) {
        return Ok(Err(SilenceError::TooManyRegexes));
    }
    if let Some(there) = there.filter(|there| there.state(now) != State::Expired) {
        end(conn, silences, &there, now)?;
    }
    let gone: Vec<String> = conn
        .prepare_cached(
            "DELETE FROM silences WHERE id IN
               (SELECT id FROM silences WHERE ends <= ?1 ORDER BY ends DESC LIMIT -1 OFFSET ?2) RETURNING id",
        )?
        .query_map(params![int(now), int(limits::SILENCES_OVER as u64)], |row| row.get(0))?
        .collect::<Result<_>>()?;
    silences.forget(&gone);
    let id = new_id();
    // What is over is over: a silence cannot hold back what was told.
    put(conn, silences, &Silence { id: id.clone(), starts: wanted.starts.max(now), ..wanted.clone() }, now)?;
    Ok(Ok(id))
}

/// A random id: whoever may end a silence finds it in the list, not by counting.
fn new_id() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system has a source of random numbers, TLS needs one too");
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

/// As in Alertmanager: what matches, and since when, never changes under an id.
fn keeps_its_id(there: &Silence, wanted: &Silence, now: Millis) -> bool {
    let same = there.matchers == wanted.matchers;
    match there.state(now) {
        State::Active => same && there.starts / 1_000 == wanted.starts / 1_000,
        State::Pending => same && wanted.starts >= now,
        State::Expired => false,
    }
}

fn expire(conn: &Connection, silences: &mut Silences, id: &str, now: Millis) -> Result<Done> {
    let Some(there) = find(conn, id)? else { return Ok(Err(SilenceError::Unknown(id.to_owned()))) };
    if there.state(now) == State::Expired {
        return Ok(Err(SilenceError::Expired(id.to_owned())));
    }
    end(conn, silences, &there, now)?;
    Ok(Ok(id.to_owned()))
}

fn end(conn: &Connection, silences: &mut Silences, silence: &Silence, now: Millis) -> Result<()> {
    let starts = silence.starts.min(now);
    put(conn, silences, &Silence { starts, ends: now, ..silence.clone() }, now)
}

fn put(conn: &Connection, silences: &mut Silences, silence: &Silence, now: Millis) -> Result<()> {
    let matchers: Vec<String> = silence.matchers.iter().map(Matcher::to_string).collect();
    conn.prepare_cached(
        "INSERT INTO silences (id, matchers, starts, ends, created_by, comment, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET matchers = ?2, starts = ?3, ends = ?4, created_by = ?5, comment = ?6, updated = ?7",
    )?
    .execute(params![
        silence.id,
        serde_json::Value::from(matchers).to_string(),
        int(silence.starts),
        int(silence.ends),
        silence.created_by,
        silence.comment,
        int(now),
    ])?;
    silences.put(silence.clone());
    Ok(())
}

const COLUMNS: &str = "id, matchers, starts, ends, created_by, comment, updated, messages";

/// One by its id.
pub(super) fn find(conn: &Connection, id: &str) -> Result<Option<Silence>> {
    let sql = format!("SELECT {COLUMNS} FROM silences WHERE id = ?1");
    conn.prepare_cached(&sql)?.query_row([id], read).optional()
}

/// All, those that end last first.
pub(super) fn all(conn: &Connection) -> Result<Vec<Silence>> {
    let sql = format!("SELECT {COLUMNS} FROM silences ORDER BY ends DESC, id");
    let mut statement = conn.prepare_cached(&sql)?;
    statement.query_map([], read)?.collect()
}

/// Those that windows are held against: all, also what is over by a clock that may be set back.
pub(super) fn kept(conn: &Connection, now: Millis) -> Result<Silences> {
    let sql = format!("SELECT {COLUMNS} FROM silences ORDER BY starts, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let silences = statement.query_map([], read)?.collect::<Result<Vec<Silence>>>()?;
    for silence in silences.iter().filter(|silence| silence.state(now) != State::Expired) {
        silence.prepare();
    }
    Ok(Silences::new(silences))
}

fn read(row: &Row<'_>) -> Result<Silence> {
    let texts = rows::read_samples(row, 1)?;
    let matchers = texts.iter().map(|text| Matcher::parse_kept(text)).collect::<std::result::Result<_, _>>();
    Ok(Silence {
        id: row.get(0)?,
        matchers: matchers.map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
        })?,
        starts: rows::read_uint(row, 2)?,
        ends: rows::read_uint(row, 3)?,
        created_by: row.get(4)?,
        comment: row.get(5)?,
        updated: rows::read_uint(row, 6)?,
        messages: rows::read_uint(row, 7)?,
    })
}

/// The silence that holds a group which closes, if one does.
pub(super) fn find_for<'s>(silences: &'s Silences, group: &Group) -> Option<&'s Silence> {
    if silences.is_empty() {
        return None;
    }
    let message = Message {
        text: group.text.clone(),
        kind: group.kind.as_str().into(),
        severity: group.severity,
        labels: group.labels.clone(),
        source: group.source.as_deref().unwrap_or_default().into(),
    };
    silences.find(&message, group.closed)
}

/// Whether a group that closes is silenced; its messages are counted where the silence is.
pub(super) fn silences(conn: &Connection, silences: &Silences, group: &Group) -> Result<bool> {
    let Some(silence) = find_for(silences, group) else { return Ok(false) };
    conn.prepare_cached("UPDATE silences SET messages = min(messages + ?2, 9223372036854775807) WHERE id = ?1")?
        .execute(params![silence.id, int(group.count)])?;
    Ok(true)
}
