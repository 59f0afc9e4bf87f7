//! What was typed: tables and values with their places, read key by key.
//!
//! Whoever reads a key also makes it known; what is left over is an unknown key. A value that is wrong is noted
//! as a mistake and read as absent, so that one run finds all of them. Nothing here knows what a key means.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Mistake, Places, Spot, did_you_mean, nearest};
use super::syntax::Syntax;

/// The file that is read, and what was found wrong with it so far.
pub(super) struct File {
    /// For places in messages.
    pub(super) places: Places,
    /// What relative paths are resolved against.
    pub(super) folder: PathBuf,
    /// Where the syntax is broken: values there are not judged further.
    /// In rising order.
    broken: Vec<usize>,
    found: RefCell<Vec<Mistake>>,
}

impl File {
    /// A file that is broken in places.
    pub(super) fn new(places: Places, folder: PathBuf, syntax: Syntax) -> Self {
        Self { places, folder, broken: syntax.broken, found: RefCell::new(syntax.mistakes) }
    }

    /// Notes a mistake.
    pub(super) fn wrong(&self, span: &Range<usize>, message: impl Into<String>) {
        self.note(Mistake::new(span, message));
    }

    /// Notes a mistake at something that may be a secret.
    pub(super) fn wrong_hidden(&self, span: &Range<usize>, message: impl Into<String>) {
        self.note(Mistake { spot: Spot::Hidden(span.start), message: message.into() });
    }

    /// Notes that something is missing or unknown, unless it may stand where the syntax is broken.
    pub(super) fn absent(&self, span: &Range<usize>, message: impl Into<String>) {
        if self.broken.is_empty() {
            self.wrong(span, message);
        }
    }

    /// Notes a mistake that is not in the file.
    pub(super) fn note(&self, mistake: Mistake) {
        self.found.borrow_mut().push(mistake);
    }

    /// Everything noted.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.found.into_inner()
    }

    /// Whether a value is as it was meant: syntax mistakes inside it leave only a part of it, or nothing.
    fn is_whole(&self, node: &Spanned<DeValue<'_>>) -> bool {
        // The place of a table under a header is the header, and its keys have places of their own.
        let tables = match node.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(list) => list.iter().any(|item| item.get_ref().is_table()),
            _ => false,
        };
        tables || !self.is_broken(&node.span())
    }

    /// Whether the syntax is broken inside `span` or right after it.
    fn is_broken(&self, span: &Range<usize>) -> bool {
        let next = self.broken.partition_point(|at| *at < span.start);
        self.broken.get(next).is_some_and(|at| *at <= span.end)
    }
}

#[cfg(test)]
thread_local! {
    /// Every section that was read in this thread, with the keys that were asked for.
    pub(super) static ASKED: RefCell<Vec<(String, Vec<&'static str>)>> = const { RefCell::new(Vec::new()) };
}

/// A table while it is read.
pub(super) struct Section<'a> {
    /// As it would be written in the file: `[store]`.
    pub(super) name: String,
    /// Its header.
    pub(super) span: Range<usize>,
    /// The file it stands in.
    pub(super) file: &'a File,
    table: &'a DeTable<'a>,
    /// Keys that were asked for.
    known: Vec<&'static str>,
    /// Those of them that must be there and are not.
    missing: Vec<&'static str>,
    /// Keys of a later version.
    refused: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file as a table.
    pub(super) fn root(table: &'a DeTable<'a>, file: &'a File) -> Self {
        Self::new(String::new(), 0..0, file, table)
    }

    fn new(name: String, span: Range<usize>, file: &'a File, table: &'a DeTable<'a>) -> Self {
        Self { name, span, file, table, known: Vec::new(), missing: Vec::new(), refused: Vec::new() }
    }

    /// The name of a section inside this one.
    pub(super) fn below(&self, key: &str) -> String {
        format!("{}.{key}]", self.name.trim_end_matches(']'))
    }

    /// Whether nothing was typed in it.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A key that may be left out.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (name, node) = self.table.get_key_value(key)?;
        self.file.is_whole(node).then(|| Value { name: name.get_ref(), key: name.span(), node, file: self.file })
    }

    /// A key that must be there.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.table.contains_key(key) {
            self.missing.push(key);
        }
        self.take(key)
    }

    /// Whether a key was typed.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where a key stands; the section's own place if it does not.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or_else(|| self.span.clone(), |(name, _)| name.span())
    }

    /// Keys that mean something in another version.
    pub(super) fn not_yet(&mut self, keys: &[&'static str]) {
        self.refused.extend_from_slice(keys);
    }

    /// Notes every key that nobody asked for, and every missing one that is not just misspelled.
    pub(super) fn finish(mut self) {
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| asked.push((self.name.clone(), self.known.clone())));
        for name in self.table.keys() {
            let (key, span) = (name.get_ref().as_ref(), name.span());
            if self.refused.contains(&key) {
                self.file.wrong(&span, format!("`{key}` is not in this version"));
            } else if !self.known.contains(&key) && !self.file.is_broken(&span) {
                let place = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
                let hint = did_you_mean(key, &self.known);
                self.file.wrong(&span, format!("unknown key `{key}`{place}{hint}"));
                let meant = nearest(key, &self.known);
                self.missing.retain(|missing| Some(*missing) != meant);
            }
        }
        for key in &self.missing {
            self.file.absent(&self.span, format!("missing `{key}` in {}", self.name));
        }
    }
}

/// What stands behind a key, or one item of a list.
pub(super) struct Value<'a> {
    /// The key.
    pub(super) name: &'a str,
    /// Where the key stands.
    pub(super) key: Range<usize>,
    node: &'a Spanned<DeValue<'a>>,
    /// The file it stands in.
    pub(super) file: &'a File,
}

impl<'a> Value<'a> {
    /// Where the value stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.node.span()
    }

    /// What was typed, whatever it is.
    pub(super) fn node(&self) -> &'a Spanned<DeValue<'a>> {
        self.node
    }

    /// Notes that something else was expected than what was found.
    pub(super) fn expected(&self, what: &str) {
        match self.node.get_ref() {
            // It may be a URL with a password.
            DeValue::String(text) if text.contains('@') => {
                self.file.wrong_hidden(&self.span(), format!("`{}`: expected {what}", self.name));
            }
            DeValue::String(text) => self.expected_not(what, &format!("{text:?}")),
            DeValue::Integer(number) => self.expected_not(what, &number.to_string()),
            _ => self.expected_type(what),
        }
    }

    /// Notes that another type was expected.
    pub(super) fn expected_type(&self, what: &str) {
        self.expected_not(what, self.node.get_ref().type_str());
    }

    fn expected_not(&self, what: &str, found: &str) {
        // Broken syntax makes values of the wrong type; that is one mistake, not two.
        if !self.file.is_broken(&self.span()) {
            self.wrong(format!("`{}`: expected {what}, found {found}", self.name));
        }
    }

    /// Notes that something is wrong with it.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.file.wrong(&self.span(), message);
    }

    /// A text, which `what` describes to whoever typed something else.
    pub(super) fn string(&self, what: &str) -> Option<&'a str> {
        let text = self.node.get_ref().as_str();
        if text.is_none() {
            self.expected_type(what);
        }
        text
    }

    /// A text that is not empty.
    pub(super) fn filled(&self, what: &str) -> Option<&'a str> {
        let text = self.string(what)?;
        if text.is_empty() {
            self.expected(what);
            return None;
        }
        Some(text)
    }

    /// A text that means something else.
    pub(super) fn parse<T>(&self, what: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = parse(self.string(what)?);
        if value.is_none() {
            self.expected(what);
        }
        value
    }

    /// `true` or `false`.
    pub(super) fn bool(&self) -> Option<bool> {
        let value = self.node.get_ref().as_bool();
        if value.is_none() {
            self.expected_type("true or false");
        }
        value
    }

    /// A whole number of `least` or more.
    pub(super) fn count(&self, least: u64) -> Option<u64> {
        let what = format!("a whole number of {least} or more");
        let Some(typed) = self.node.get_ref().as_integer() else {
            self.expected_type(&what);
            return None;
        };
        // Also what SQLite and TOML itself call the largest integer.
        let number = i64::from_str_radix(typed.as_str(), typed.radix()).ok();
        let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number >= least);
        if number.is_none() {
            self.expected(&what);
        }
        number
    }

    /// The items of a list.
    pub(super) fn list(&self, what: &str) -> Option<Vec<Value<'a>>> {
        let Some(items) = self.node.get_ref().as_array() else {
            self.expected_type(what);
            return None;
        };
        let item = |node| Value { name: self.name, key: self.key.clone(), node, file: self.file };
        Some(items.iter().map(item).collect())
    }

    /// A table whose keys are names that the operator chose.
    pub(super) fn entries(&self, what: &str) -> Option<Vec<Value<'a>>> {
        let Some(table) = self.node.get_ref().as_table() else {
            self.expected_type(what);
            return None;
        };
        let whole = table.iter().filter(|(_, node)| self.file.is_whole(node));
        Some(
            whole.map(|(name, node)| Value { name: name.get_ref(), key: name.span(), node, file: self.file }).collect(),
        )
    }

    /// A table that `read` knows all keys of.
    pub(super) fn section<T>(&self, name: &str, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        let Some(table) = self.node.get_ref().as_table() else {
            self.expected_type("a table");
            return None;
        };
        let mut section = Section::new(name.to_owned(), self.span(), self.file, table);
        let value = read(&mut section);
        section.finish();
        Some(value)
    }

    /// Where a spot inside a text stands in the file; the text's start when escapes are in the way.
    pub(super) fn inside(&self, offset: usize) -> Range<usize> {
        let span = self.span();
        let typed = self.file.places.text().get(span.clone()).unwrap_or_default();
        let literal = typed.starts_with('\'') && !typed.starts_with("'''");
        let plain = typed.starts_with('"') && !typed.starts_with("\"\"\"") && !typed.contains('\\');
        let start = if literal || plain { span.start + 1 + offset } else { span.start };
        start..span.end.max(start)
    }
}

/// Whether `name` can be the name of a sender, a monitor or a secret: it stands in logs and messages.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// What [`is_name`] wants.
pub(super) const NAME: &str = "a name of letters, digits, `-`, `_` and `.`";
