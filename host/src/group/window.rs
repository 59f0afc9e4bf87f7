//! One window: what counts, what it shares, and what is told of it once it is closed.

use std::sync::Arc;

use super::{Came, Key, Past};
use crate::limits;
use crate::message::{DEFAULT_KIND, Group, GroupId, Labels, Message, Millis, Reason, RouteIndex, Times};

/// An open count: from the first message after the last flush until the next flush.
///
/// What counting touches stands together, in one line of the cache or two: very many windows are counted in no order.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Window {
    /// Its row in the store: numbers in the order of opening, so that new rows go to the end of the file.
    pub row: i64,
    /// Messages so far.
    pub count: u64,
    /// How many of them the store has; 0 means that it has no row yet.
    pub saved: u64,
    /// The earliest time a message carried.
    pub first_seen: Millis,
    /// The latest time a message carried.
    pub last_seen: Millis,
    /// What its messages share; the text is the first one's, the severity the highest. An empty source is none.
    ///
    /// Shared, because whoever counts by number keeps it too.
    pub shared: Arc<Message>,
    /// Where it counts.
    pub route: RouteIndex,
    /// Whether more than the count and the times changed since the store last heard of it.
    pub reshaped: bool,
    /// The group's id, computed once, when the window opens.
    pub group: GroupId,
    /// When it opened.
    pub opened: Millis,
    /// What most windows do not have.
    pub rare: Option<Box<Rare>>,
}

/// What most windows do not have; kept apart so that the others stay small.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    /// Other texts, newest last.
    pub samples: Vec<String>,
    /// Since when all its alerts are over: that is told when it was told that they fire.
    pub resolved: Option<Millis>,
    /// What was said about them.
    pub annotations: Labels,
    /// The hash of the source that opened it, where that is limited.
    pub(super) source: Option<u64>,
}

impl Rare {
    /// These, if there is anything.
    #[must_use]
    pub fn new(samples: Vec<String>, resolved: Option<Millis>, annotations: Labels) -> Option<Box<Self>> {
        let any = !samples.is_empty() || resolved.is_some();
        any.then(|| Box::new(Self { samples, resolved, annotations, source: None }))
    }
}

impl Window {
    pub(super) fn open(row: i64, route: RouteIndex, group: GroupId, (message, times): Came<'_>, now: Millis) -> Self {
        Self {
            row,
            group,
            route,
            shared: Arc::clone(message),
            count: times.count,
            saved: 0,
            first_seen: times.first_seen,
            last_seen: times.last_seen,
            opened: now,
            reshaped: false,
            rare: None,
        }
    }

    /// The window for everything past a limit of open groups: its text says that, what came stands in its samples.
    pub(super) fn open_overflow(row: i64, key: Key<'_>, past: Past, came: Came<'_>, now: Millis) -> Self {
        let mut window = Self::open(row, key.index, past.what.id(key.route), came, now);
        add_sample(&mut window.rare_mut().samples, &came.0.text);
        Arc::make_mut(&mut window.shared).text = past.what.text(past.limit as u64);
        window
    }

    /// Adds messages that the window has met: nothing but numbers changes.
    #[inline]
    pub fn grow(&mut self, times: Times) {
        self.count = self.count.saturating_add(times.count);
        self.first_seen = self.first_seen.min(times.first_seen);
        self.last_seen = self.last_seen.max(times.last_seen);
    }

    pub(super) fn add(&mut self, (new, times): Came<'_>) {
        self.grow(times);
        // Nearly always the very same message again: one comparison, nothing to do.
        if self.shared == *new {
            return;
        }
        self.reshaped = true;
        let shared = Arc::make_mut(&mut self.shared);
        shared.severity = shared.severity.max(new.severity);
        if shared.kind != new.kind {
            shared.kind.set(DEFAULT_KIND);
        }
        if shared.source != new.source {
            shared.source.set("");
        }
        if shared.labels != new.labels {
            shared.labels.keep_shared(&new.labels);
        }
        if shared.text != new.text {
            add_sample(&mut self.rare_mut().samples, &new.text);
        }
    }

    /// Other texts, newest last.
    #[must_use]
    pub fn samples(&self) -> &[String] {
        self.rare.as_deref().map_or(&[], |rare| &rare.samples)
    }

    /// Since when all its alerts are over.
    #[must_use]
    pub fn resolved(&self) -> Option<Millis> {
        self.rare.as_deref().and_then(|rare| rare.resolved)
    }

    /// What was said about its alerts, once all of them are over.
    #[must_use]
    pub fn annotations(&self) -> Option<&Labels> {
        self.rare.as_deref().map(|rare| &rare.annotations).filter(|annotations| !annotations.is_empty())
    }

    /// What most windows do not have, to change it.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Messages that the store does not know yet.
    #[must_use]
    pub fn unsaved(&self) -> u64 {
        self.count.saturating_sub(self.saved)
    }

    /// What is told of it once it is closed. `total` is only known to the store.
    #[must_use]
    pub fn close(self, route: Arc<str>, opened: Millis, closed: Millis, reason: Reason) -> Group {
        let Message { text, kind, severity, labels, source } = Arc::unwrap_or_clone(self.shared);
        let (samples, annotations) = self.rare.map(|rare| (rare.samples, rare.annotations)).unwrap_or_default();
        Group {
            id: self.group,
            route,
            kind: kind.into(),
            source: Some(source).filter(|source| !source.is_empty()).map(Into::into),
            text,
            severity,
            labels,
            annotations,
            count: self.count,
            total: self.count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            opened,
            closed,
            samples,
            reason,
        }
    }
}

/// Puts a text at the end of the samples, cut to its bound; the oldest goes, and none stands twice.
fn add_sample(samples: &mut Vec<String>, text: &str) {
    let sample = text.get(..text.floor_char_boundary(limits::SAMPLE_BYTES)).unwrap_or_default();
    samples.retain(|kept| kept != sample);
    if samples.len() >= limits::SAMPLES {
        samples.remove(0);
    }
    samples.push(sample.to_owned());
}

/// Adds the texts of a later window of the same group to the samples of an earlier one, whose own text is no sample.
pub fn merge_samples(group: &mut Group, later: &Group) {
    for text in std::iter::once(&later.text).chain(&later.samples) {
        if *text != group.text {
            add_sample(&mut group.samples, text);
        }
    }
}
