//! Matchers: a field of a message compared with a value, in Alertmanager's syntax.
//!
//! Pure: no I/O, no clock. Parsing never panics, whatever it is given, and a regular expression is refused when
//! compiling it would take more than a bounded size; matching takes time linear in the message. Of whoever is not trusted
//! only such expressions are taken that are matched with one step a byte: [`Matcher::bounded`].

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

use crate::message::{Message, Severity};

mod table;

use table::Table;

/// A compiled regular expression may take this much memory.
const REGEX_BYTES: usize = 1024 * 1024;
/// What stands before the name of a label.
const LABEL_PREFIX: &str = "labels.";

/// What of a message is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// What sort of message it is.
    Kind,
    /// How bad it is, as one of the words of [`Severity::as_str`].
    Severity,
    /// Who sent it.
    Source,
    /// What happened.
    Text,
    /// A label, by name.
    Label(String),
}

impl Field {
    /// Reads `kind`, `severity`, `source`, `text`, `labels.NAME`; any other NAME is a label too.
    ///
    /// # Errors
    ///
    /// When there is no name.
    pub fn parse(name: &str) -> Result<Self, ParseError> {
        let label = match name {
            "kind" => return Ok(Self::Kind),
            "severity" => return Ok(Self::Severity),
            "source" => return Ok(Self::Source),
            "text" => return Ok(Self::Text),
            other => other.strip_prefix(LABEL_PREFIX).unwrap_or(other),
        };
        if label.is_empty() {
            return Err(ParseError::new(0, "expected a name: kind, severity, source, text or a label"));
        }
        Ok(Self::Label(label.to_owned()))
    }

    /// What `message` says there; empty when it says nothing.
    #[must_use]
    pub fn value<'m>(&self, message: &'m Message) -> &'m str {
        match self {
            Self::Kind => &message.kind,
            Self::Severity => message.severity.map_or("", Severity::as_str),
            Self::Source => &message.source,
            Self::Text => &message.text,
            Self::Label(name) => message.labels.get(name).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("kind"),
            Self::Severity => f.write_str("severity"),
            Self::Source => f.write_str("source"),
            Self::Text => f.write_str("text"),
            // Always with the prefix: a bare name would change its meaning if messages ever got a field of that name.
            Self::Label(name) => write!(f, "{LABEL_PREFIX}{name}"),
        }
    }
}

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

impl Op {
    /// As it is written; longer ones first, so that `=~` is not read as `=`.
    const ALL: [Self; 4] = [Self::Matches, Self::MatchesNot, Self::NotEqual, Self::Equal];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::MatchesNot)
    }

    fn is_regex(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesNot)
    }
}

/// Why a matcher could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// Bytes from the start of what was parsed to the spot.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

impl ParseError {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

/// One condition on a message: `kind="monitor"`.
#[derive(Clone, Debug)]
pub struct Matcher {
    field: Field,
    op: Op,
    value: String,
    /// There exactly when `op` wants one.
    regex: Option<Expression>,
}

/// A regular expression, compiled once.
#[derive(Clone, Debug)]
enum Expression {
    /// Of the config: as costly as its author wants it.
    Own(Regex),
    /// Of anybody.
    Bounded(Table),
    /// Of the store, which took it when it was good; compiled when it is first looked at, for most are only shown.
    Kept(Arc<OnceLock<Option<Self>>>),
}

impl Expression {
    fn is_match(&self, pattern: &str, value: &str) -> bool {
        match self {
            Self::Own(regex) => regex.is_match(value),
            Self::Bounded(table) => table.is_match(value),
            // What cannot be read matches nothing.
            Self::Kept(kept) => {
                let kept = kept.get_or_init(|| Self::read_again(pattern));
                kept.as_ref().is_some_and(|expression| expression.is_match(pattern, value))
            }
        }
    }

    fn prepare(&self, pattern: &str) {
        if let Self::Kept(kept) = self {
            kept.get_or_init(|| Self::read_again(pattern));
        }
    }

    /// A mag of before took expressions that are taken no more: they go on until their silence ends.
    fn read_again(pattern: &str) -> Option<Self> {
        Table::new(pattern, 0).map(Self::Bounded).or_else(|_| compile(pattern, 0).map(Self::Own)).ok()
    }
}

impl Matcher {
    /// Reads a matcher: a name, one of `= != =~ !~`, a value. Name and value may be quoted; `\"`, `\\` and `\n`
    /// are escapes, any other backslash stands for itself.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, |value, at| compile(value, at).map(Expression::Own))
    }

    /// The same for whoever is not trusted: a regular expression may take so much only that matching it costs one step a
    /// byte. `\b` is written `(?-u:\b)`.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse_bounded(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, |value, at| Table::new(value, at).map(Expression::Bounded))
    }

    /// The same for what was taken before: a regular expression is compiled when it is first looked at.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse_kept(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, |_, _| Ok(Expression::Kept(Arc::default())))
    }

    fn parse_with(
        text: &str,
        compile: impl FnOnce(&str, usize) -> Result<Expression, ParseError>,
    ) -> Result<Self, ParseError> {
        let mut cursor = Cursor { text, at: 0 };
        let field = cursor.field()?;
        let op = cursor.op()?;
        cursor.skip_space();
        let at = cursor.at;
        let value = cursor.value()?;
        let regex = if op.is_regex() { Some(compile(&value, at)?) } else { None };
        Ok(Self { field, op, value, regex })
    }

    /// Whether the condition holds for `message`.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        self.holds(self.field.value(message))
    }

    /// Whether the condition holds for `value`, wherever that comes from.
    #[must_use]
    pub fn holds(&self, value: &str) -> bool {
        let hit = match &self.regex {
            Some(expression) => expression.is_match(&self.value, value),
            None => self.value == value,
        };
        hit != self.op.is_negative()
    }

    /// Compiles what [`Self::parse_kept`] left uncompiled.
    pub fn prepare(&self) {
        if let Some(expression) = &self.regex {
            expression.prepare(&self.value);
        }
    }

    /// Whether it compares with a regular expression.
    #[must_use]
    pub fn is_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// Builds a matcher of its parts, for whoever is not trusted: see [`Self::parse_bounded`].
    ///
    /// # Errors
    ///
    /// There is no name, or the value should be a regular expression and is none, or takes too much.
    pub fn bounded(name: &str, op: Op, value: String) -> Result<Self, ParseError> {
        let field = Field::parse(name)?;
        let regex = if op.is_regex() { Some(Expression::Bounded(Table::new(&value, 0)?)) } else { None };
        Ok(Self { field, op, value, regex })
    }

    /// What it looks at.
    #[must_use]
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// What it compares with: a text or a regular expression.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.to_string();
        if name.chars().all(is_bare) {
            f.write_str(&name)?;
        } else {
            write_quoted(f, &name)?;
        }
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// Whether a name may hold the character without quotes.
fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"{}!=~,\\\"'`".contains(c)
}

fn compile(value: &str, at: usize) -> Result<Regex, ParseError> {
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build();
    // Alone first: `a)|(b` is no expression, but would be one between the anchors.
    build(value).and_then(|_| build(&format!("^(?:{value})$"))).map_err(|error| {
        let message = match &error {
            regex::Error::CompiledTooBig(bytes) => format!("regular expression takes more than {bytes} bytes"),
            other => not_an_expression(&other.to_string()),
        };
        ParseError::new(at, message)
    })
}

/// The last line is the reason; those before it draw the expression, which the caller does better.
fn not_an_expression(error: &str) -> String {
    let reason = error.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", reason.strip_prefix("error: ").unwrap_or(reason))
}

/// Where the parser stands.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        self.skip_space();
        let start = self.at;
        let name = if self.rest().starts_with('"') {
            self.quoted()?
        } else {
            let rest = self.rest();
            let length = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
            self.at += length;
            rest.get(..length).unwrap_or_default().to_owned()
        };
        Field::parse(&name).map_err(|error| ParseError::new(start, error.message))
    }

    fn op(&mut self) -> Result<Op, ParseError> {
        self.skip_space();
        let rest = self.rest();
        let op = Op::ALL.into_iter().find(|op| rest.starts_with(op.as_str()));
        let op = op.ok_or_else(|| ParseError::new(self.at, "expected `=`, `!=`, `=~` or `!~`"))?;
        self.at += op.as_str().len();
        if self.rest().starts_with(['=', '~']) {
            return Err(ParseError::new(self.at, "expected a value: one that begins with `=` or `~` needs quotes"));
        }
        Ok(op)
    }

    fn value(&mut self) -> Result<String, ParseError> {
        if self.rest().starts_with('"') {
            let value = self.quoted()?;
            self.skip_space();
            if !self.rest().is_empty() {
                return Err(ParseError::new(self.at, "expected nothing after the closing quote"));
            }
            return Ok(value);
        }
        match unescape(self.rest().trim_end()) {
            (value, None) => Ok(value),
            (_, Some(quote)) => {
                Err(ParseError::new(self.at + quote, "a quote inside a value without quotes, write `\\\"`"))
            }
        }
    }

    /// What stands between the quote here and the next one.
    fn quoted(&mut self) -> Result<String, ParseError> {
        let open = self.at;
        self.at += '"'.len_utf8();
        let (value, end) = unescape(self.rest());
        let end = end.ok_or_else(|| ParseError::new(open, "no closing quote"))?;
        self.at += end + '"'.len_utf8();
        Ok(value)
    }
}

/// The text without its escapes up to the first bare quote, and where that stands.
fn unescape(text: &str) -> (String, Option<usize>) {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, Some(at)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                other => {
                    value.push('\\');
                    value.extend(other.map(|(_, c)| c));
                }
            },
            other => value.push(other),
        }
    }
    (value, None)
}

#[cfg(test)]
mod tests;
