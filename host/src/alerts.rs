//! Which alerts fire: known by their labels and by when they began, so that one that is posted again counts nothing.
//!
//! Pure: time and the random key are handed in. Whoever holds an [`Alerts`] decides for everybody, so there is one, and
//! what it says of an alert is written in the same transaction as the alert's count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;
use crate::message::{Ends, Labels, Message, Millis, Posted, alert_bytes};

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its row: numbers in the order of coming, so that new rows go to the end of the file.
    pub n: i64,
    /// What it said when it began.
    pub message: Message,
    /// What was last said about it.
    pub annotations: Labels,
    /// Where it was made.
    pub generator: String,
    /// Since when it fires.
    pub starts: Millis,
    /// It is over then, unless it is posted again.
    pub ends: Millis,
    /// When it was last posted.
    pub updated: Millis,
}

/// How long alerts live and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// An alert whose client names no end is over this long after it was last posted.
    pub resolve_timeout: Duration,
    /// Alerts at a time.
    pub alerts: usize,
}

impl Default for Bounds {
    /// 10,000 alerts, over after 5 minutes: Alertmanager's own default.
    fn default() -> Self {
        Self { resolve_timeout: Duration::from_secs(5 * 60), alerts: 10_000 }
    }
}

/// What a posted alert came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and counts.
    Fires {
        /// Its row.
        n: i64,
        /// What it says.
        message: Message,
        /// Since when.
        starts: Millis,
        /// It takes the place of this one, because too many have the same labels.
        replaced: Option<Alert>,
    },
    /// It fires already, as this one, and counts nothing.
    Fired(i64),
    /// These are over: one, or all with these labels when the client did not say which.
    Over(Vec<Alert>),
    /// It is over and was not known to fire.
    Unknown,
    /// There are too many: it counts each time it is posted, and nobody hears when it is over.
    NoRoom(Message),
}

/// All alerts that fire. Their labels are looked up by a hash with a secret key, because clients choose them.
#[derive(Debug)]
pub struct Alerts {
    key: [u8; 32],
    bounds: Bounds,
    next: i64,
    all: BTreeMap<i64, Firing>,
    /// The rows of those with the same labels, the one that began first at the front.
    named: HashMap<u128, Vec<i64>>,
    /// When which is over.
    due: BTreeSet<(Instant, i64)>,
    bytes: usize,
    /// What the store does not know of yet.
    changed: BTreeSet<i64>,
    gone: Vec<i64>,
}

#[derive(Debug)]
struct Firing {
    alert: Alert,
    name: u128,
    due: Instant,
    bytes: usize,
    /// Its end as the store knows it.
    saved_ends: Millis,
}

impl Default for Alerts {
    fn default() -> Self {
        Self::new([0; 32], Bounds::default())
    }
}

impl Alerts {
    /// None fires. `key` is random, so that nobody can choose labels that are taken for others.
    #[must_use]
    pub fn new(key: [u8; 32], bounds: Bounds) -> Self {
        Self {
            key,
            bounds,
            next: 1,
            all: BTreeMap::new(),
            named: HashMap::new(),
            due: BTreeSet::new(),
            bytes: 0,
            changed: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    /// Other bounds, for alerts that are posted from now on.
    pub fn rebound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Takes in what a former run left. While mag was away nobody could post it again, so it gets the time for that.
    pub fn restore(&mut self, alert: Alert, now: Millis, at: Instant) {
        let left = Duration::from_millis(alert.ends.saturating_sub(now)).max(self.bounds.resolve_timeout);
        self.next = self.next.max(alert.n.saturating_add(1));
        self.insert(alert, at + left.min(LONGEST));
    }

    /// How many fire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that fire.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.all.values().map(|firing| &firing.alert)
    }

    /// One that fires, by its row.
    #[must_use]
    pub fn get(&self, n: i64) -> Option<&Alert> {
        self.all.get(&n).map(|firing| &firing.alert)
    }

    /// Whether none fires.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Decides about a posted alert.
    pub fn take(&mut self, posted: Posted, now: Millis, at: Instant) -> Verdict {
        let name = self.name(&posted.message.labels);
        let ends = match posted.ends {
            Ends::Unsaid => now.saturating_add(millis(self.bounds.resolve_timeout)),
            Ends::At(ends) => ends,
            Ends::Told => now.saturating_add(millis(limits::ALERT_TOLD)),
        };
        let known = self.known(name, posted.starts);
        if ends <= now {
            let over: Vec<i64> = match (known, posted.starts) {
                (Some(n), Some(_)) => vec![n],
                // Whoever says no beginning means whatever fires under these labels…
                (_, None) => self.named.get(&name).cloned().unwrap_or_default(),
                // …and whoever says one that nobody knows what had begun by then: an old end ends nothing that is newer.
                (None, Some(_)) => {
                    let before = |n: &&i64| self.all.get(n).is_some_and(|firing| firing.alert.starts < ends);
                    self.named.get(&name).into_iter().flatten().filter(before).copied().collect()
                }
            };
            // It is over since when the client says, whenever that arrives, unless it says something impossible.
            let ended = |alert: Alert| Alert { ends: if ends > alert.starts { ends } else { now }, ..alert };
            let over: Vec<Alert> = over.into_iter().filter_map(|n| self.remove(n)).map(ended).collect();
            return if over.is_empty() { Verdict::Unknown } else { Verdict::Over(over) };
        }
        let due = at + Duration::from_millis(ends - now).min(LONGEST);
        if let Some(n) = known {
            self.refresh(n, posted, (ends, due), now);
            return Verdict::Fired(n);
        }
        let bytes = posted.bytes();
        if self.all.len() >= self.bounds.alerts || self.bytes.saturating_add(bytes) > limits::ALERTS_BYTES {
            return Verdict::NoRoom(posted.message);
        }
        let oldest =
            self.named.get(&name).filter(|rows| rows.len() >= limits::ALERT_STARTS).and_then(|rows| rows.first());
        let replaced = oldest.copied().and_then(|n| self.remove(n));
        let starts = posted.starts.unwrap_or(now);
        let message = posted.message.clone();
        let Posted { annotations, generator, .. } = posted;
        let n = self.next;
        self.next += 1;
        self.insert(Alert { n, message: posted.message, annotations, generator, starts, ends, updated: now }, due);
        self.changed.insert(n);
        Verdict::Fires { n, message, starts, replaced }
    }

    /// The alert with these labels that began then; without a beginning, the last one that began.
    fn known(&self, name: u128, starts: Option<Millis>) -> Option<i64> {
        let rows = self.named.get(&name)?;
        match starts {
            None => rows.last().copied(),
            Some(starts) => {
                rows.iter().copied().find(|n| self.all.get(n).is_some_and(|firing| firing.alert.starts == starts))
            }
        }
    }

    fn refresh(&mut self, n: i64, posted: Posted, (ends, due): (Millis, Instant), now: Millis) {
        let Some(firing) = self.all.get_mut(&n) else { return };
        self.due.remove(&(firing.due, n));
        self.due.insert((due, n));
        firing.due = due;
        let alert = &mut firing.alert;
        (alert.ends, alert.updated) = (ends, now);
        let said_anew = alert.annotations != posted.annotations || alert.generator != posted.generator;
        if said_anew && posted.bytes() <= firing.bytes.saturating_add(limits::LABEL_VALUE_BYTES) {
            (alert.annotations, alert.generator) = (posted.annotations, posted.generator);
        }
        // After a restart it has its time anyway, so that the store need not hear of every time it is posted again.
        if said_anew || ends.abs_diff(firing.saved_ends) >= SAVE_AFTER_MILLIS {
            firing.saved_ends = ends;
            self.changed.insert(n);
        }
    }

    fn insert(&mut self, alert: Alert, due: Instant) {
        let (n, name) = (alert.n, self.name(&alert.message.labels));
        let bytes = alert_bytes(&alert.message, &alert.annotations, &alert.generator);
        self.bytes += bytes;
        self.due.insert((due, n));
        self.named.entry(name).or_default().push(n);
        self.all.insert(n, Firing { name, due, bytes, saved_ends: alert.ends, alert });
    }

    fn remove(&mut self, n: i64) -> Option<Alert> {
        let firing = self.all.remove(&n)?;
        self.due.remove(&(firing.due, n));
        self.bytes -= firing.bytes;
        if let Some(rows) = self.named.get_mut(&firing.name) {
            rows.retain(|row| *row != n);
            if rows.is_empty() {
                self.named.remove(&firing.name);
            }
        }
        self.changed.remove(&n);
        self.gone.push(n);
        Some(firing.alert)
    }

    /// When the next one is over.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Those that are over by now, some at a time.
    pub fn over(&mut self, at: Instant) -> Vec<Alert> {
        let due: Vec<i64> =
            self.due.iter().take(limits::ALERTS_OVER).take_while(|(due, _)| *due <= at).map(|(_, n)| *n).collect();
        due.into_iter().filter_map(|n| self.remove(n)).collect()
    }

    /// For so long nobody could post: all get that time.
    pub fn wait(&mut self, time: Duration) {
        self.due = std::mem::take(&mut self.due).into_iter().map(|(due, n)| (due + time, n)).collect();
        for (due, n) in &self.due {
            if let Some(firing) = self.all.get_mut(n) {
                firing.due = *due;
            }
        }
    }

    /// Whether the store does not know everything yet.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.gone.is_empty()
    }

    /// What the store does not know yet: alerts that are new or changed, and rows that are gone.
    pub fn changes(&mut self) -> (Vec<Alert>, Vec<i64>) {
        let changed = std::mem::take(&mut self.changed);
        let alerts = changed.iter().filter_map(|n| self.all.get(n)).map(|firing| firing.alert.clone()).collect();
        (alerts, std::mem::take(&mut self.gone))
    }

    fn name(&self, labels: &Labels) -> u128 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        for part in labels.iter().flat_map(|(name, value)| [name, value]) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().as_bytes().iter().take(16).fold(0, |name, byte| (name << 8) | u128::from(*byte))
    }
}

/// An alert's fingerprint as Prometheus and Alertmanager show it: FNV-1a over its sorted labels, in 16 hex digits.
#[must_use]
pub fn fingerprint(labels: &Labels) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (name, value) in labels.iter() {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    format!("{hash:016x}")
}

/// No timer runs longer than a year: an end further off is as good as none.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The store hears of a later end when it is so much later.
const SAVE_AFTER_MILLIS: u64 = 60_000;

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests;
