//! Silences: what is counted and told to nobody for a while.
//!
//! Pure. A silence looks at what all messages of a window share, when the window closes.

use std::sync::Arc;

use crate::limits;
use crate::matcher::{Field, Matcher};
use crate::message::{Message, Millis};

/// For a while, windows that match are told to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its id, a UUID; empty for one that is to be made.
    pub id: String,
    /// All of them must hold.
    pub matchers: Vec<Matcher>,
    /// From when…
    pub starts: Millis,
    /// …until when.
    pub ends: Millis,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was last changed.
    pub updated: Millis,
    /// Messages that it kept from being told.
    pub messages: u64,
}

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to come.
    Pending,
    /// It holds now.
    Active,
    /// It is over.
    Expired,
}

impl State {
    /// Alertmanager's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// A silence that somebody wants, checked; `id` is empty for a new one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one sentence.
    pub fn wanted(
        matchers: Vec<Matcher>,
        (starts, ends): (Millis, Millis),
        (created_by, comment): (String, String),
        now: Millis,
    ) -> Result<Self, String> {
        if matchers.is_empty() {
            return Err("invalid silence: at least one matcher required".to_owned());
        }
        if matchers.len() > limits::SILENCE_MATCHERS {
            return Err(format!("invalid silence: it has more than {} matchers", limits::SILENCE_MATCHERS));
        }
        if matchers.iter().any(|matcher| {
            matcher.field().to_string().len() > limits::WORD_BYTES || matcher.value().len() > limits::LABEL_VALUE_BYTES
        }) {
            return Err("invalid silence: a matcher is too long".to_owned());
        }
        if let Some(large) = matchers.iter().find(|matcher| !matcher.fits(limits::SILENCE_REGEX_BYTES)) {
            let most = limits::SILENCE_REGEX_BYTES / 1024;
            return Err(format!("invalid silence: the expression of {} takes more than {most} KiB", large.field()));
        }
        if matchers.iter().all(|matcher| matcher.holds("")) {
            return Err("invalid silence: at least one matcher must not match the empty string".to_owned());
        }
        if created_by.len() > limits::SILENCE_TEXT_BYTES || comment.len() > limits::SILENCE_TEXT_BYTES {
            let most = limits::SILENCE_TEXT_BYTES;
            return Err(format!("invalid silence: its author or its comment is longer than {most} bytes"));
        }
        if ends <= starts {
            return Err("start time must be before end time".to_owned());
        }
        if ends <= now {
            return Err("end time can't be in the past".to_owned());
        }
        Ok(Self { id: String::new(), matchers, starts, ends, created_by, comment, updated: now, messages: 0 })
    }

    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, now: Millis) -> State {
        if now >= self.ends {
            State::Expired
        } else if now < self.starts {
            State::Pending
        } else {
            State::Active
        }
    }

    /// Regular expressions among its matchers.
    #[must_use]
    pub fn regexes(&self) -> usize {
        self.matchers.iter().filter(|matcher| matcher.is_regex()).count()
    }

    /// Whether all its matchers hold.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        self.matchers.iter().all(|matcher| holds(matcher, message))
    }
}

/// Whether a matcher holds as Alertmanager means it, which knows labels only: a label goes before the message's own field
/// of the same name.
#[must_use]
pub fn holds(matcher: &Matcher, message: &Message) -> bool {
    let field = matcher.field();
    let label = match field {
        Field::Label(_) => None,
        own => message.labels.get(&own.to_string()),
    };
    let value = label.unwrap_or_else(|| field.value(message));
    // Whoever may make silences and send messages must not be able to keep the store at work with them.
    let seen = if matcher.is_regex() { value.floor_char_boundary(limits::SILENCE_SEEN_BYTES) } else { value.len() };
    matcher.holds(value.get(..seen).unwrap_or(value))
}

/// The silences that hold, or will.
#[derive(Clone, Debug, Default)]
pub struct Silences(Arc<Vec<Silence>>);

impl Silences {
    /// These, the oldest first.
    #[must_use]
    pub fn new(silences: Vec<Silence>) -> Self {
        Self(Arc::new(silences))
    }

    /// Whether there are none, so that nothing has to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are not over at `now`, and how many regular expressions they have, but for the one with this id.
    #[must_use]
    pub fn count_but(&self, id: &str, now: Millis) -> (usize, usize) {
        let others = self.0.iter().filter(|there| there.id != id && there.state(now) != State::Expired);
        others.fold((0, 0), |(silences, regexes), there| (silences + 1, regexes + there.regexes()))
    }

    /// With another one, or another form of one; those that are over at `now` go.
    pub fn put(&mut self, silence: Silence, now: Millis) {
        let all = Arc::make_mut(&mut self.0);
        all.retain(|there| there.id != silence.id);
        all.push(silence);
        all.retain(|there| there.state(now) != State::Expired);
    }

    /// The first one that silences a message at `now`.
    #[must_use]
    pub fn find(&self, message: &Message, now: Millis) -> Option<&Silence> {
        self.all(message, now).next()
    }

    /// All that silence a message at `now`.
    pub fn all<'s>(&'s self, message: &Message, now: Millis) -> impl Iterator<Item = &'s Silence> {
        self.0.iter().filter(move |silence| silence.state(now) == State::Active && silence.matches(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ALERT_KIND, Labels, Severity};

    fn silence(matchers: &[&str]) -> Silence {
        Silence {
            id: "x".to_owned(),
            matchers: matchers.iter().map(|text| Matcher::parse(text).expect("a good matcher")).collect(),
            starts: 10,
            ends: 20,
            created_by: "ann".to_owned(),
            comment: "work".to_owned(),
            updated: 1,
            messages: 0,
        }
    }

    fn alert(labels: &[(&str, &str)]) -> Message {
        Message {
            text: "disk full".to_owned(),
            kind: ALERT_KIND.into(),
            severity: Some(Severity::Error),
            labels: Labels::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()),
            source: "10.0.0.1".into(),
        }
    }

    #[test]
    fn a_silence_holds_from_its_beginning_to_its_end() {
        let states = [9, 10, 19, 20].map(|now| silence(&["a=b"]).state(now).as_str());
        assert_eq!(states, ["pending", "active", "active", "expired"]);
        let all = Silences::new(vec![silence(&["text=\"disk full\""])]);
        assert!(all.find(&alert(&[]), 9).is_none() && all.find(&alert(&[]), 10).is_some());
        assert!(all.find(&alert(&[]), 20).is_none());
    }

    #[test]
    fn all_matchers_must_hold() {
        let both = silence(&["app=shop", "host=~\"web-.*\""]);
        assert!(both.matches(&alert(&[("app", "shop"), ("host", "web-1")])));
        assert!(!both.matches(&alert(&[("app", "shop"), ("host", "db-1")])));
        assert!(!both.matches(&alert(&[("host", "web-1")])));
    }

    #[test]
    fn a_label_goes_before_the_messages_own_field_of_that_name() {
        let paged = silence(&["severity=page"]);
        assert!(paged.matches(&alert(&[("severity", "page")])));
        assert!(!paged.matches(&alert(&[])));
        assert!(silence(&["severity=error"]).matches(&alert(&[])));
        assert!(silence(&["kind=alert", "source=10.0.0.1"]).matches(&alert(&[])));
    }

    #[test]
    fn a_regular_expression_sees_the_beginning_of_a_long_value_and_an_equation_all_of_it() {
        let long = format!("{}é{}end", "x".repeat(limits::SILENCE_SEEN_BYTES - 1), "y".repeat(9));
        let of = alert(&[("host", &long)]);
        assert!(silence(&["host=~x+"]).matches(&of), "cut at a character, before the é");
        assert!(!silence(&["host=~.*end"]).matches(&of));
        assert!(silence(&[&format!("host=\"{long}\"")]).matches(&of));
    }
}
