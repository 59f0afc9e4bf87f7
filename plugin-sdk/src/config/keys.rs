//! Keys that nobody knows: which one it was, and which one was probably meant. Pure.

/// A right name of fewer letters begins too many words to be what was meant.
const SHORTEST_PREFIX: usize = 3;
/// Nobody means another key by a longer one, and comparing takes time that grows with both lengths.
const LONGEST: usize = 64;

/// A key that a type does not have, as serde tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown<'m> {
    pub(super) key: &'m str,
    known: Vec<&'m str>,
}

impl<'m> Unknown<'m> {
    /// Reads serde's own words; `None` when they are about something else.
    pub(super) fn read(message: &'m str) -> Option<Self> {
        let rest = message.strip_prefix("unknown field `")?;
        if let Some(key) = rest.strip_suffix("`, there are no fields") {
            return Some(Self { key, known: Vec::new() });
        }
        let (key, expected) = rest.rsplit_once("`, expected ")?;
        // The names stand between backticks, words and commas around them.
        Some(Self { key, known: expected.split('`').skip(1).step_by(2).collect() })
    }

    /// The mistake in one line: the nearest key if one is near, then all of them.
    pub(super) fn message(&self) -> String {
        let key = self.key;
        let known = self.known.join(", ");
        match (nearest(key, &self.known), self.known.as_slice()) {
            (_, []) => format!("unknown key `{key}`, there are no keys here"),
            (Some(name), [_]) => format!("unknown key `{key}`, did you mean `{name}`?"),
            (Some(name), _) => format!("unknown key `{key}`, did you mean `{name}`? the keys are {known}"),
            (None, [only]) => format!("unknown key `{key}`, the only key is {only}"),
            (None, _) => format!("unknown key `{key}`, the keys are {known}"),
        }
    }
}

/// The key that was most likely meant.
fn nearest<'n>(key: &str, known: &[&'n str]) -> Option<&'n str> {
    let key: Vec<char> = key.to_lowercase().chars().collect();
    if key.len() > LONGEST {
        return None;
    }
    let distances = known.iter().map(|&name| {
        let letters: Vec<char> = name.to_lowercase().chars().take(LONGEST).collect();
        (distance(&key, &letters), letters, name)
    });
    // A third of the letters may be wrong: more, and the guess is more often a riddle than a help.
    let near = distances.filter(|(distance, letters, _)| {
        let longer = letters.len() >= SHORTEST_PREFIX && key.starts_with(letters);
        longer || (*distance <= (letters.len() / 3).max(1) && *distance < letters.len())
    });
    near.min_by_key(|(distance, ..)| *distance).map(|(.., name)| name)
}

/// How many letters have to be put in, taken out, changed or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], column: Option<usize>| column.and_then(|column| row.get(column)).copied();
            let changed = at(&last, Some(j)).map(|n| n + usize::from(x != y));
            let taken_out = at(&last, Some(j + 1)).map(|n| n + 1);
            let put_in = at(&row, Some(j)).map(|n| n + 1);
            let pair = |letters: &[char], end: usize| Some((*letters.get(end.checked_sub(1)?)?, *letters.get(end)?));
            let turned = pair(a, i).map(|(first, second)| (second, first));
            let swapped = if turned.is_some() && turned == pair(b, j) {
                at(&before, j.checked_sub(1)).map(|n| n + 1)
            } else {
                None
            };
            row.extend([changed, taken_out, put_in, swapped].into_iter().flatten().min());
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(serde: &str, expected: &str) {
        assert_eq!(Unknown::read(serde).unwrap().message(), expected);
    }

    #[test]
    fn the_nearest_key_is_offered_and_all_are_listed() {
        check(
            "unknown field `chanel`, expected one of `channel`, `mention`, `api_url`",
            "unknown key `chanel`, did you mean `channel`? the keys are channel, mention, api_url",
        );
        check("unknown field `ulr`, expected `url`", "unknown key `ulr`, did you mean `url`?");
        check(
            "unknown field `mentions`, expected `channel` or `mention`",
            "unknown key `mentions`, did you mean `mention`? the keys are channel, mention",
        );
    }

    #[test]
    fn a_key_that_is_near_to_none_only_gets_the_list() {
        check("unknown field `color`, expected `url` or `headers`", "unknown key `color`, the keys are url, headers");
        check("unknown field `color`, expected `url`", "unknown key `color`, the only key is url");
        check("unknown field `color`, there are no fields", "unknown key `color`, there are no keys here");
        let long = "u".repeat(100_000);
        check(
            &format!("unknown field `{long}`, expected `url`"),
            &format!("unknown key `{long}`, the only key is url"),
        );
    }

    #[test]
    fn a_key_may_hold_what_serde_puts_around_it() {
        let unknown = Unknown::read("unknown field `a`, expected `b`, expected `c`").unwrap();
        assert_eq!((unknown.key, unknown.known), ("a`, expected `b", vec!["c"]));
        assert_eq!(Unknown::read("missing field `url`"), None);
    }

    #[test]
    fn distances_count_letters() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("name", "nmae", 1), ("kitten", "sitting", 3), ("ß", "s", 1)]
        {
            let letters = |word: &str| word.chars().collect::<Vec<_>>();
            assert_eq!(distance(&letters(a), &letters(b)), expected, "{a} {b}");
        }
    }
}
