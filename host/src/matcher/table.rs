//! Regular expressions of whoever is not trusted, as tables of states.
//!
//! The usual engine takes time in the order of expression times text when it must, some milliseconds for a KiB, and
//! nobody knows before for which texts. A table takes one step a byte for all of them. In return not every expression
//! becomes one: it may need more states than are allowed.

use std::sync::Arc;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::{ParseError, not_an_expression};
use crate::limits;

/// An expression for whole values.
#[derive(Clone, Debug)]
pub(super) struct Table(Arc<dense::DFA<Vec<u32>>>);

impl Table {
    /// Compiles `value`, which stands at byte `at` of what is parsed.
    ///
    /// # Errors
    ///
    /// It is no regular expression, or has no small table.
    pub(super) fn new(value: &str, at: usize) -> Result<Self, ParseError> {
        let wrong = |why: String| ParseError::new(at, why);
        let too_large =
            || wrong("regular expression takes too much: make it simpler, such as [0-9a-z_] for \\w".to_owned());
        if value.len() > limits::BOUNDED_REGEX_TEXT_BYTES {
            return Err(wrong(format!("regular expression is longer than {} bytes", limits::BOUNDED_REGEX_TEXT_BYTES)));
        }
        let expression = syntax::parse(value).map_err(|error| wrong(not_an_expression(&error.to_string())))?;
        // What is no ASCII would need states of its own before and after each letter of every script.
        if expression.properties().look_set().contains_word_unicode() {
            return Err(wrong("write (?-u:\\b) for \\b: only ASCII has borders of words here".to_owned()));
        }
        let states = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(limits::BOUNDED_REGEX_BYTES));
        let nfa = NFA::compiler().configure(states).build_from_hir(&expression).map_err(|_error| too_large())?;
        // All ways to match are followed to the end of the value: it matches as a whole when one of them ends there.
        let table = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(limits::BOUNDED_TABLE_BYTES))
            .determinize_size_limit(Some(limits::BOUNDED_TABLE_BYTES));
        let table = dense::Builder::new().configure(table).build_from_nfa(&nfa).map_err(|_error| too_large())?;
        Ok(Self(Arc::new(table)))
    }

    /// Whether it matches all of `value`.
    pub(super) fn is_match(&self, value: &str) -> bool {
        // No byte makes this table give up: it has no borders of words outside of ASCII.
        let longest = self.0.try_search_fwd(&Input::new(value).anchored(Anchored::Yes)).ok().flatten();
        longest.is_some_and(|longest| longest.offset() == value.len())
    }
}
