//! The memory that the demo lends, and the stamps by which its bytes are told apart.
//!
//! Everything in a value follows from (key, attempt), so any foreign, old or torn byte shows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use standfast_proto::v1::{Segment, Uuid};

/// Address of the first segment; the next ones follow at this distance, so that one address names one segment.
const BASE: u64 = 1 << 40;
const STRIDE: u64 = 1 << 36;
/// A value: key, attempt, size, then a pattern.
const HEADER_BYTES: usize = 16;
const SIZE_MIN: u64 = 48;
const SIZE_SPREAD: u64 = 465;

/// What is wrong with an address or with the bytes at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong(pub(crate) String);

/// Where the bytes of a segment are.
enum Bytes {
    /// In this process.
    Own(RwLock<Vec<u8>>),
    /// In a file that others have open, too.
    Shared(File, u64),
}

impl Bytes {
    fn len(&self) -> u64 {
        match self {
            Self::Own(bytes) => bytes.read().len() as u64,
            Self::Shared(_, len) => *len,
        }
    }

    fn write(&self, start: u64, value: &[u8]) -> Option<()> {
        let end = start.checked_add(value.len() as u64).filter(|end| *end <= self.len())?;
        match self {
            Self::Own(bytes) => bytes.write()[start as usize..end as usize].copy_from_slice(value),
            Self::Shared(file, _) => file.write_all_at(value, start).ok()?,
        }
        Some(())
    }

    fn read(&self, start: u64, size: u64) -> Option<Vec<u8>> {
        let end = start.checked_add(size).filter(|end| *end <= self.len())?;
        match self {
            Self::Own(bytes) => Some(bytes.read()[start as usize..end as usize].to_vec()),
            Self::Shared(file, _) => {
                let mut bytes = vec![0; size as usize];
                file.read_exact_at(&mut bytes, start).ok()?;
                Some(bytes)
            }
        }
    }
}

struct Lent {
    name: String,
    base: u64,
    bytes: Bytes,
}

impl Lent {
    /// As the master is told, the `nr`th one.
    fn segment(&self, nr: u64) -> Segment {
        Segment {
            id: Some(Uuid { first: 7, second: nr }),
            name: self.name.clone(),
            base: self.base,
            size: self.bytes.len(),
            te_endpoint: self.name.clone(),
            protocol: "tcp".to_owned(),
            host_id: String::new(),
        }
    }
}

/// All segments lent. Their addresses mean something to the load only.
#[derive(Default)]
pub(crate) struct Memory {
    segments: RwLock<Vec<Lent>>,
    folder: Option<PathBuf>,
}

impl Memory {
    /// Memory that is files in this folder.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// Whether other processes see it, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.folder.is_some()
    }

    /// Lends `size` bytes more, under a name of its own; in a folder what is there already is lent again.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn lend(&self, size: usize) -> Result<Segment, Wrong> {
        let mut segments = self.segments.write();
        let nr = segments.len() as u64 + 1;
        let (name, base) = (format!("demo-{nr}:12345"), BASE + nr * STRIDE);
        let bytes = match &self.folder {
            None => Bytes::Own(RwLock::new(vec![0; size])),
            Some(folder) => shared(&folder.join(nr.to_string()), size as u64)?,
        };
        segments.push(Lent { name, base, bytes });
        Ok(segments[segments.len() - 1].segment(nr))
    }

    /// Opens all that somebody else lends in the folder, each of `size` bytes.
    ///
    /// # Errors
    /// There is none, or a file cannot be opened.
    pub(crate) fn attach(&self, size: usize) -> Result<(), Wrong> {
        let folder = self.folder.clone().unwrap_or_default();
        while folder.join((self.segments.read().len() + 1).to_string()).exists() {
            self.lend(size)?;
        }
        if self.segments.read().is_empty() {
            return Err(Wrong(format!("nobody lends memory in {}", folder.display())));
        }
        Ok(())
    }

    /// All that is lent.
    pub(crate) fn lent(&self) -> Vec<Segment> {
        (1..).zip(&*self.segments.read()).map(|(nr, lent)| lent.segment(nr)).collect()
    }

    /// Writes `value` where the master said.
    ///
    /// # Errors
    /// The range is not in that segment.
    pub(crate) fn write(&self, segment: &str, address: u64, value: &[u8]) -> Result<(), Wrong> {
        let segments = self.segments.read();
        let lent = segments.iter().find(|lent| lent.name == segment);
        let range = lent.and_then(|lent| lent.bytes.write(address.checked_sub(lent.base)?, value));
        range.ok_or_else(|| outside(segment, address, value.len() as u64))
    }

    /// Reads where the master said.
    ///
    /// # Errors
    /// The range is not in that segment.
    pub(crate) fn read(&self, segment: &str, address: u64, size: u64) -> Result<Vec<u8>, Wrong> {
        let segments = self.segments.read();
        let lent = segments.iter().find(|lent| lent.name == segment);
        let range = lent.and_then(|lent| lent.bytes.read(address.checked_sub(lent.base)?, size));
        range.ok_or_else(|| outside(segment, address, size))
    }
}

fn shared(path: &Path, size: u64) -> Result<Bytes, Wrong> {
    let opened = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let sized = opened.and_then(|file| file.set_len(size).map(|()| Bytes::Shared(file, size)));
    sized.map_err(|e| Wrong(format!("{}: {e}", path.display())))
}

fn outside(segment: &str, address: u64, size: u64) -> Wrong {
    Wrong(format!("{size} bytes at {address:#x} are not in segment `{segment}`"))
}

/// A small generator of numbers that look like chance (splitmix64): patterns, and what the workload does next.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}

fn pattern(key: u32, attempt: u32) -> Dice {
    Dice(u64::from(key) << 32 | u64::from(attempt))
}

/// Size of the value of this attempt at this key.
pub(crate) fn size_of(key: u32, attempt: u32) -> u64 {
    SIZE_MIN + pattern(key, attempt).roll() % SIZE_SPREAD
}

/// The checksum that its writer states.
pub(crate) fn checksum_of(key: u32, attempt: u32) -> u64 {
    let mut dice = pattern(key, attempt);
    dice.roll();
    dice.roll()
}

/// The value of this attempt at this key.
pub(crate) fn stamp(key: u32, attempt: u32) -> Vec<u8> {
    let size = size_of(key, attempt);
    let mut value = Vec::with_capacity(size as usize + 8);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&attempt.to_le_bytes());
    value.extend_from_slice(&size.to_le_bytes());
    let mut dice = pattern(key, attempt);
    while value.len() < size as usize {
        value.extend_from_slice(&dice.roll().to_le_bytes());
    }
    value.truncate(size as usize);
    value
}

/// Compares every byte; returns the attempt that wrote them.
///
/// # Errors
/// They are not what any attempt at this key wrote.
pub(crate) fn check(key: u32, bytes: &[u8]) -> Result<u32, Wrong> {
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|word| Some(u32::from_le_bytes(word.try_into().ok()?)));
    let (Some(found), Some(attempt)) = (word(0), word(4)) else {
        return Err(Wrong(format!("{} bytes, expected at least {HEADER_BYTES}", bytes.len())));
    };
    if found != key {
        return Err(Wrong(format!("the bytes of key {found} instead of key {key}")));
    }
    let expected = stamp(key, attempt);
    if bytes.len() != expected.len() {
        return Err(Wrong(format!("key {key}: {} bytes, expected {}", bytes.len(), expected.len())));
    }
    match bytes.iter().zip(&expected).position(|(a, b)| a != b) {
        None => Ok(attempt),
        Some(at) => Err(Wrong(format!("key {key}, attempt {attempt}: byte {at} differs"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_stamp_counts() {
        let good = stamp(4711, 3);
        assert_eq!(check(4711, &good), Ok(3));
        assert_eq!(good.len() as u64, size_of(4711, 3));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_ne!(check(4711, &bad), Ok(3), "byte {at}");
        }
        assert!(check(4711, &good[..good.len() - 1]).is_err());
        assert!(check(4711, &good[..7]).is_err());
        assert!(check(4712, &good).is_err());
    }

    #[test]
    fn attempts_differ() {
        assert_ne!(stamp(1, 1), stamp(1, 2));
        assert_ne!(checksum_of(1, 1), checksum_of(1, 2));
        assert!(check(1, &[0; 64]).is_err());
    }

    #[test]
    fn an_address_means_its_segment() {
        let memory = Memory::default();
        let lend = || memory.lend(100).expect("lent");
        let (a, b) = (lend(), lend());
        memory.write(&a.name, a.base + 90, &[1; 10]).expect("inside");
        assert_eq!(memory.read(&a.name, a.base + 89, 2), Ok(vec![0, 1]));
        for (name, address, size) in [
            (&a.name, a.base + 91, 10),
            (&a.name, b.base, 1),
            (&a.name, a.base - 1, 1),
            (&a.name, u64::MAX, u64::MAX),
        ] {
            assert!(memory.read(name, address, size).is_err(), "{address:#x}");
        }
        assert!(memory.write(&b.name, a.base, &[1]).is_err());
    }

    #[test]
    fn shared_bytes_outlive_who_lends_and_who_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = || Memory::in_folder(folder.path().to_owned());
        let writer = of();
        assert!(writer.attach(100).is_err(), "nobody lends yet");
        let segment = of().lend(100).expect("lent");
        writer.attach(100).expect("lent now");
        writer.write(&segment.name, segment.base + 7, &[9; 3]).expect("inside");
        let again = of();
        assert_eq!(again.lend(100).expect("lent again"), segment);
        assert_eq!(again.read(&segment.name, segment.base + 6, 2), Ok(vec![0, 9]));
        assert!(again.write(&segment.name, segment.base + 98, &[1; 3]).is_err());
    }
}
