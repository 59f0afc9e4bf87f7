//! `MessagePack` as far as Forward needs it: what stands at the front of some bytes, and where it ends.
//!
//! Never recurses: how deep a value is nested costs nothing.

/// These bytes are no `MessagePack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What a value is; what belongs to it follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// So many bytes of text.
    Text(usize),
    /// So many bytes.
    Bytes(usize),
    /// Its type, and so many bytes.
    Extension(i8, usize),
    /// So many values.
    Array(usize),
    /// So many pairs of values.
    Map(usize),
}

/// The head at the front and how many bytes it takes; `None` while it is not whole.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Broken> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let size = match first {
        0xc4 | 0xd9 | 0xcc | 0xd0 | 0xd4..=0xd8 => 1,
        0xc5 | 0xda | 0xcd | 0xd1 | 0xdc | 0xde | 0xc7 => 2,
        0xc8 => 3,
        0xc6 | 0xdb | 0xce | 0xd2 | 0xca | 0xdd | 0xdf => 4,
        0xc9 => 5,
        0xcf | 0xd3 | 0xcb => 8,
        0xc1 => return Err(Broken),
        _ => 0,
    };
    let Some(more) = rest.get(..size) else { return Ok(None) };
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let unsigned = number(more);
    // Lengths have at most 32 bits.
    let length = usize::try_from(unsigned).map_or(Err(Broken), Ok);
    let small = usize::from(first & 0x0f);
    let kind = |bytes: &[u8]| bytes.last().map_or(0, |byte| i8::from_be_bytes([*byte]));
    let inside = usize::try_from(unsigned >> 8).map_or(Err(Broken), Ok);
    let head = match first {
        0x00..=0x7f => Head::Unsigned(u64::from(*first)),
        0x80..=0x8f => Head::Map(small),
        0x90..=0x9f => Head::Array(small),
        0xa0..=0xbf => Head::Text(usize::from(first & 0x1f)),
        0xc0 | 0xc1 => Head::Nil,
        0xc2 | 0xc3 => Head::Bool(*first == 0xc3),
        0xc4..=0xc6 => Head::Bytes(length?),
        0xc7..=0xc9 => Head::Extension(kind(more), inside?),
        0xca => Head::Float(f64::from(f32::from_bits(u32::try_from(unsigned).unwrap_or_default()))),
        0xcb => Head::Float(f64::from_bits(unsigned)),
        0xcc..=0xcf => Head::Unsigned(unsigned),
        0xd0..=0xd3 => signed(unsigned, size),
        0xd4..=0xd8 => Head::Extension(kind(more), 1 << (first - 0xd4)),
        0xd9..=0xdb => Head::Text(length?),
        0xdc | 0xdd => Head::Array(length?),
        0xde | 0xdf => Head::Map(length?),
        0xe0..=0xff => signed(u64::from(*first), 1),
    };
    Ok(Some((head, 1 + size)))
}

/// A number in two's complement of `size` bytes.
fn signed(number: u64, size: usize) -> Head {
    let unused = 64 - 8 * size;
    let signed = (number << unused).cast_signed() >> unused;
    u64::try_from(signed).map_or(Head::Signed(signed), Head::Unsigned)
}

/// How far the value at the front of growing bytes is known; it is looked at only once, however it trickles in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    at: usize,
    /// Values that must follow at `at`.
    open: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, open: 1 }
    }
}

impl Scan {
    /// How long the value is at least, as far as it is known.
    pub(super) fn needs(&self) -> usize {
        self.at
    }

    /// How long the value at the front is, when it is whole; then the next one is to be found.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        while self.open > 0 {
            let Some((head, used)) = head(bytes.get(self.at..).unwrap_or_default())? else { return Ok(None) };
            let (inside, values) = match head {
                Head::Text(length) | Head::Bytes(length) | Head::Extension(_, length) => (length, 0),
                Head::Array(values) => (0, values),
                Head::Map(pairs) => (0, pairs.saturating_mul(2)),
                _ => (0, 0),
            };
            self.at = self.at.saturating_add(used).saturating_add(inside);
            self.open = (self.open - 1).saturating_add(values);
        }
        if self.at > bytes.len() {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).at))
    }
}

/// A map of one pair of texts.
pub(super) fn map(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    for text in [name.as_bytes(), value] {
        bytes.push(0xdb);
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
        bytes.extend_from_slice(text);
    }
    bytes
}
