//! What is wrong with the TOML itself, before any key is looked at.
//!
//! One slip often makes the parser stumble on line after line; here it becomes one mistake again, at its cause.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::report::Mistake;

/// How the parser says that a list has no end.
const UNCLOSED: &str = "unclosed array,";

/// The syntax mistakes of a file.
pub(super) struct Syntax {
    /// What people are told.
    pub(super) mistakes: Vec<Mistake>,
    /// Every spot at which the parser stumbled, in rising order.
    pub(super) broken: Vec<usize>,
}

impl Syntax {
    /// What the parser said about `text`.
    pub(super) fn new(text: &str, document: &DeTable<'_>, errors: &[Error]) -> Self {
        let span = |error: &Error| error.span().unwrap_or_default();
        let mut broken: Vec<usize> = errors.iter().map(|error| span(error).start).collect();
        broken.sort_unstable();
        let mut lists = Vec::new();
        let endless: Vec<usize> = errors
            .iter()
            .filter(|error| error.message().starts_with(UNCLOSED))
            .map(|error| span(error).start)
            .collect();
        for node in document.values() {
            unclosed(node, &endless, &mut lists);
        }
        let inside = |at: usize| lists.iter().any(|list| (list.start..=list.end).contains(&at));
        let outside = errors.iter().filter(|error| !inside(span(error).start));
        let mut mistakes: Vec<Mistake> = outside
            .map(|error| Mistake::new(&span(error), message(text, span(error).start, error.message())))
            .collect();
        mistakes.extend(lists.iter().map(|list| Mistake::new(list, "this list has no closing `]`")));
        Self { mistakes, broken }
    }
}

/// The outermost lists that one of the spots `endless` stands in: everything after them was read as their items.
fn unclosed(node: &Spanned<DeValue<'_>>, endless: &[usize], lists: &mut Vec<Range<usize>>) {
    let span = node.span();
    match node.get_ref() {
        DeValue::Array(items) => {
            if endless.iter().any(|at| (span.start..=span.end).contains(at)) {
                lists.push(span);
                return;
            }
            items.iter().for_each(|item| unclosed(item, endless, lists));
        }
        DeValue::Table(table) => table.values().for_each(|value| unclosed(value, endless, lists)),
        _ => {}
    }
}

/// The parser's words, or better ones where they would lead astray.
fn message(text: &str, at: usize, said: &str) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let is_end = rest.is_empty() || rest.starts_with(['\n', '\r', '#']);
    if said.starts_with("string values must be quoted") {
        return if is_end { "expected a value" } else { "expected a value, and a text needs quotes" }.to_owned();
    }
    said.to_owned()
}
