//! Compressed entries, inflated a little at a time, so that no bytes can become more memory than an entry may take.

use std::io::Write as _;

use flate2::write::MultiGzDecoder;

use crate::limits;

/// The first byte of gzip.
pub(super) const MAGIC: u8 = 0x1f;
/// Compressed bytes that are inflated at a time: at most about a thousand times as much comes out.
pub(super) const STEP_BYTES: usize = 512;

/// Packed entries on their way out of gzip.
#[derive(Debug)]
pub(super) struct Inflate {
    gzip: MultiGzDecoder<Vec<u8>>,
    /// Bytes at the front of what came out that are used up.
    used: usize,
    /// How much came out in all.
    total: usize,
}

impl Default for Inflate {
    fn default() -> Self {
        Self { gzip: MultiGzDecoder::new(Vec::new()), used: 0, total: 0 }
    }
}

impl Inflate {
    /// Inflates more; says whether it is gzip, and not more than anybody needs.
    pub(super) fn feed(&mut self, compressed: &[u8]) -> bool {
        let out = self.gzip.get_mut();
        out.drain(..self.used);
        self.used = 0;
        let before = out.len();
        let fed = self.gzip.write_all(compressed).and_then(|()| self.gzip.flush());
        self.total = self.total.saturating_add(self.gzip.get_ref().len().saturating_sub(before));
        fed.is_ok() && self.total <= limits::FORWARD_INFLATED_BYTES
    }

    /// What came out and is not used up.
    pub(super) fn inflated(&self) -> &[u8] {
        self.gzip.get_ref().get(self.used..).unwrap_or_default()
    }

    /// Uses up so many bytes.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.used;
        self.used = start.saturating_add(count).min(self.gzip.get_ref().len());
        self.gzip.get_ref().get(start..self.used).unwrap_or_default()
    }

    /// Whether it ends well, with all used up.
    pub(super) fn end(&mut self) -> bool {
        self.inflated().is_empty() && self.gzip.try_finish().is_ok()
    }
}
