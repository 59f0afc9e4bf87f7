//! Which alerts fire: known by their labels and by when they began, so that one that is posted again counts nothing.
//!
//! Pure: time is handed in. Whoever holds an [`Alerts`] decides for everybody, so there is one, and
//! what it says of an alert is written in the same transaction as the alert's count.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use tokio::time::Instant;

use crate::limits;
use crate::message::{Ends, Labels, Message, Millis, Pairs, Posted, Word};

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

/// All alerts that fire.
#[derive(Debug)]
pub struct Alerts {
    seed: RandomState,
    bounds: Bounds,
    next: i64,
    /// Those with the same labels together, in the order of coming. They are found by a hash with a random seed, because
    /// clients choose labels, and known by the labels themselves.
    named: HashTable<Vec<Firing>>,
    /// The hash of each one's labels.
    hashes: BTreeMap<i64, u64>,
    /// When which is to be looked at: it may be over then, and is not before.
    looks: BTreeSet<(Instant, i64)>,
    bytes: usize,
    /// What the store does not know of yet.
    changed: BTreeSet<i64>,
    gone: Vec<i64>,
}

#[derive(Debug)]
struct Firing {
    alert: Alert,
    due: Instant,
    /// When it is to be looked at: seldom moved, because it is posted again and again.
    look: Instant,
    bytes: usize,
    /// Its end as the store knows it.
    saved_ends: Millis,
}

impl Default for Alerts {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Alerts {
    /// None fires.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            seed: RandomState::default(),
            bounds,
            next: 1,
            named: HashTable::new(),
            hashes: BTreeMap::new(),
            looks: BTreeSet::new(),
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
        self.hashes.len()
    }

    /// Those that fire.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.hashes.keys().filter_map(|n| self.get(*n))
    }

    /// One that fires, by its row.
    #[must_use]
    pub fn get(&self, n: i64) -> Option<&Alert> {
        let same = self.named.find(*self.hashes.get(&n)?, |same| place(same, n).is_some())?;
        same.get(place(same, n)?).map(|firing| &firing.alert)
    }

    /// Whether none fires.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Decides about an alert that `source` posted.
    pub fn take(&mut self, posted: Posted<'_>, source: &Word, now: Millis, at: Instant) -> Verdict {
        let hash = self.seed.hash_one(posted.labels);
        let ends = match posted.ends {
            Ends::Unsaid => now.saturating_add(millis(self.bounds.resolve_timeout)),
            Ends::At(ends) => ends,
            Ends::Told => now.saturating_add(millis(limits::ALERT_TOLD)),
        };
        if ends <= now {
            return self.end(hash, posted, ends, now);
        }
        let due = at + Duration::from_millis(ends - now).min(LONGEST);
        let same = self.named.find_mut(hash, |same| have(same, posted.labels));
        let same_rows = same.as_ref().map_or(0, |same| same.len());
        let (first, known) = match same {
            Some(same) => (same.first().map(|first| first.alert.n), known(same, posted.starts)),
            None => (None, None),
        };
        if let Some(firing) = known {
            if due < firing.look {
                self.looks.remove(&(firing.look, firing.alert.n));
                self.looks.insert((due, firing.alert.n));
                firing.look = due;
            }
            firing.due = due;
            if firing.refresh(posted, ends, now) {
                self.changed.insert(firing.alert.n);
            }
            return Verdict::Fired(firing.alert.n);
        }
        let bytes = posted.bytes(source);
        if self.len() >= self.bounds.alerts || self.bytes.saturating_add(bytes) > limits::ALERTS_BYTES {
            return Verdict::NoRoom(posted.message(source));
        }
        let replaced = first.filter(|_| same_rows >= limits::ALERT_STARTS).and_then(|n| self.remove(n));
        let starts = posted.starts.unwrap_or(now);
        let message = posted.message(source);
        let (annotations, generator) = (Labels::from(posted.annotations), posted.generator.to_owned());
        let n = self.next;
        self.next += 1;
        self.insert(Alert { n, message: message.clone(), annotations, generator, starts, ends, updated: now }, due);
        self.changed.insert(n);
        Verdict::Fires { n, message, starts, replaced }
    }

    /// An alert is posted that is over.
    fn end(&mut self, hash: u64, posted: Posted<'_>, ends: Millis, now: Millis) -> Verdict {
        let same = self.named.find(hash, |same| have(same, posted.labels)).map_or(&[][..], Vec::as_slice);
        let over: Vec<i64> = match posted.starts {
            // Whoever says no beginning means whatever fires under these labels…
            None => same.iter().map(|firing| firing.alert.n).collect(),
            Some(starts) => match same.iter().find(|firing| firing.alert.starts == starts) {
                Some(firing) => vec![firing.alert.n],
                // …and whoever says one that nobody knows what had begun by then, and was not said to fire since: an old
                // end, which clients repeat for a while, ends nothing that is newer or goes on.
                None => {
                    let is_over = |alert: &&Alert| alert.starts < ends && alert.updated <= ends;
                    same.iter().map(|firing| &firing.alert).filter(is_over).map(|alert| alert.n).collect()
                }
            },
        };
        // It is over since when the client says, whenever that arrives, unless it says something impossible.
        let ended = |alert: Alert| Alert { ends: if ends > alert.starts { ends } else { now }, ..alert };
        let over: Vec<Alert> = over.into_iter().filter_map(|n| self.remove(n)).map(ended).collect();
        if over.is_empty() { Verdict::Unknown } else { Verdict::Over(over) }
    }

    fn insert(&mut self, alert: Alert, due: Instant) {
        let (n, hash) = (alert.n, self.seed.hash_one(alert.message.labels.pairs()));
        let bytes = alert.bytes();
        self.bytes += bytes;
        self.looks.insert((due, n));
        self.hashes.insert(n, hash);
        let firing = Firing { due, look: due, bytes, saved_ends: alert.ends, alert };
        let labels = firing.alert.message.labels.pairs();
        match self.named.find_mut(hash, |same| have(same, labels)) {
            Some(same) => same.push(firing),
            None => {
                let hash_of = |same: &Vec<Firing>| {
                    same.first().map_or(0, |first| self.seed.hash_one(first.alert.message.labels.pairs()))
                };
                self.named.insert_unique(hash, vec![firing], hash_of);
            }
        }
    }

    fn remove(&mut self, n: i64) -> Option<Alert> {
        let hash = self.hashes.remove(&n)?;
        let mut same = self.named.find_entry(hash, |same| place(same, n).is_some()).ok()?;
        let place = place(same.get(), n)?;
        let firing = same.get_mut().remove(place);
        if same.get().is_empty() {
            same.remove();
        }
        self.looks.remove(&(firing.look, n));
        self.bytes -= firing.bytes;
        self.changed.remove(&n);
        self.gone.push(n);
        Some(firing.alert)
    }

    fn find_mut(&mut self, n: i64) -> Option<&mut Firing> {
        let same = self.named.find_mut(*self.hashes.get(&n)?, |same| place(same, n).is_some())?;
        let place = place(same, n)?;
        same.get_mut(place)
    }

    /// When the next one may be over: it is to be looked for then.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.looks.first().map(|(look, _)| *look)
    }

    /// Those that are over by now, some at a time.
    pub fn over(&mut self, at: Instant) -> Vec<Alert> {
        let looked: Vec<i64> =
            self.looks.iter().take(limits::ALERTS_OVER).take_while(|(look, _)| *look <= at).map(|(_, n)| *n).collect();
        looked.into_iter().filter_map(|n| if self.goes_on(n, at) { None } else { self.remove(n) }).collect()
    }

    /// Whether an alert that was to be looked at was posted again meanwhile; it is looked at again then.
    fn goes_on(&mut self, n: i64, at: Instant) -> bool {
        let Some(firing) = self.find_mut(n).filter(|firing| firing.due > at) else { return false };
        let (before, next) = (std::mem::replace(&mut firing.look, firing.due), firing.due);
        self.looks.remove(&(before, n));
        self.looks.insert((next, n));
        true
    }

    /// For so long nobody could post: all get that time.
    pub fn wait(&mut self, time: Duration) {
        self.looks = std::mem::take(&mut self.looks).into_iter().map(|(look, n)| (look + time, n)).collect();
        for firing in self.named.iter_mut().flatten() {
            firing.due += time;
            firing.look += time;
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
        let alerts = changed.iter().filter_map(|n| self.get(*n)).cloned().collect();
        (alerts, std::mem::take(&mut self.gone))
    }
}

impl Firing {
    /// It is posted again; whether the store is to hear of it.
    fn refresh(&mut self, posted: Posted<'_>, ends: Millis, now: Millis) -> bool {
        let alert = &mut self.alert;
        (alert.ends, alert.updated) = (ends, now);
        let said_anew = alert.annotations.pairs() != posted.annotations || alert.generator != posted.generator;
        if said_anew && posted.bytes(&alert.message.source) <= self.bytes.saturating_add(limits::LABEL_VALUE_BYTES) {
            alert.annotations = Labels::from(posted.annotations);
            posted.generator.clone_into(&mut alert.generator);
        }
        // After a restart it has its time anyway, so that the store need not hear of every time it is posted again.
        let saves = said_anew || ends.abs_diff(self.saved_ends) >= SAVE_AFTER_MILLIS;
        if saves {
            self.saved_ends = ends;
        }
        saves
    }
}

impl Alert {
    fn bytes(&self) -> usize {
        let Self { message, annotations, generator, starts, .. } = self;
        let posted = Posted {
            labels: message.labels.pairs(),
            text: &message.text,
            severity: message.severity,
            annotations: annotations.pairs(),
            generator,
            starts: Some(*starts),
            ends: Ends::Unsaid,
        };
        posted.bytes(&message.source)
    }
}

/// Whether those that fire with the same labels have these.
fn have(same: &[Firing], labels: Pairs<'_>) -> bool {
    same.first().is_some_and(|first| first.alert.message.labels.pairs() == labels)
}

/// Where a row is among those with the same labels.
fn place(same: &[Firing], n: i64) -> Option<usize> {
    same.iter().position(|firing| firing.alert.n == n)
}

/// Of those with the same labels the one that began then; without a beginning, the last one that came.
fn known(same: &mut [Firing], starts: Option<Millis>) -> Option<&mut Firing> {
    match starts {
        None => same.last_mut(),
        Some(starts) => same.iter_mut().find(|firing| firing.alert.starts == starts),
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
