//! Labels of formats that name no limits of their own: what is too much is left out and counted, never an error.

use std::borrow::Cow;

use super::text::cut;
use crate::limits;

/// Labels by name, each name once; the first one of a name stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    left_out: u64,
}

impl<'a> Labels<'a> {
    /// Adds a label, unless one of that name is there. A long value is cut; a label without a name, with a long name, or
    /// beyond the number of labels is left out.
    pub(super) fn add(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || name.len() > limits::LABEL_NAME_BYTES {
            self.left_out += 1;
            return;
        }
        let Err(place) = self.pairs.binary_search_by(|(other, _)| other.as_ref().cmp(&name)) else { return };
        if self.pairs.len() >= limits::LABELS {
            self.left_out += 1;
            return;
        }
        let value = self.bounded(value);
        self.pairs.insert(place, (name, value));
    }

    fn bounded(&mut self, value: Cow<'a, str>) -> Cow<'a, str> {
        let (kept, is_cut) = cut(value.as_bytes(), limits::LABEL_VALUE_BYTES);
        if !is_cut {
            return value;
        }
        self.left_out += 1;
        let length = kept.len();
        match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.get(..length).unwrap_or_default()),
            Cow::Owned(mut value) => {
                value.truncate(value.floor_char_boundary(length));
                Cow::Owned(value)
            }
        }
    }

    /// Adds all labels of `base` whose names are not there yet, as far as there is room.
    pub(super) fn add_all<'b: 'a>(&mut self, base: &'b Labels<'_>) {
        // Both are sorted: going through them side by side costs half of finding a place for each.
        let mut room = limits::LABELS.saturating_sub(self.pairs.len());
        let mut merged = Vec::with_capacity(self.pairs.len() + base.pairs.len().min(room));
        let mut own = std::mem::take(&mut self.pairs).into_iter().peekable();
        for (name, value) in &base.pairs {
            while let Some(pair) = own.next_if(|(other, _)| other < name) {
                merged.push(pair);
            }
            if own.peek().is_some_and(|(other, _)| other == name) {
                continue;
            }
            if room == 0 {
                self.left_out += 1;
                continue;
            }
            room -= 1;
            merged.push((Cow::Borrowed(name.as_ref()), Cow::Borrowed(value.as_ref())));
        }
        merged.extend(own);
        self.pairs = merged;
    }

    /// The value of a label, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let place = self.pairs.binary_search_by(|(other, _)| other.as_ref().cmp(name)).ok()?;
        self.pairs.get(place).map(|(_, value)| value.as_ref())
    }

    /// Bytes of all names and values.
    pub(super) fn bytes(&self) -> usize {
        self.pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// What was left out or cut.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Sorted by name.
    pub(super) fn into_pairs(self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::Labels;
    use crate::limits;

    #[test]
    fn the_first_label_of_a_name_stays_and_all_are_sorted() {
        let mut labels = Labels::default();
        labels.add("b", "1");
        labels.add("a", "2");
        labels.add("b", "3");
        let mut base = Labels::default();
        base.add("a", "4");
        base.add("c", "5");
        labels.add_all(&base);
        assert_eq!((labels.get("b"), labels.get("z"), labels.left_out()), (Some("1"), None, 0));
        let pairs = labels.into_pairs();
        assert_eq!(pairs, [("a", "2"), ("b", "1"), ("c", "5")].map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let long = "é".repeat(limits::LABEL_VALUE_BYTES);
        let mut labels = Labels::default();
        labels.add("", "x");
        labels.add("n".repeat(limits::LABEL_NAME_BYTES + 1), "x");
        assert_eq!((labels.len(), labels.left_out()), (0, 2));
        labels.add("long", long.clone());
        labels.add("borrowed", long.as_str());
        assert_eq!(labels.get("long").map(str::len), Some(limits::LABEL_VALUE_BYTES));
        assert_eq!((labels.len(), labels.left_out()), (2, 4));
        for number in 0..limits::LABELS {
            labels.add(number.to_string(), "x");
        }
        assert_eq!((labels.len(), labels.left_out()), (limits::LABELS, 6));
    }
}
