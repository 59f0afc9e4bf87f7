//! From names back to the place in the file: for what only a plugin can judge, and for what is missing at start.
//!
//! The file is read anew each time, because it is asked for so seldom; nothing here fails.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::report::{Mistake, Places};
use super::{Config, Sender};

impl Config {
    /// `FILE:LINE:COL` of the spot at a JSON pointer into a sender's `config`, or of what was typed around it.
    #[must_use]
    pub fn locate(&self, sender: &str, pointer: &str) -> String {
        self.places
            .find_in_config(sender, pointer)
            .map_or_else(|| self.elsewhere(sender), |s| self.places.place(s.start))
    }

    /// A mistake at a JSON pointer into a sender's `config`, drawn like any other one.
    #[must_use]
    pub fn report(&self, sender: &str, pointer: &str, message: &str) -> String {
        match self.places.find_in_config(sender, pointer) {
            Some(span) => self.places.draw(&Mistake::new(&span, message), &[]),
            None => format!("{}: error: {message}", self.elsewhere(sender)),
        }
    }

    /// A mistake about the value at `keys`, drawn like any other one; without a place when it is not in the file.
    #[must_use]
    pub fn report_key(&self, keys: &[&str], message: &str) -> String {
        match self.places.find(keys) {
            Some(span) => self.places.draw(&Mistake::new(&span, message), &[]),
            None => format!("{}: error: {message}", self.places.name()),
        }
    }

    /// A mistake at a key of the `[[listen]]` of this number, from 0, drawn like any other one.
    #[must_use]
    pub fn report_listen(&self, number: usize, key: &str, message: &str) -> String {
        match self.places.find_in_listen(number, key) {
            Some(span) => {
                let listen = self.listen.get(number).filter(|listen| listen.token.is_some());
                let hidden: Vec<usize> = listen.map(|listen| listen.place).into_iter().collect();
                self.places.draw(&Mistake::new(&span, message), &hidden)
            }
            None => format!("error: {message}"),
        }
    }

    /// The place of a sender that the file does not have.
    fn elsewhere(&self, name: &str) -> String {
        let sender = self.senders.iter().find(|sender| sender.name == name);
        sender.map_or_else(|| name.to_owned(), |Sender { place, .. }| place.clone())
    }
}

impl Places {
    fn find_in_config(&self, sender: &str, pointer: &str) -> Option<Range<usize>> {
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        let tokens: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
        // The host puts these into the config that a plugin sees; the file has them beside it.
        let is_secret = tokens.first().is_some_and(|first| first == "secrets");
        let inside = if is_secret { None } else { Some("config") };
        let keys = ["senders", sender].into_iter().chain(inside).chain(tokens.iter().map(String::as_str));
        self.find(&keys.collect::<Vec<_>>())
    }

    fn find_in_listen(&self, number: usize, key: &str) -> Option<Range<usize>> {
        let (document, _) = DeTable::parse_recoverable(self.text());
        let listen = document.get_ref().get("listen")?.get_ref().as_array()?.get(number)?;
        Some(listen.get_ref().as_table()?.get(key)?.span())
    }

    /// Where the value at `keys` stands, or the nearest one around it; nothing when the first two lead nowhere.
    pub(super) fn find(&self, keys: &[&str]) -> Option<Range<usize>> {
        let (document, _) = DeTable::parse_recoverable(self.text());
        let (section, rest) = keys.split_first()?;
        let (name, rest) = rest.split_first()?;
        let (key, mut node) = document.get_ref().get(*section)?.get_ref().as_table()?.get_key_value(*name)?;
        let mut span = key.span();
        for key in rest {
            let next = match node.get_ref() {
                DeValue::Table(table) => table.get(*key),
                DeValue::Array(items) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
            span = node.span();
        }
        Some(span)
    }
}
