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

/// Regular expressions of silences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regexes {
    /// How many…
    pub count: usize,
    /// …with how much text.
    pub bytes: usize,
}

impl Regexes {
    fn add(&mut self, others: Self) {
        self.count += others.count;
        self.bytes += others.bytes;
    }

    /// Whether there may be as many as these and `others` together.
    #[must_use]
    pub fn have_room(mut self, others: Self) -> bool {
        self.add(others);
        self.count <= limits::SILENCE_REGEXES && self.bytes <= limits::SILENCE_REGEXES_BYTES
    }
}

/// The matchers of a silence that somebody wants: counted before the first one is read, which may cost something.
///
/// # Errors
///
/// There are none or too many of them, or what `read` says.
pub fn matchers<T>(wanted: Vec<T>, read: impl Fn(T) -> Result<Matcher, String>) -> Result<Vec<Matcher>, String> {
    counted(wanted.len())?;
    wanted.into_iter().map(read).collect()
}

fn counted(matchers: usize) -> Result<(), String> {
    match matchers {
        0 => Err("invalid silence: at least one matcher required".to_owned()),
        1..=limits::SILENCE_MATCHERS => Ok(()),
        _ => Err(format!("invalid silence: it has more than {} matchers", limits::SILENCE_MATCHERS)),
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
        counted(matchers.len())?;
        if matchers.iter().any(|matcher| {
            matcher.field().to_string().len() > limits::WORD_BYTES || matcher.value().len() > limits::LABEL_VALUE_BYTES
        }) {
            return Err("invalid silence: a matcher is too long".to_owned());
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

    /// What its regular expressions take of what all silences may have.
    #[must_use]
    pub fn regexes(&self) -> Regexes {
        let mut all = Regexes::default();
        for matcher in self.matchers.iter().filter(|matcher| matcher.is_regex()) {
            all.add(Regexes { count: 1, bytes: matcher.value().len() });
        }
        all
    }

    /// Compiles what came from the store now, not when the first window waits for it.
    pub fn prepare(&self) {
        self.matchers.iter().for_each(Matcher::prepare);
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

/// The silences that hold, will, or did a while ago: the clock may be set back to before their end.
#[derive(Clone, Debug, Default)]
pub struct Silences(Arc<Vec<Arc<Silence>>>);

impl Silences {
    /// These, the oldest first.
    #[must_use]
    pub fn new(silences: Vec<Silence>) -> Self {
        Self(Arc::new(silences.into_iter().map(Arc::new).collect()))
    }

    /// Whether there are none, so that nothing has to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are not over at `now`, and their regular expressions, but for the one with this id.
    #[must_use]
    pub fn count_but(&self, id: &str, now: Millis) -> (usize, Regexes) {
        let others = self.0.iter().filter(|there| there.id != id && there.state(now) != State::Expired);
        let mut all = (0, Regexes::default());
        for there in others {
            all.0 += 1;
            all.1.add(there.regexes());
        }
        all
    }

    /// With another one, or another form of one.
    pub fn put(&mut self, silence: Silence) {
        let all = Arc::make_mut(&mut self.0);
        all.retain(|there| there.id != silence.id);
        all.push(Arc::new(silence));
    }

    /// Without these.
    pub fn forget(&mut self, ids: &[String]) {
        if !ids.is_empty() {
            Arc::make_mut(&mut self.0).retain(|there| !ids.contains(&there.id));
        }
    }

    /// The first one that silences a message at `now`.
    #[must_use]
    pub fn find(&self, message: &Message, now: Millis) -> Option<&Silence> {
        self.all(message, now).next()
    }

    /// All that silence a message at `now`.
    pub fn all<'s>(&'s self, message: &Message, now: Millis) -> impl Iterator<Item = &'s Silence> {
        let active = self.0.iter().map(Arc::as_ref).filter(move |silence| silence.state(now) == State::Active);
        active.filter(|silence| silence.matches(message))
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
    fn a_silence_holds_again_when_the_clock_is_set_back_to_before_its_end() {
        let mut all = Silences::new(vec![silence(&["text=\"disk full\""])]);
        all.put(Silence { id: "y".to_owned(), starts: 90, ends: 100, ..silence(&["a=b"]) });
        assert!(all.find(&alert(&[]), 95).is_none(), "over");
        assert!(all.find(&alert(&[]), 15).is_some());
        assert_eq!((all.count_but("", 15).0, all.count_but("", 95).0, all.count_but("y", 95).0), (2, 1, 0));
        all.forget(&["x".to_owned()]);
        assert!(all.find(&alert(&[]), 15).is_none());
    }

    #[test]
    fn all_silences_together_have_so_many_expressions_and_so_much_text_of_them() {
        let of = |bytes: usize| silence(&[&format!("a=~{}", "x".repeat(bytes)), "b=c"]).regexes();
        assert_eq!(of(7), Regexes { count: 1, bytes: 7 });
        let (many, much) =
            (Regexes { count: 99, bytes: 0 }, Regexes { count: 4, bytes: limits::SILENCE_REGEXES_BYTES - 7 });
        assert!(many.have_room(of(1)) && !many.have_room(Regexes { count: 2, bytes: 2 }));
        assert!(much.have_room(of(7)) && !much.have_room(of(8)));
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
