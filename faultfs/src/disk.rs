//! What a disk holds, what is only in the cache above it, and what a power loss leaves of both.
//!
//! The rules are the ones that POSIX gives, no kinder: a write is on the disk when a later sync of its file returned;
//! a new name or a removed one when the folder was synced; what is not synced may be there wholly, partly, or not at
//! all, in any order. Bytes that were not written never change, and no byte is made up: SQLite asks for that much
//! (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`, its default).

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use crate::image::Image;
use crate::log::{Operation, Part};

/// What a power loss takes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: what a killed process leaves.
    Nothing,
    /// All of it.
    Everything,
    /// All from some moment on.
    Latest,
    /// Some operations, in no order.
    Some,
    /// Some sectors of that many bytes of each write.
    Torn(usize),
}

/// What becomes of data whose sync failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// It stays waiting for the next sync.
    Retries,
    /// The system takes it for written: reads see it, but no later sync writes it (Linux does so).
    Drops,
}

/// The disk and its cache.
#[derive(Clone, Debug)]
pub struct Disk {
    failed_sync: FailedSync,
    files: Vec<File>,
    /// As a running process sees it.
    names: BTreeMap<Part, usize>,
    /// As the disk has it.
    durable_names: BTreeMap<Part, usize>,
    /// Since the last sync of the folder, with their place in the order of all that is not synced.
    renamed: Vec<(u64, Part, Option<usize>)>,
    operations: u64,
}

#[derive(Clone, Debug, Default)]
struct File {
    cached: Vec<u8>,
    durable: Vec<u8>,
    waiting: Vec<(u64, Waiting)>,
}

#[derive(Clone, Debug)]
enum Waiting {
    Write(u64, Arc<[u8]>),
    Truncate(u64),
}

impl Disk {
    /// A disk that holds these files, all of it synced.
    #[must_use]
    pub fn new(image: &Image, failed_sync: FailedSync) -> Self {
        let file = |bytes: &Vec<u8>| File { cached: bytes.clone(), durable: bytes.clone(), waiting: Vec::new() };
        let names: BTreeMap<Part, usize> = image.0.keys().copied().zip(0..).collect();
        Self {
            failed_sync,
            files: image.0.values().map(file).collect(),
            durable_names: names.clone(),
            names,
            renamed: Vec::new(),
            operations: 0,
        }
    }

    /// Does what SQLite did.
    ///
    /// # Panics
    ///
    /// The log names a file that was never opened.
    pub fn apply(&mut self, operation: &Operation) {
        self.operations += 1;
        match operation {
            Operation::Open { part, created: true } if *part != Part::Temporary => self.create(*part),
            Operation::Write { part, offset, bytes } => {
                let write = Waiting::Write(*offset, Arc::clone(bytes));
                self.wait(*part, write);
            }
            Operation::Truncate { part, size } => self.wait(*part, Waiting::Truncate(*size)),
            Operation::Sync { part, folder } => {
                if let Some(file) = self.file(*part) {
                    for (_, waiting) in std::mem::take(&mut file.waiting) {
                        waiting.apply(&mut file.durable);
                    }
                }
                if *folder {
                    self.sync_folder();
                }
            }
            Operation::Rewrite { part } => {
                if let Some(file) = self.file(*part) {
                    file.waiting.clear();
                    file.durable.clone_from(&file.cached);
                }
            }
            Operation::FailedSync { part } => {
                let drops = self.failed_sync == FailedSync::Drops;
                if let Some(file) = self.file(*part).filter(|_| drops) {
                    file.waiting.clear();
                }
            }
            Operation::Delete { part, folder } => {
                if self.names.remove(part).is_some() {
                    self.renamed.push((self.operations, *part, None));
                }
                if *folder {
                    self.sync_folder();
                }
            }
            _ => {}
        }
    }

    /// What a running process sees, and what a killed one leaves.
    #[must_use]
    pub fn cached(&self) -> Image {
        let file = |at: &usize| self.files.get(*at).map(|file| file.cached.clone()).unwrap_or_default();
        Image(self.names.iter().map(|(part, at)| (*part, file(at))).collect())
    }

    /// Whether everything is synced, so that a power loss takes nothing.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.renamed.is_empty() && self.files.iter().all(|file| file.waiting.is_empty() && file.cached == file.durable)
    }

    /// What a power loss at this moment leaves.
    #[must_use]
    pub fn crashed(&self, loss: Loss, rng: &mut Rng) -> Image {
        if loss == Loss::Nothing {
            return self.cached();
        }
        let latest = self.moment(loss, rng);
        // How much is lost differs from crash to crash, so that a single loss among many and the reverse happen too.
        let kept_of_ten = rng.choice([1, 3, 5, 7, 9]).unwrap_or(5);
        let keep = |at: u64, rng: &mut Rng| match loss {
            Loss::Nothing => true,
            Loss::Everything => false,
            Loss::Latest => at <= latest,
            Loss::Some | Loss::Torn(_) => rng.u32(..10) < kept_of_ten,
        };
        let mut names = self.durable_names.clone();
        for (at, part, file) in &self.renamed {
            if keep(*at, rng) {
                match file {
                    Some(file) => drop(names.insert(*part, *file)),
                    None => drop(names.remove(part)),
                }
            }
        }
        let mut files = BTreeMap::new();
        for (part, file) in names.iter().filter_map(|(part, at)| Some((*part, self.files.get(*at)?))) {
            let mut bytes = file.durable.clone();
            for (at, waiting) in &file.waiting {
                match (loss, waiting) {
                    (Loss::Torn(sector), Waiting::Write(offset, data)) => {
                        tear(&mut bytes, *offset, data, sector, || keep(*at, rng));
                    }
                    _ if keep(*at, rng) => waiting.apply(&mut bytes),
                    _ => {}
                }
            }
            files.insert(part, bytes);
        }
        Image(files)
    }

    /// From where on [`Loss::Latest`] takes everything.
    fn moment(&self, loss: Loss, rng: &mut Rng) -> u64 {
        if loss != Loss::Latest {
            return 0;
        }
        let waiting = self.files.iter().flat_map(|file| file.waiting.iter().map(|(at, _)| *at));
        let mut moments: Vec<u64> = waiting.chain(self.renamed.iter().map(|(at, ..)| *at)).collect();
        moments.sort_unstable();
        rng.choice(moments).unwrap_or_default()
    }

    fn create(&mut self, part: Part) {
        self.names.insert(part, self.files.len());
        self.renamed.push((self.operations, part, Some(self.files.len())));
        self.files.push(File::default());
    }

    fn file(&mut self, part: Part) -> Option<&mut File> {
        let at = *self.names.get(&part)?;
        self.files.get_mut(at)
    }

    fn wait(&mut self, part: Part, waiting: Waiting) {
        let at = self.operations;
        if let Some(file) = self.file(part) {
            waiting.apply(&mut file.cached);
            file.waiting.push((at, waiting));
        } else {
            assert!(part == Part::Temporary, "the {part:?} file was changed, but never opened");
        }
    }

    fn sync_folder(&mut self) {
        self.durable_names = self.names.clone();
        self.renamed.clear();
    }
}

impl Waiting {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => put(bytes, *offset, data),
            Self::Truncate(size) => bytes.resize(place(*size), 0),
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a test's file fits into memory")
}

/// Writes, with zeros where nothing was ever written before.
fn put(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let (from, to) = (place(offset), place(offset) + data.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    if let Some(target) = bytes.get_mut(from..to) {
        target.copy_from_slice(data);
    }
}

/// Writes only some sectors.
fn tear(bytes: &mut Vec<u8>, offset: u64, data: &[u8], sector: usize, mut keep: impl FnMut() -> bool) {
    let mut rest = data;
    let mut at = place(offset);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((sector - at % sector).min(rest.len()));
        if keep() {
            put(bytes, at as u64, piece);
        }
        at += piece.len();
        rest = later;
    }
}
