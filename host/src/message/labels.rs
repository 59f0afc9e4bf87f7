//! Labels, in one piece of memory: to compare, hash, copy and free them is to do so once.

use std::fmt;

/// Labels of a message or a group: names are unique and sorted, so that equal labels are equal values.
///
/// Most messages have none, and a pointer to nothing is small.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Box<Packed>>);

/// At least one pair, as [`pack`] writes them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Packed(Box<str>);

impl Labels {
    /// Sorts the pairs by name; of two with the same name the later one wins.
    #[must_use]
    pub fn new<N: AsRef<str>, V: AsRef<str>>(mut pairs: Vec<(N, V)>) -> Self {
        let bytes = pairs.iter().map(|(name, value)| packed_bytes(name.as_ref()) + packed_bytes(value.as_ref())).sum();
        let mut packed = String::with_capacity(bytes);
        pack(&mut pairs, &mut packed);
        Self::of(packed)
    }

    fn of(packed: String) -> Self {
        Self((!packed.is_empty()).then(|| Box::new(Packed(packed.into()))))
    }

    /// A view of them.
    #[must_use]
    #[inline]
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs(self.0.as_deref().map_or("", |packed| &packed.0))
    }

    /// The value of a label, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs().get(name)
    }

    /// Name and value of each, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs().iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds those of `others` whose names are not there.
    pub fn add_missing(&mut self, others: &[(String, String)]) {
        if others.iter().all(|(name, _)| self.get(name).is_some()) {
            return;
        }
        // Of two with the same name the later one wins: what is here before what is added, and the first one of those.
        let added = others.iter().rev().map(|(name, value)| (name.as_str(), value.as_str()));
        *self = Self::new(added.chain(self.iter()).collect());
    }

    /// Keeps only what `other` has too, with the same value: what all messages of a group share.
    pub fn keep_shared(&mut self, other: &Self) {
        if self == other {
            return;
        }
        let mut others = other.iter().peekable();
        let mut packed = String::new();
        for (name, value) in self.iter() {
            while others.next_if(|(other, _)| *other < name).is_some() {}
            if others.next_if(|pair| *pair == (name, value)).is_some() {
                push(name, &mut packed);
                push(value, &mut packed);
            }
        }
        *self = Self::of(packed);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pairs().fmt(f)
    }
}

impl From<Pairs<'_>> for Labels {
    fn from(pairs: Pairs<'_>) -> Self {
        Self::of(pairs.0.to_owned())
    }
}

/// Names and values that lie behind each other as [`pack`] writes them: equal ones are equal bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Pairs<'a>(&'a str);

impl<'a> Pairs<'a> {
    /// What [`pack`] wrote, and nothing else.
    #[must_use]
    #[inline]
    pub fn packed(packed: &'a str) -> Self {
        Self(packed)
    }

    /// As they lie there.
    #[must_use]
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Name and value of each, by name.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || Some((next(&mut rest)?, next(&mut rest)?)))
    }

    /// The value of a name, if it is there.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(there, _)| *there == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Writes the pairs behind each other, sorted by name, so that equal ones are equal bytes: each name and each value
/// behind its own length. Of two with the same name the later one wins.
pub fn pack<N: AsRef<str>, V: AsRef<str>>(pairs: &mut [(N, V)], into: &mut String) {
    // Most clients send them sorted.
    if !pairs.is_sorted_by(|(a, _), (b, _)| a.as_ref() < b.as_ref()) {
        pairs.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
    }
    let mut pairs = pairs.iter().peekable();
    while let Some((name, value)) = pairs.next() {
        if pairs.peek().is_none_or(|(next, _)| next.as_ref() != name.as_ref()) {
            push(name.as_ref(), into);
            push(value.as_ref(), into);
        }
    }
}

/// A length is written as characters, so that what is packed is a string: the lowest so many bits first…
const PART_BITS: u32 = 14;
/// …in a character that has this bit too when more follow. No surrogate is among them.
const MORE: usize = 1 << PART_BITS;

fn push(piece: &str, into: &mut String) {
    let mut length = piece.len();
    while length >= MORE {
        into.push(character(length % MORE + MORE));
        length /= MORE;
    }
    into.push(character(length));
    into.push_str(piece);
}

fn character(number: usize) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).expect("it is less than twice MORE")
}

/// The next piece, which is then behind `rest`'s beginning.
#[inline]
fn next<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let mut characters = rest.chars();
    let (mut length, mut bits) = (0, 0);
    loop {
        let part = characters.next()? as usize;
        length |= (part % MORE).checked_shl(bits)?;
        bits += PART_BITS;
        if part < MORE {
            break;
        }
    }
    let (piece, behind) = characters.as_str().split_at_checked(length)?;
    *rest = behind;
    Some(piece)
}

/// What a piece takes when it is packed.
fn packed_bytes(piece: &str) -> usize {
    match piece.len() {
        length @ ..0x80 => 1 + length,
        length @ ..0x800 => 2 + length,
        length @ ..MORE => 3 + length,
        length => 9 + length,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.to_vec())
    }

    #[test]
    fn labels_are_sorted_and_the_later_of_two_with_the_same_name_wins() {
        let some = labels(&[("b", "1"), ("a", "2"), ("b", "3"), ("", "4"), ("ab", "")]);
        assert_eq!(some.iter().collect::<Vec<_>>(), [("", "4"), ("a", "2"), ("ab", ""), ("b", "3")]);
        assert_eq!((some.get("b"), some.get("ab"), some.get("c"), some.len()), (Some("3"), Some(""), None, 4));
        assert_eq!(some, labels(&[("", "4"), ("a", "2"), ("ab", ""), ("b", "3")]));
        assert_eq!(format!("{some:?}"), r#"{"": "4", "a": "2", "ab": "", "b": "3"}"#);
        assert!(labels(&[]).is_empty() && labels(&[]) == Labels::default() && !some.is_empty());
        assert_ne!(labels(&[("ab", "c")]), labels(&[("a", "bc")]));
    }

    #[test]
    fn what_is_there_stays_when_more_is_added() {
        let own = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut some = labels(&[("b", "1")]);
        some.add_missing(&own(&[("b", "2"), ("c", "3"), ("a", "4"), ("c", "5")]));
        assert_eq!(some, labels(&[("a", "4"), ("b", "1"), ("c", "3")]));
        some.add_missing(&own(&[]));
        assert_eq!(some.len(), 3);
    }

    #[test]
    fn only_what_is_the_same_in_both_is_shared() {
        let mut some = labels(&[("a", "1"), ("b", "2"), ("c", "3"), ("e", "5")]);
        some.keep_shared(&labels(&[("0", "1"), ("a", "1"), ("b", "7"), ("d", "4"), ("e", "5")]));
        assert_eq!(some, labels(&[("a", "1"), ("e", "5")]));
        some.keep_shared(&labels(&[("z", "1")]));
        assert_eq!(some, Labels::default());
    }

    #[test]
    fn a_piece_of_any_length_comes_back() {
        for length in [0, 1, 0x7f, 0x80, 0x7ff, 0x800, 0x3fff, 0x4000, 0x4001, 0x8000, 0x10_0000] {
            let long = "x".repeat(length);
            let some = labels(&[("a", &long), ("b", "end")]);
            assert_eq!((some.get("a"), some.get("b")), (Some(&*long), Some("end")), "{length}");
        }
    }

    proptest! {
        #[test]
        fn labels_are_what_a_map_of_the_pairs_is(pairs in prop::collection::vec((".{0,3}", ".{0,200}"), 0..9)) {
            let map: std::collections::BTreeMap<_, _> = pairs.iter().cloned().collect();
            let some = Labels::new(pairs);
            prop_assert!(some.iter().eq(map.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
            prop_assert_eq!(some.len(), map.len());
            prop_assert_eq!(some.clone(), Labels::new(map.into_iter().collect::<Vec<_>>()));
        }
    }
}
