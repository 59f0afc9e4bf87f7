//! Messages as they stand there, several at a time: whoever looks them up can look for all of them side by side.
//!
//! Never allocates, and never looks into a message.

use super::{Form, Raw};

/// A processor has about so many walks to memory under way at once.
const MOST: usize = 32;

/// The next messages at the front of an input, in their order.
#[derive(Debug)]
pub struct Raws<'a> {
    list: [Raw<'a>; MOST],
    length: usize,
    /// How many are wanted.
    wanted: usize,
}

impl<'a> Raws<'a> {
    /// As many at a time as pay.
    pub const MOST: usize = MOST;

    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        let none = Raw { bytes: &[], form: Form::Text, time: None, used: 0 };
        Self { list: [none; Self::MOST], length: 0, wanted: 0 }
    }

    /// Begins anew, for at most so many.
    pub fn want(&mut self, messages: usize) {
        self.length = 0;
        self.wanted = messages.min(Self::MOST);
    }

    /// Those that are there.
    #[must_use]
    pub fn all(&self) -> &[Raw<'a>] {
        self.list.get(..self.length).unwrap_or_default()
    }

    /// Whether there are as many as are wanted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.length >= self.wanted
    }

    /// Takes messages from the front of `input` one by one, as long as `raw` finds one; of the first, it is told how many
    /// bytes were searched before.
    #[inline]
    pub(super) fn fill(
        &mut self,
        mut input: &'a [u8],
        mut scanned: usize,
        raw: impl Fn(&'a [u8], usize) -> Option<Raw<'a>>,
    ) {
        while self.length < self.wanted
            && let Some(place) = self.list.get_mut(self.length)
            && let Some(found) = raw(input, scanned)
        {
            *place = found;
            self.length += 1;
            scanned = 0;
            input = input.get(found.used..).unwrap_or_default();
        }
    }
}

impl Default for Raws<'_> {
    fn default() -> Self {
        Self::new()
    }
}
