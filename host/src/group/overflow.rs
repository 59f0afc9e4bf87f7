//! The groups that stand for everything past a limit: their ids, and the words that say so.
//!
//! Pure: which messages go there is decided by whoever holds the limit.

use super::hash_parts;
use crate::message::{Group, GroupId};

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverflowGroup {
    /// Open groups.
    Groups,
    /// Open groups of one source.
    Source,
    /// Groups that wait for one sender.
    Queue,
}

impl OverflowGroup {
    const ALL: [Self; 3] = [Self::Groups, Self::Source, Self::Queue];

    /// What is hashed behind the route. A single part after it is what no group of messages has, whose fields come in
    /// pairs of name and value.
    fn marker(self) -> &'static [u8] {
        match self {
            Self::Groups => b"overflow: groups",
            Self::Source => b"overflow: source",
            Self::Queue => b"overflow: queue",
        }
    }

    /// The id of the overflow group of a route: the same in every run.
    #[must_use]
    pub fn id(self, route: &str) -> GroupId {
        hash_parts([route.as_bytes(), self.marker()].into_iter())
    }

    /// The text of that group; read after a number of messages.
    #[must_use]
    pub fn text(self, limit: u64) -> String {
        match self {
            Self::Groups => format!("other messages in more groups than the limit of {}", thousands(limit)),
            Self::Source => {
                format!("other messages of sources with more groups than the limit of {} each", thousands(limit))
            }
            Self::Queue => format!("other messages in more waiting groups than the limit of {}", thousands(limit)),
        }
    }

    /// Whether a group is one of these: then its text says what its messages have in common, not what one of them said.
    #[must_use]
    pub fn of(group: &Group) -> Option<Self> {
        Self::ALL.into_iter().find(|overflow| overflow.id(&group.route) == group.id)
    }
}

/// `1,203 other messages in more groups than the limit of 100,000`: all that is said of an overflow group.
#[must_use]
pub fn sentence(count: u64, text: &str) -> String {
    let one = if count == 1 { text.replacen("messages", "message", 1) } else { text.to_owned() };
    format!("{} {one}", thousands(count))
}

/// `100,000`, as people read large numbers.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{OverflowGroup, sentence, thousands};

    #[test]
    fn the_words_read_after_a_number() {
        let text = OverflowGroup::Groups.text(100_000);
        assert_eq!(sentence(1_203, &text), "1,203 other messages in more groups than the limit of 100,000");
        assert_eq!(sentence(1, &text), "1 other message in more groups than the limit of 100,000");
    }

    #[test]
    fn large_numbers_are_grouped_by_thousands() {
        let shown = [0, 999, 1_000, 100_000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "100,000", "1,234,567"]);
    }

    #[test]
    fn each_route_has_an_overflow_group_of_its_own() {
        let ids = ["root", "shop"].map(|route| OverflowGroup::Groups.id(route).to_string());
        // Stored: these must never change.
        assert_eq!(ids, ["3e7a42c2028333ce", "fc1a5ffdc703cc25"]);
    }
}
