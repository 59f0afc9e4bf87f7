//! The tables, and how an older file becomes a newer one.
//!
//! Times are Unix milliseconds, words are the words people read; JSON only for labels and samples, which have no fixed
//! shape. A migration is one transaction and is never edited after a release.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// `PRAGMA application_id`: "mag1", so that `file` and mag itself know the file.
const APPLICATION_ID: i32 = 0x6d61_6731;

/// Every step from an empty file to today's; the schema's version is how many were done.
pub(super) const MIGRATIONS: [&str; 5] = [FIRST, SECOND, THIRD, FOURTH, FIFTH];

/// Today's schema.
pub(super) const VERSION: usize = MIGRATIONS.len();

const FIRST: &str = "
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('commit_seq', 0);

CREATE TABLE routes (
  route         TEXT PRIMARY KEY,
  senders       TEXT NOT NULL,
  clock_started INTEGER,
  clock_rings   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
  id         INTEGER PRIMARY KEY,
  group_id   TEXT NOT NULL,
  route      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  source     TEXT NOT NULL,
  text       TEXT NOT NULL,
  severity   TEXT,
  labels     TEXT NOT NULL,
  count      INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  opened     INTEGER NOT NULL,
  samples    TEXT NOT NULL
) STRICT;

CREATE TABLE groups (
  group_id   TEXT PRIMARY KEY,
  route      TEXT NOT NULL,
  text       TEXT NOT NULL,
  total      INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
  id         INTEGER PRIMARY KEY,
  sender     TEXT NOT NULL,
  sweep      INTEGER NOT NULL,
  group_id   TEXT NOT NULL,
  route      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  source     TEXT,
  text       TEXT NOT NULL,
  severity   TEXT,
  labels     TEXT NOT NULL,
  count      INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  opened     INTEGER NOT NULL,
  closed     INTEGER NOT NULL,
  samples    TEXT NOT NULL,
  reason     TEXT NOT NULL,
  resolved   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (sender, group_id, resolved)
) STRICT;

CREATE TABLE deliveries (
  id               TEXT PRIMARY KEY,
  sender           TEXT NOT NULL,
  state            TEXT NOT NULL,
  attempt          INTEGER NOT NULL,
  groups           INTEGER NOT NULL,
  messages         INTEGER NOT NULL,
  omitted_groups   INTEGER NOT NULL,
  omitted_messages INTEGER NOT NULL,
  created          INTEGER NOT NULL,
  next_attempt     INTEGER,
  finished         INTEGER,
  code             TEXT,
  error            TEXT,
  progress         BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_unfinished ON deliveries (sender) WHERE finished IS NULL;
CREATE INDEX deliveries_finished ON deliveries (finished) WHERE finished IS NOT NULL;

CREATE TABLE delivery_groups (
  delivery   TEXT NOT NULL,
  n          INTEGER NOT NULL,
  omitted    INTEGER NOT NULL,
  total      INTEGER NOT NULL,
  group_id   TEXT NOT NULL,
  route      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  source     TEXT,
  text       TEXT NOT NULL,
  severity   TEXT,
  labels     TEXT NOT NULL,
  count      INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  opened     INTEGER NOT NULL,
  closed     INTEGER NOT NULL,
  samples    TEXT NOT NULL,
  reason     TEXT NOT NULL,
  resolved   INTEGER NOT NULL,
  PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
  delivery TEXT NOT NULL,
  attempt  INTEGER NOT NULL,
  sender   TEXT NOT NULL,
  started  INTEGER NOT NULL,
  finished INTEGER,
  outcome  TEXT,
  code     TEXT,
  error    TEXT,
  PRIMARY KEY (delivery, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_started ON attempts (started);

CREATE TABLE receipts (
  sender   TEXT NOT NULL,
  group_id TEXT NOT NULL,
  delivery TEXT NOT NULL,
  receipt  BLOB NOT NULL,
  updated  INTEGER NOT NULL,
  PRIMARY KEY (sender, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
  route    TEXT NOT NULL,
  sender   TEXT NOT NULL,
  accepted INTEGER NOT NULL DEFAULT 0,
  open     INTEGER NOT NULL DEFAULT 0,
  held     INTEGER NOT NULL DEFAULT 0,
  waiting  INTEGER NOT NULL DEFAULT 0,
  frozen   INTEGER NOT NULL DEFAULT 0,
  told     INTEGER NOT NULL DEFAULT 0,
  dead     INTEGER NOT NULL DEFAULT 0,
  dropped  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (route, sender)
) STRICT, WITHOUT ROWID;

CREATE TABLE ids (
  source TEXT NOT NULL,
  id     TEXT NOT NULL,
  hash   BLOB NOT NULL,
  seen   INTEGER NOT NULL,
  PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ids_seen ON ids (seen);

CREATE TABLE silences (
  id         TEXT PRIMARY KEY,
  matchers   TEXT NOT NULL,
  starts     INTEGER NOT NULL,
  ends       INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  comment    TEXT NOT NULL,
  updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a sender's trouble needs: how far a delivery was tried, what another sender was told of it, what a living message
/// stands for, and how long a destination wants to be left alone.
///
/// A delivery's `state` is now also `queued`: frozen, and waiting for its sender to be free.
const SECOND: &str = "
ALTER TABLE deliveries ADD COLUMN reason TEXT;
ALTER TABLE deliveries ADD COLUMN living INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN cause TEXT;
ALTER TABLE deliveries ADD COLUMN previous BLOB;
ALTER TABLE deliveries ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN tried_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN unclear INTEGER NOT NULL DEFAULT 0;

ALTER TABLE delivery_groups ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery_groups ADD COLUMN shown_since INTEGER;
ALTER TABLE delivery_groups ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;

ALTER TABLE receipts ADD COLUMN posted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN opened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN count INTEGER NOT NULL DEFAULT 0;

DROP TABLE ids;
CREATE TABLE ids (
  n       INTEGER PRIMARY KEY,
  source  TEXT NOT NULL,
  id      TEXT NOT NULL,
  content INTEGER NOT NULL,
  seen    INTEGER NOT NULL
) STRICT;

CREATE TABLE senders (
  sender         TEXT PRIMARY KEY,
  paused_until   INTEGER,
  delivered      INTEGER NOT NULL DEFAULT 0,
  last_delivered INTEGER,
  last_failed    INTEGER,
  code           TEXT,
  error          TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
";

/// What alerts need: those that fire, the windows and groups whose alerts are over, and what silences kept from being told.
///
/// A group's `alerting` is whether people were told that it fires and not yet that it is over.
const THIRD: &str = "
CREATE TABLE alerts (
  n             INTEGER PRIMARY KEY,
  text          TEXT NOT NULL,
  severity      TEXT,
  source        TEXT NOT NULL,
  labels        TEXT NOT NULL,
  annotations   TEXT NOT NULL,
  generator_url TEXT NOT NULL,
  starts        INTEGER NOT NULL,
  ends          INTEGER NOT NULL,
  updated       INTEGER NOT NULL
) STRICT;
ALTER TABLE windows ADD COLUMN resolved INTEGER;
ALTER TABLE groups ADD COLUMN alerting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE silences ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
CREATE INDEX queue_resolved ON queue (group_id) WHERE resolved = 1;
";

/// What was escalated and is replayed: the delivery that holds what was copied of a row last, so that a fallback which has
/// not begun to tell of it is not given it a second time. And until when a test is waited for.
const FOURTH: &str = "
ALTER TABLE deliveries ADD COLUMN expires INTEGER;
ALTER TABLE delivery_groups ADD COLUMN escalated_as TEXT;
ALTER TABLE queue ADD COLUMN escalated_as TEXT;
";

/// What is said about alerts, for whoever is told of them. A window has it once its alerts are over; while they fire, it
/// stands with them.
const FIFTH: &str = "
ALTER TABLE windows ADD COLUMN annotations TEXT;
ALTER TABLE queue ADD COLUMN annotations TEXT NOT NULL DEFAULT '{}';
ALTER TABLE delivery_groups ADD COLUMN annotations TEXT NOT NULL DEFAULT '{}';
";

/// Refuses a file that is not mag's, or a later mag's, reading only; returns its schema.
pub(super) fn check(conn: &Connection) -> Result<usize, OpenError> {
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = tables == 0 && application == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(OpenError::NotOurs { path: path_of(conn) });
    }
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        return Err(OpenError::Newer { path: path_of(conn), found: version, known: MIGRATIONS.len() });
    }
    Ok(version)
}

fn path_of(conn: &Connection) -> String {
    conn.path().unwrap_or_default().to_owned()
}

/// Brings the file to today's schema.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    migrate_to(conn, MIGRATIONS.len())
}

/// Brings the file to this schema, if it is older.
pub(super) fn migrate_to(conn: &mut Connection, wanted: usize) -> Result<(), OpenError> {
    let version = check(conn)?;
    for (next, migration) in (1_u32..).zip(MIGRATIONS).take(wanted).skip(version) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}
