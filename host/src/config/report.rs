//! Mistakes as people read them: `FILE:LINE:COL: error: …`, the line, and a caret under the spot.
//!
//! Only draws; what is a mistake is decided by the sections. Never shows what may be a secret: a mistake that
//! says so is drawn with its line cut at the spot.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Mistakes that are drawn; a file with more is something else than a configuration.
const SHOWN: usize = 1_000;
/// A right name of fewer letters begins too many words to be what was meant.
const SHORTEST_PREFIX: usize = 3;

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// Bytes of the file.
    Span(usize),
    /// Bytes of the file, and what stands there is not to be shown.
    Hidden(usize),
    /// Not in the file: an environment variable, by name.
    Elsewhere(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where.
    pub(super) spot: Spot,
    /// What, in one clause.
    pub(super) message: String,
}

impl Mistake {
    /// A mistake at the start of what stands at `span`.
    pub(super) fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { spot: Spot::Span(span.start), message: message.into() }
    }
}

/// The file as it was typed: what a place in a message is found in.
#[derive(Clone, Debug, Default)]
pub struct Places {
    name: String,
    text: Arc<str>,
}

impl Places {
    /// Of a file that is called `name` in messages.
    pub(super) fn new(name: String, text: &str) -> Self {
        Self { name, text: text.into() }
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The whole file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// `FILE:LINE:COL` of a spot.
    pub(super) fn place(&self, offset: usize) -> String {
        let line = Line::of(&self.text, offset);
        format!("{}:{}:{}", self.name, line.number, line.column)
    }

    /// A mistake with its line and a caret. Nothing is shown of a line from the first of the `hidden` spots on.
    pub(super) fn draw(&self, mistake: &Mistake, hidden: &[usize]) -> String {
        let message = printable(&mistake.message);
        let offset = match &mistake.spot {
            Spot::Span(offset) | Spot::Hidden(offset) => *offset,
            Spot::Elsewhere(name) => return format!("{name}: error: {message}"),
        };
        let line = Line::of(&self.text, offset);
        let (before, after) = (line.before, line.after);
        let whole = offset.saturating_sub(before.len())..offset + after.len();
        let shown = match hidden.iter().filter(|at| whole.contains(at)).min() {
            None => format!("{before}{after}"),
            Some(at) => format!("{}…", self.text.get(whole.start..*at).unwrap_or_default()),
        };
        // A tab stays a tab, so that the caret stands under its spot whatever a tab's width is.
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("{}: error: {message}\n{}\n{indent}^", self.place(offset), printable(&shown))
    }
}

/// The text without what a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The line of a spot, in two parts.
struct Line<'t> {
    number: usize,
    column: usize,
    before: &'t str,
    after: &'t str,
}

impl<'t> Line<'t> {
    fn of(text: &'t str, offset: usize) -> Self {
        let (before, after) = text.split_at(text.floor_char_boundary(offset));
        let number = before.split('\n').count();
        let before = before.rsplit('\n').next().unwrap_or_default();
        let after = after.split('\n').next().unwrap_or_default();
        let after = after.strip_suffix('\r').unwrap_or(after);
        // The mark of encoding that some editors put first is no character of the line.
        let before = before.trim_start_matches('\u{feff}');
        Self { number, column: before.chars().count() + 1, before, after }
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug)]
pub struct Mistakes {
    places: Places,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// Sorts them, and keeps one of those that say the same at the same spot.
    pub(super) fn new(places: Places, mut list: Vec<Mistake>) -> Self {
        let offset = |mistake: &Mistake| match mistake.spot {
            Spot::Span(offset) | Spot::Hidden(offset) => offset,
            Spot::Elsewhere(_) => usize::MAX,
        };
        list.sort_by_key(offset);
        list.dedup();
        Self { places, list }
    }

    /// How many there are; never none.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |mistake: &Mistake| if let Spot::Hidden(offset) = mistake.spot { Some(offset) } else { None };
        let hidden: Vec<usize> = self.list.iter().filter_map(hidden).collect();
        for (at, mistake) in self.list.iter().take(SHOWN).enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.places.draw(mistake, &hidden))?;
        }
        match self.list.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// `, did you mean …?` when one of the right names is near, else all of them.
pub(super) fn did_you_mean(word: &str, names: &[&str]) -> String {
    match nearest(word, names) {
        Some(name) => format!(", did you mean `{name}`?"),
        None if names.is_empty() => String::new(),
        None => format!(", expected one of {}", names.join(", ")),
    }
}

/// The right name that `word` most likely stands for.
pub(super) fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let word = word.to_lowercase();
    let distances = names.iter().map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), *name));
    // A third of the letters may be wrong: more, and the guess is more often a riddle than a help.
    let near = distances.filter(|(distance, name)| {
        let length = name.chars().count();
        let longer = length >= SHORTEST_PREFIX && word.starts_with(name);
        longer || (*distance <= (length / 3).max(1) && *distance < length)
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}
