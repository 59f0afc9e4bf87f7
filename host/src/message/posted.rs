//! Alerts as a client posts them: again and again while they fire, and once more when they are over.
//!
//! Nearly all that come are known and say what they said before, so those of a request lie in one piece of memory: to
//! find that out, nothing is allocated for each.

use super::{ALERT_KIND, Labels, Message, Millis, Pairs, Severity, Word};

/// Until when a posted alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The client did not say: for a while, unless it is posted again.
    Unsaid,
    /// Until then; the alert is over when that is past.
    At(Millis),
    /// Until the client says so: it tells what is over, and does not post again what goes on.
    Told,
}

/// An alert as it was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted<'a> {
    /// What it is known by.
    pub labels: Pairs<'a>,
    /// What happened.
    pub text: &'a str,
    /// How bad it is, when the client said so.
    pub severity: Option<Severity>,
    /// What is said about it, which may change while it fires.
    pub annotations: Pairs<'a>,
    /// Where it was made.
    pub generator: &'a str,
    /// Since when it fires, when the client said so.
    pub starts: Option<Millis>,
    /// Until when.
    pub ends: Ends,
}

impl Posted<'_> {
    /// What it says as a message of `source`.
    #[must_use]
    pub fn message(&self, source: &Word) -> Message {
        Message {
            text: self.text.to_owned(),
            kind: ALERT_KIND.into(),
            severity: self.severity,
            labels: Labels::from(self.labels),
            source: source.clone(),
        }
    }

    /// About what it takes in memory, once it is known.
    #[must_use]
    pub fn bytes(&self, source: &Word) -> usize {
        let words = self.text.len() + source.len() + self.generator.len();
        ALERT_BYTES + pairs_bytes(self.labels) + pairs_bytes(self.annotations) + words
    }
}

/// Alerts in the order of their request, in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posts {
    /// Of each its labels, its annotations, where it was made, and its text.
    words: String,
    alerts: Vec<Place>,
    /// Who posted them.
    pub source: Word,
}

/// Where the words of an alert end, and what else it says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    labels: usize,
    annotations: usize,
    generator: usize,
    text: usize,
    severity: Option<Severity>,
    starts: Option<Millis>,
    ends: Ends,
}

impl Posts {
    /// Adds one behind the others.
    pub fn push(&mut self, posted: Posted<'_>) {
        let Posted { labels, text, severity, annotations, generator, starts, ends } = posted;
        let mut add = |words: &str| {
            self.words.push_str(words);
            self.words.len()
        };
        let (labels, annotations) = (add(labels.as_str()), add(annotations.as_str()));
        let (generator, text) = (add(generator), add(text));
        self.alerts.push(Place { labels, annotations, generator, text, severity, starts, ends });
    }

    /// In the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Posted<'_>> {
        let mut from = 0;
        self.alerts.iter().map(move |place| {
            let mut next = |end: usize| self.words.get(std::mem::replace(&mut from, end)..end).unwrap_or_default();
            Posted {
                labels: Pairs::packed(next(place.labels)),
                annotations: Pairs::packed(next(place.annotations)),
                generator: next(place.generator),
                text: next(place.text),
                severity: place.severity,
                starts: place.starts,
                ends: place.ends,
            }
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// What they take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.capacity() + self.alerts.capacity() * size_of::<Place>()
    }

    /// Gives each those of `labels` whose names it does not have.
    pub fn label(&mut self, labels: &[(String, String)]) {
        if labels.is_empty() {
            return;
        }
        let mut labelled = Self { source: self.source.clone(), ..Self::default() };
        for posted in self.iter() {
            let mut own = Labels::from(posted.labels);
            own.add_missing(labels);
            labelled.push(Posted { labels: own.pairs(), ..posted });
        }
        *self = labelled;
    }
}

/// What an alert takes beside its words.
const ALERT_BYTES: usize = 512;
/// What a label takes beside its name and value.
const PAIR_BYTES: usize = 48;

fn pairs_bytes(pairs: Pairs<'_>) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + PAIR_BYTES).sum()
}

/// An alert that tests make up.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) struct OwnPosted {
    pub(crate) message: Message,
    pub(crate) annotations: Labels,
    pub(crate) generator: String,
    pub(crate) starts: Option<Millis>,
    pub(crate) ends: Ends,
}

#[cfg(test)]
impl From<Posted<'_>> for OwnPosted {
    fn from(posted: Posted<'_>) -> Self {
        Self {
            message: posted.message(&Word::default()),
            annotations: posted.annotations.into(),
            generator: posted.generator.to_owned(),
            starts: posted.starts,
            ends: posted.ends,
        }
    }
}

#[cfg(test)]
impl OwnPosted {
    /// As it is posted.
    pub(crate) fn view(&self) -> Posted<'_> {
        Posted {
            labels: self.message.labels.pairs(),
            text: &self.message.text,
            severity: self.message.severity,
            annotations: self.annotations.pairs(),
            generator: &self.generator,
            starts: self.starts,
            ends: self.ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_come_out_as_they_were_added_and_with_the_labels_that_they_lack() {
        let (labels, said) = (Labels::new(vec![("b", "1"), ("c", "")]), Labels::new(vec![("summary", "97 %")]));
        let first = Posted {
            labels: labels.pairs(),
            text: "97 %",
            severity: Some(Severity::Error),
            annotations: said.pairs(),
            generator: "http://p",
            starts: Some(7),
            ends: Ends::At(9),
        };
        let second = Posted { text: "", annotations: Pairs::default(), generator: "", ends: Ends::Told, ..first };
        let mut posts = Posts::default();
        assert!(posts.is_empty());
        posts.push(first);
        posts.push(second);
        assert!(posts.iter().eq([first, second]));
        posts.label(&[("a".to_owned(), "2".to_owned()), ("b".to_owned(), "3".to_owned())]);
        let labels = Labels::new(vec![("a", "2"), ("b", "1"), ("c", "")]);
        let more = |posted| Posted { labels: labels.pairs(), ..posted };
        assert!(posts.iter().eq([more(first), more(second)]));
    }
}
