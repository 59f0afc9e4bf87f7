//! Decompresses what came compressed, within a bound: a small input can stand for terabytes. Pure.

use std::io::Read;

use crate::limits;

/// What is decompressed at a time.
const PIECE_BYTES: usize = 8 * 1024;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; several members one after the other are one.
    Gzip,
    /// RFC 1950; what HTTP calls deflate.
    Zlib,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// What compressed bytes begin with, as far as people send them without saying more.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            // RFC 1950 section 2.2: method 8, and a check of both bytes.
            [method, flags, ..] if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0 => {
                Some(Self::Zlib)
            }
            _ => None,
        }
    }

    /// Its usual name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// Why bytes could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are not what they were said to be.
    #[error("not {0}: {1}")]
    Not(&'static str, std::io::Error),
    /// They would be more than the bound.
    #[error("larger than {0} bytes when decompressed")]
    TooLarge(usize),
}

/// The bytes that were compressed, if they are at most `most`.
///
/// # Errors
///
/// When they are not what `coding` says, or more.
pub fn inflate(coding: Coding, input: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let wrong = |error| Error::Not(coding.as_str(), error);
    match coding {
        Coding::Gzip => bounded(flate2::read::MultiGzDecoder::new(input), most).map_err(wrong)?,
        Coding::Zlib => bounded(flate2::read::ZlibDecoder::new(input), most).map_err(wrong)?,
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(wrong)?;
            decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(wrong)?;
            bounded(decoder, most).map_err(wrong)?
        }
    }
    .ok_or(Error::TooLarge(most))
}

/// Reads to the end; `None` once that is more than `most` bytes. Never asks for more memory than that.
fn bounded(decoder: impl Read, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut decoder = decoder.take((most as u64).saturating_add(1));
    let mut bytes = Vec::new();
    let mut piece = [0; PIECE_BYTES];
    loop {
        let count = decoder.read(&mut piece)?;
        if count == 0 {
            return Ok(Some(bytes));
        }
        let whole = bytes.len() + count;
        if whole > most {
            return Ok(None);
        }
        if whole > bytes.capacity() {
            bytes.reserve_exact(bytes.capacity().saturating_mul(2).clamp(whole, most) - bytes.len());
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::{any, proptest};

    use super::{Coding, Error, inflate};

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn exactly_the_bound_is_read_and_one_byte_more_is_not() {
        assert_eq!(inflate(Coding::Zlib, &zlib(&[b'x'; 100]), 100).unwrap(), [b'x'; 100]);
        assert!(matches!(inflate(Coding::Zlib, &zlib(&[b'x'; 101]), 100), Err(Error::TooLarge(100))));
        assert!(matches!(inflate(Coding::Gzip, &zlib(b"x"), 100), Err(Error::Not("gzip", _))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_give_more_than_the_bound(bytes: Vec<u8>, most in 0_usize..100, cut in any::<usize>()) {
            let whole = zlib(&bytes);
            for input in [&bytes[..], &whole, &whole[..cut % (whole.len() + 1)]] {
                for coding in [Coding::Gzip, Coding::Zlib, Coding::Zstd] {
                    assert!(inflate(coding, input, most).map_or(0, |bytes| bytes.len()) <= most);
                }
            }
        }
    }
}
