//! Copies of homes as bytes: what a full sync sends (PROTOCOL S5).
//!
//! A home is encoded under its read lock, so its records are one moment of it,
//! and cut into chunks of whole records. All integers little-endian.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the whole chunk |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | 1 in the last chunk of its home, else 0 |
//! | 6 | 2 | home: a shard, or 1024 for the segment table |
//! | 8 | 8 | epoch of the primary that copies |
//! | 16 | 8 | session |
//! | 24 | 4 | number of the chunk within its home, from 0 |
//! | 28 | 4 | records |
//! | 32 | 16 | position of the home: epoch, seq |
//! | 48 | 16 | digest of the home |
//! | 64 | n | records |
//! | 64+n | 4 | CRC-32 (IEEE) of everything before |

use bytes::Bytes;

use super::owned::Owned;
use super::{Allocators, AuditError, Effect, HomeMark, MetadataStore, SegmentTable, Shard};
use crate::oplog::DecodeError;
use crate::oplog::codec::{Reader, put_pos};
use crate::types::{Epoch, HomeId, limits};

/// Version of the layout above and of the records.
const VERSION: u8 = 1;
const HEADER: usize = 64;
const CRC: usize = 4;

/// Names one copying of the state: its chunks mix with those of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopySession {
    /// Epoch of the primary that copies.
    pub epoch: Epoch,
    /// Its number there.
    pub number: u64,
}

/// Part of the image of one home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Which copying it belongs to.
    pub session: CopySession,
    /// The home.
    pub home: HomeId,
    /// Its number within the home, from 0.
    pub part: u32,
    /// Whether the home ends with it.
    pub last: bool,
    /// Where the home stood when it was encoded.
    pub mark: HomeMark,
    records: u32,
    body: &'a [u8],
}

/// Why a chunk cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its bytes are damaged.
    #[error("{0}")]
    Damaged(#[from] DecodeError),
    /// A record that cannot be in this home.
    #[error("a record of {0} {1}")]
    Misfit(HomeId, &'static str),
}

/// Records of one home, cut into bodies of chunks.
#[derive(Debug, Default)]
pub(super) struct Records {
    done: Vec<(u32, Vec<u8>)>,
    open: Vec<u8>,
    count: u32,
}

impl Records {
    /// Appends what `write` writes, as one record.
    pub(super) fn add(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
        if self.open.is_empty() {
            self.open.reserve(limits::COPY_CHUNK_BYTES);
        }
        self.open.push(tag);
        write(&mut self.open);
        self.count += 1;
        // The longest record still fits below the bound.
        if self.open.len() + limits::ENTRY_BYTES_MAX > limits::COPY_CHUNK_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push((std::mem::take(&mut self.count), std::mem::take(&mut self.open)));
    }

    /// All of it, as chunks of this home.
    pub(super) fn into_chunks(self, home: HomeId, mark: HomeMark, session: CopySession) -> Vec<Bytes> {
        let bodies = self.finish();
        let parts = bodies.len();
        let chunk = |(part, (records, body)): (usize, &(u32, Vec<u8>))| {
            let last = part + 1 == parts;
            Chunk { session, home, part: part as u32, last, mark, records: *records, body }.encode()
        };
        bodies.iter().enumerate().map(chunk).collect()
    }

    fn finish(mut self) -> Vec<(u32, Vec<u8>)> {
        if self.count > 0 || self.done.is_empty() {
            self.close();
        }
        self.done
    }
}

impl<'a> Chunk<'a> {
    /// Decodes a chunk's frame; its checksum first.
    ///
    /// # Errors
    /// When any byte is not as it was written.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let cut_off = DecodeError::CutOff { field: "chunk", needed: HEADER + CRC, left: bytes.len() };
        if bytes.len() < HEADER + CRC {
            return Err(cut_off);
        }
        let (summed, stored) = bytes.split_at(bytes.len() - CRC);
        let stored = Reader::new(stored).u32("checksum")?;
        let computed = crc32fast::hash(summed);
        if stored != computed {
            return Err(DecodeError::Checksum { stored, computed });
        }
        let mut r = Reader::new(summed);
        let length = r.u32("chunk length")?;
        if length as usize != bytes.len() || bytes.len() > limits::COPY_CHUNK_BYTES + HEADER + CRC {
            return Err(DecodeError::Length(length));
        }
        let version = r.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let last = r.bool("last chunk")?;
        let home = r.home()?;
        let session = CopySession { epoch: Epoch(r.u64("epoch")?), number: r.u64("session")? };
        let (part, records) = (r.u32("chunk number")?, r.u32("number of records")?);
        let mark =
            HomeMark { last: r.pos("home position")?, digest: u128::from_le_bytes(r.array("digest")?) };
        Ok(Self { session, home, part, last, mark, records, body: &summed[HEADER..] })
    }

    fn encode(&self) -> Bytes {
        let length = HEADER + self.body.len() + CRC;
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&[VERSION, u8::from(self.last)]);
        out.extend_from_slice(&(self.home.index() as u16).to_le_bytes());
        out.extend_from_slice(&self.session.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.session.number.to_le_bytes());
        out.extend_from_slice(&self.part.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        put_pos(&mut out, self.mark.last);
        out.extend_from_slice(&self.mark.digest.to_le_bytes());
        out.extend_from_slice(self.body);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.into()
    }
}

impl MetadataStore {
    /// The image of one home, chunk by chunk. Its lock is held while its records
    /// are encoded, not while they are summed.
    #[must_use]
    pub fn image(&self, home: HomeId, session: CopySession) -> Vec<Bytes> {
        let mut records = Records::default();
        let mark = if home == HomeId::SEGMENTS {
            let table = self.segments().read();
            table.write_records(&mut records);
            table.mark()
        } else {
            let shard = self.shard(home).read();
            shard.write_records(&mut records);
            shard.mark()
        };
        records.into_chunks(home, mark, session)
    }

    /// Adds a chunk's records to a home; returns the sum of their digest terms.
    /// The first chunk of a home empties it. Its mark stays that of an empty home
    /// until [`settle`](Self::settle). Nothing that joins homes is derived here.
    ///
    /// # Errors
    /// When a record does not belong there; the home is unusable then.
    pub fn load(&self, chunk: &Chunk<'_>) -> Result<u128, LoadError> {
        if chunk.home == HomeId::SEGMENTS {
            let mut table = self.segments().write();
            if chunk.part == 0 {
                *table = SegmentTable::new(self.digester);
            }
            chunk.read_into_table(&mut table)
        } else {
            let mut shard = self.shard(chunk.home).write();
            if chunk.part == 0 {
                *shard = Shard::new(self.digester);
            }
            chunk.read_into_shard(&mut shard)
        }
    }

    /// The home is whole: from now on it stands at this mark.
    pub fn settle(&self, home: HomeId, mark: HomeMark) {
        self.lab_damage(home, &mut |m| *m = mark);
    }

    /// Discards everything: the store is as new.
    pub fn clear(&self) {
        *self.segments().write() = SegmentTable::new(self.digester);
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
            *self.shard(home).write() = Shard::new(self.digester);
        }
        *self.allocators().lock() = Allocators::default();
        self.routes().clear();
    }

    /// Builds what joins homes, from the homes alone: once, when they form one
    /// prefix of the log (PROTOCOL K6). An overlap fails it as a whole: dropping
    /// both owners (SEMANTICS R10) would make this copy another one than the
    /// primary's, and the primary's state is the one that counts (R9).
    ///
    /// # Errors
    /// When two owners claim the same bytes, or one claims bytes that its
    /// segment does not have.
    pub fn derive(&self) -> Result<(), AuditError> {
        let mut owned = Owned::none(&self.segments().read());
        self.routes().clear();
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
            let shard = self.shard(home).read();
            shard.regions().for_each(|region| owned.add(region));
            let grouped = shard.objects().filter_map(|o| Some((o, o.group()?)));
            let routes: Vec<Effect> = grouped
                .map(|(o, group)| Effect::Route(o.key().into(), std::sync::Arc::clone(group)))
                .collect();
            self.routes().perform(&routes);
            // What left a group before the homes were copied is not in them.
            self.routes().raise_left(shard.mark().applied());
        }
        *self.allocators().lock() = Allocators::of(owned.into_allocators()?);
        Ok(())
    }
}

impl Chunk<'_> {
    /// Adds its records to a shard; returns the sum of their digest terms.
    pub(super) fn read_into_shard(&self, shard: &mut Shard) -> Result<u128, LoadError> {
        self.read(|r| shard.read_record(self.home, r))
    }

    /// The same for the segment table.
    pub(super) fn read_into_table(&self, table: &mut SegmentTable) -> Result<u128, LoadError> {
        self.read(|r| table.read_record(r))
    }

    fn read(
        &self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<u128, LoadError>,
    ) -> Result<u128, LoadError> {
        let mut r = Reader::new(self.body);
        let mut sum = 0u128;
        for _ in 0..self.records {
            sum = sum.wrapping_add(read(&mut r)?);
        }
        if r.is_done() { Ok(sum) } else { Err(LoadError::Misfit(self.home, "is behind the last one")) }
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
