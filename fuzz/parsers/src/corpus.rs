//! The inputs that are kept of each parser: a folder of those that a person wrote, and all others packed in one file.
//!
//! Packed is what fuzzing found, reduced to what makes a difference, and mutants of it. The same inputs always give the
//! same file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Parser, Verdict};

/// Malformed inputs kept of each parser, at least.
const LEAST_MALFORMED: usize = 500;
/// A longer input is kept only in a file of its own, for its own reason.
const INPUT_BYTES: usize = 4 * 1024;
/// Mutants that are tried for each that is wanted: a parser may take nearly everything.
const TRIES: usize = 100;
/// zstd's: packed once, by a person.
const LEVEL: i32 = 19;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn packed(name: &str) -> PathBuf {
    folder().join(format!("{name}.zst"))
}

/// Every file of a folder.
///
/// # Errors
///
/// When it does not read.
pub fn files(folder: &Path) -> io::Result<BTreeSet<Vec<u8>>> {
    fs::read_dir(folder)?.map(|entry| fs::read(entry?.path())).collect()
}

/// All inputs that are kept of a parser.
///
/// # Errors
///
/// When they do not read.
pub fn read(name: &str) -> io::Result<BTreeSet<Vec<u8>>> {
    let mut inputs = files(&folder().join(name))?;
    let bytes = match fs::read(packed(name)) {
        Ok(bytes) => zstd::decode_all(bytes.as_slice())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut rest = bytes.as_slice();
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (input, next) = more.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        inputs.insert(input.to_vec());
        rest = next;
    }
    Ok(inputs)
}

/// Keeps `found` instead of what was packed so far, and as many mutants as are wanted.
///
/// # Errors
///
/// When the file cannot be written.
pub fn keep(parser: &Parser, found: BTreeSet<Vec<u8>>) -> io::Result<usize> {
    let mut inputs: BTreeSet<Vec<u8>> = found.into_iter().filter(|input| input.len() <= INPUT_BYTES).collect();
    let seeds: Vec<Vec<u8>> = files(&folder().join(parser.name))?.into_iter().chain(inputs.iter().cloned()).collect();
    let mut malformed = inputs.iter().filter(|input| parser.check(input) == Verdict::Malformed).count();
    let mut random = fastrand::Rng::with_seed(1);
    for seed in seeds.iter().cycle().take(LEAST_MALFORMED * TRIES) {
        if malformed >= LEAST_MALFORMED {
            break;
        }
        let mutant = mutant(seed, &seeds, &mut random);
        if mutant.len() <= INPUT_BYTES && parser.check(&mutant) == Verdict::Malformed && inputs.insert(mutant) {
            malformed += 1;
        }
    }
    let mut bytes = Vec::new();
    for input in &inputs {
        bytes.extend_from_slice(&u32::try_from(input.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(input);
    }
    fs::write(packed(parser.name), zstd::encode_all(bytes.as_slice(), LEVEL)?)?;
    Ok(malformed)
}

/// An input with a few mistakes in it.
fn mutant(seed: &[u8], others: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        match random.u8(0..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.u8(..)),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
            4 => {
                let piece = bytes.get(at..).unwrap_or_default().iter().take(16).copied().collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = others.get(random.usize(0..others.len())).map(Vec::as_slice).unwrap_or_default();
                let from = random.usize(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
    bytes
}
