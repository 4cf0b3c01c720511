//! Bytes of a log entry: in the ring, on the wire, in golden tests.
//!
//! All integers little-endian.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the whole entry |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | op type |
//! | 6 | 2 | home: a shard, or 1024 for the segment table |
//! | 8 | 8 | epoch |
//! | 16 | 8 | wall time, microseconds |
//! | 24 | 8 | `prefix_hash`: map hash of the key, 0 without one |
//! | 32 | n | body of the op |
//! | 32+n | 8 | seq |
//! | 40+n | 4 | CRC-32 (IEEE) of everything before |
//!
//! The seq comes last so that all but 8 bytes are encoded and summed before
//! the log's mutex is taken.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::op::{LimboKind, Op, OpType, Release};
use super::{metadata_codec, task_codec};
use crate::types::{
    ClientId, CopyId, Epoch, HomeId, KeyHash, LogPos, MountUid, Region, SegmentId, SegmentSpec, Seq, Uuid,
    WallTime, limits,
};

/// Version of the layout above.
pub const VERSION: u8 = 1;

const HEADER: usize = 32;
const TRAILER: usize = 12;

/// A decoded entry. Keys borrow from the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpLogEntry<'a> {
    /// Where it stands.
    pub pos: LogPos,
    /// When the primary decided it.
    pub wall: WallTime,
    /// Hash of the key, or 0: names it in digests. Its low half is the `prefix_hash`.
    pub name: u128,
    /// The home that it changes.
    pub home: HomeId,
    /// What it does.
    pub op: Op<'a>,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("entry is cut off: {field} needs {needed} bytes, {left} left")]
    CutOff {
        /// The field being read.
        field: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// The length field is impossible.
    #[error("entry length {0} is outside {min}..={max}", min = HEADER + TRAILER, max = limits::ENTRY_BYTES_MAX)]
    Length(u32),
    /// Another version of the layout.
    #[error("entry version {0} is not known, expected {VERSION}")]
    Version(u8),
    /// An op type that this version does not know.
    #[error("op type {0} is not known")]
    OpType(u8),
    /// The checksum does not match.
    #[error("CRC-32 is {stored:08x} in the entry but {computed:08x} over its bytes")]
    Checksum {
        /// As written.
        stored: u32,
        /// As computed.
        computed: u32,
    },
    /// A field holds a value that cannot be.
    #[error("{field} is {value}: expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it may hold.
        expected: &'static str,
    },
    /// A name is not UTF-8.
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
    /// Bytes are left over after the op's body.
    #[error("{0} bytes left over after the op's body")]
    LeftOver(usize),
}

/// An entry encoded but for its seq and checksum.
#[derive(Debug)]
pub struct Prepared {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
}

impl Prepared {
    /// Encodes everything that is known before the seq is.
    #[must_use]
    pub fn new(epoch: Epoch, wall: WallTime, place: KeyHash, op: &Op<'_>) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + TRAILER + 64 + op.key().map_or(64, <[u8]>::len));
        let mut header = [0; HEADER];
        header[4..6].copy_from_slice(&[VERSION, op.kind() as u8]);
        header[6..8].copy_from_slice(&(place.home.index() as u16).to_le_bytes());
        header[8..16].copy_from_slice(&epoch.0.to_le_bytes());
        header[16..24].copy_from_slice(&wall.0.to_le_bytes());
        header[24..].copy_from_slice(&place.map.to_le_bytes());
        bytes.extend_from_slice(&header);
        encode_body(op, &mut bytes);
        let len = bytes.len() + TRAILER;
        invariant!(len <= limits::ENTRY_BYTES_MAX, "entry of {len} bytes");
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes);
        Self { bytes, crc }
    }

    /// Bytes of the finished entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() + TRAILER
    }

    /// Never: an entry has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Gives it its seq and appends it to `out`.
    pub fn finish(self, seq: Seq, out: &mut Vec<u8>) {
        let seq = seq.0.to_le_bytes();
        let mut crc = self.crc;
        crc.update(&seq);
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(&seq);
        out.extend_from_slice(&crc.finalize().to_le_bytes());
    }
}

fn encode_body(op: &Op<'_>, out: &mut Vec<u8>) {
    match op {
        Op::TermStart { node, copy } => {
            out.extend_from_slice(&copy.0.to_le_bytes());
            put_bytes(out, node.as_bytes());
        }
        Op::MountSegment { client, segment, held } => {
            put_uuid(out, client.0);
            put_uuid(out, segment.id.0);
            out.extend_from_slice(&segment.base.to_le_bytes());
            out.extend_from_slice(&segment.size.to_le_bytes());
            for text in [&segment.name, &segment.te_endpoint, &segment.protocol, &segment.host_id] {
                put_bytes(out, text.as_bytes());
            }
            out.push(u8::from(*held));
        }
        Op::SegmentGone { mount } | Op::HoldEnd { mount } => put_pos(out, mount.0),
        Op::ClientOk { client, host } => {
            put_uuid(out, client.0);
            put_bytes(out, host.as_bytes());
        }
        Op::ClientExpired { client } => put_uuid(out, client.0),
        Op::GracefulUnmount { mount, grace_ms } => {
            put_pos(out, mount.0);
            out.extend_from_slice(&grace_ms.to_le_bytes());
        }
        Op::PutStart { key, client, size, regions, traits } => {
            put_bytes(out, key);
            put_uuid(out, client.0);
            out.extend_from_slice(&size.to_le_bytes());
            put_regions(out, regions);
            traits::put(out, traits);
        }
        Op::PutEnd { key, checksum } => {
            put_bytes(out, key);
            out.push(u8::from(checksum.is_some()));
            out.extend_from_slice(&checksum.unwrap_or(0).to_le_bytes());
        }
        Op::Remove { key, release }
        | Op::Preempt { key, release }
        | Op::PutRevoke { key, release }
        | Op::Evict { key, release }
        | Op::Discard { key, release }
        | Op::TransferEnd { key, release }
        | Op::TransferRevoke { key, release } => {
            put_bytes(out, key);
            put_release(out, *release);
        }
        Op::Free { shard, since, index } => {
            out.extend_from_slice(&shard.to_le_bytes());
            out.extend_from_slice(&since.0.to_le_bytes());
            out.push(*index);
        }
        Op::Purge { shard, mount, objects } => {
            out.extend_from_slice(&shard.to_le_bytes());
            put_pos(out, mount.0);
            put_named(out, objects);
        }
        Op::UpsertInPlace { key, client, pending_pin } => {
            put_bytes(out, key);
            put_uuid(out, client.0);
            traits::put_pending_pin(out, *pending_pin);
        }
        Op::Clear { shard, objects } => {
            out.extend_from_slice(&shard.to_le_bytes());
            put_named(out, objects);
        }
        Op::DropReplica { key, id, release } => {
            put_bytes(out, key);
            out.extend_from_slice(&id.to_le_bytes());
            put_release(out, *release);
        }
        Op::Abandon { key, client } => {
            put_bytes(out, key);
            put_uuid(out, client.0);
        }
        Op::Resolve { key, since } => {
            put_bytes(out, key);
            out.extend_from_slice(&since.0.to_le_bytes());
        }
        Op::TransferStart { key, client, kind, source, regions } => {
            put_bytes(out, key);
            put_uuid(out, client.0);
            out.push(*kind as u8);
            out.extend_from_slice(&source.to_le_bytes());
            put_regions(out, regions);
        }
        Op::TaskCreate { kind, client, key, source, targets, wall } => {
            out.push(*kind as u8);
            put_uuid(out, client.0);
            put_bytes(out, key);
            put_bytes(out, source.as_bytes());
            out.push(targets.len() as u8);
            for name in targets {
                put_bytes(out, name.as_bytes());
            }
            out.extend_from_slice(&wall.0.to_le_bytes());
        }
        Op::TaskFetch { tasks, wall } => {
            out.extend_from_slice(&(tasks.len() as u16).to_le_bytes());
            for task in tasks {
                put_pos(out, task.0);
            }
            out.extend_from_slice(&wall.0.to_le_bytes());
        }
        Op::TaskEnd { task, status, message, wall } => {
            put_pos(out, task.0);
            out.push(*status as u8);
            put_bytes(out, message.as_bytes());
            out.extend_from_slice(&wall.0.to_le_bytes());
        }
        Op::TaskPrune { through } => put_pos(out, *through),
        Op::MetadataPart { key, part, last, bytes } => {
            metadata_codec::put_part(out, key, *part, *last, bytes);
        }
        Op::MetadataRemove { key } => put_bytes(out, key),
    }
}

fn put_named(out: &mut Vec<u8>, objects: &[u64]) {
    out.extend_from_slice(&(objects.len() as u16).to_le_bytes());
    objects.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
}

fn put_regions(out: &mut Vec<u8>, regions: &[Region]) {
    out.push(regions.len() as u8);
    for r in regions {
        put_pos(out, r.mount.0);
        out.extend_from_slice(&r.offset.to_le_bytes());
        out.extend_from_slice(&r.reserved.to_le_bytes());
    }
}

pub(crate) fn put_pos(out: &mut Vec<u8>, pos: LogPos) {
    out.extend_from_slice(&pos.epoch.0.to_le_bytes());
    out.extend_from_slice(&pos.seq.to_le_bytes());
}

fn put_release(out: &mut Vec<u8>, release: Release) {
    out.push(match release {
        Release::Now => 0,
        Release::Limbo(LimboKind::Read) => 1,
        Release::Limbo(LimboKind::Write) => 2,
    });
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_uuid(out: &mut Vec<u8>, uuid: Uuid) {
    out.extend_from_slice(&uuid.first.to_le_bytes());
    out.extend_from_slice(&uuid.second.to_le_bytes());
}

/// Splits the first entry's bytes from `bytes`, without looking inside.
///
/// # Errors
/// When the length field is impossible or more bytes are claimed than are there.
pub fn split_first(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let mut r = Reader { bytes };
    let len = r.u32("entry length")?;
    if !(HEADER + TRAILER..=limits::ENTRY_BYTES_MAX).contains(&(len as usize)) {
        return Err(DecodeError::Length(len));
    }
    let len = len as usize;
    if bytes.len() < len {
        return Err(DecodeError::CutOff { field: "entry", needed: len, left: bytes.len() });
    }
    Ok(bytes.split_at(len))
}

/// The seq that an entry's bytes claim, unverified. For naming a bad entry.
#[must_use]
pub fn claimed_seq(entry: &[u8]) -> Option<Seq> {
    let at = entry.len().checked_sub(TRAILER)?;
    Some(Seq(u64::from_le_bytes(entry[at..at + 8].try_into().ok()?)))
}

/// Decodes exactly one entry and checks its checksum first.
///
/// # Errors
/// When any byte is not as it was written.
pub fn decode(entry: &[u8]) -> Result<OpLogEntry<'_>, DecodeError> {
    let (entry, rest) = split_first(entry)?;
    if !rest.is_empty() {
        return Err(DecodeError::LeftOver(rest.len()));
    }
    let (summed, stored) = entry.split_at(entry.len() - 4);
    let stored = Reader { bytes: stored }.u32("checksum")?;
    let computed = crc32fast::hash(summed);
    if stored != computed {
        return Err(DecodeError::Checksum { stored, computed });
    }
    let mut r = Reader { bytes: &summed[4..] };
    let version = r.u8("version")?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let code = r.u8("op type")?;
    let kind = OpType::from_code(code).ok_or(DecodeError::OpType(code))?;
    let home = r.home()?;
    let epoch = Epoch(r.u64("epoch")?);
    let wall = WallTime(r.u64("wall time")?);
    let prefix_hash = r.u64("prefix_hash")?;
    let (body, seq) = r.bytes.split_at(r.bytes.len() - 8);
    let seq = Seq(Reader { bytes: seq }.u64("seq")?);
    if seq.0 == 0 {
        return Err(DecodeError::Field { field: "seq", value: 0, expected: "1 or more" });
    }
    let mut r = Reader { bytes: body };
    let op = decode_body(kind, &mut r)?;
    if !r.bytes.is_empty() {
        return Err(DecodeError::LeftOver(r.bytes.len()));
    }
    let name = check_place(&op, home, prefix_hash)?;
    Ok(OpLogEntry { pos: LogPos::new(epoch, seq), wall, name, home, op })
}

/// An op must be where its key or its shard puts it. Returns what names its key.
fn check_place(op: &Op<'_>, home: HomeId, prefix_hash: u64) -> Result<u128, DecodeError> {
    let due = op.place();
    if prefix_hash != due.map {
        let expected = "the map hash of the op's key, or 0 without a key";
        return Err(DecodeError::Field { field: "prefix_hash", value: prefix_hash, expected });
    }
    // Where an object is follows from its group, which only the store knows.
    let elsewhere = op.follows_object() && home != HomeId::SEGMENTS;
    let no_shard =
        matches!(op, Op::Free { .. } | Op::Clear { .. } | Op::Purge { .. }) && home == HomeId::SEGMENTS;
    if (home != due.home && !elsewhere) || no_shard {
        let expected = "the home of the op's key, group or shard, or the segment table";
        return Err(DecodeError::Field { field: "home", value: home.index() as u64, expected });
    }
    Ok(due.name())
}

fn decode_body<'a>(kind: OpType, r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(match kind {
        OpType::TermStart => {
            let copy = CopyId(u128::from_le_bytes(r.array("copy id")?));
            Op::TermStart { copy, node: Cow::Borrowed(r.text("node", limits::NAME_BYTES_MAX)?) }
        }
        OpType::MountSegment => Op::MountSegment {
            client: ClientId(r.uuid("client")?),
            segment: Cow::Owned(SegmentSpec {
                id: SegmentId(r.uuid("segment id")?),
                base: r.u64("base")?,
                size: r.u64("size")?,
                name: r.text("segment name", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
                te_endpoint: r.text("te_endpoint", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
                protocol: r.text("protocol", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
                host_id: r.text("host_id", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
            }),
            held: r.bool("held")?,
        },
        OpType::SegmentGone => Op::SegmentGone { mount: r.mount()? },
        OpType::HoldEnd => Op::HoldEnd { mount: r.mount()? },
        OpType::ClientOk => Op::ClientOk {
            client: ClientId(r.uuid("client")?),
            host: Cow::Borrowed(r.text("host", limits::ENDPOINT_BYTES_MAX)?),
        },
        OpType::ClientExpired => Op::ClientExpired { client: ClientId(r.uuid("client")?) },
        OpType::GracefulUnmount => {
            Op::GracefulUnmount { mount: r.mount()?, grace_ms: r.u64("grace period")? }
        }
        OpType::PutStart => Op::PutStart {
            key: r.key()?,
            client: ClientId(r.uuid("client")?),
            size: r.u64("size")?,
            regions: decode_regions(r, 1)?,
            traits: traits::decode(r)?,
        },
        OpType::PutEnd => {
            let key = r.key()?;
            let given = r.bool("checksum given")?;
            let checksum = r.u64("checksum")?;
            if !given && checksum != 0 {
                return Err(DecodeError::Field {
                    field: "checksum",
                    value: checksum,
                    expected: "0 when none is given",
                });
            }
            Op::PutEnd { key, checksum: given.then_some(checksum) }
        }
        OpType::Remove => Op::Remove { key: r.key()?, release: r.release()? },
        OpType::Preempt => Op::Preempt { key: r.key()?, release: r.release()? },
        OpType::Free => {
            Op::Free { shard: r.u16("shard")?, since: Seq(r.u64("limbo seq")?), index: r.u8("limbo index")? }
        }
        OpType::Purge => Op::Purge { shard: r.u16("shard")?, mount: r.mount()?, objects: decode_named(r)? },
        OpType::PutRevoke => Op::PutRevoke { key: r.key()?, release: r.release()? },
        OpType::UpsertInPlace => Op::UpsertInPlace {
            key: r.key()?,
            client: ClientId(r.uuid("client")?),
            pending_pin: traits::pending_pin(r)?,
        },
        OpType::Clear => Op::Clear { shard: r.u16("shard")?, objects: decode_named(r)? },
        OpType::DropReplica => {
            Op::DropReplica { key: r.key()?, id: r.u64("replica id")?, release: r.release()? }
        }
        OpType::Abandon => Op::Abandon { key: r.key()?, client: ClientId(r.uuid("client")?) },
        OpType::Resolve => Op::Resolve { key: r.key()?, since: Seq(r.u64("abandon seq")?) },
        OpType::Evict => Op::Evict { key: r.key()?, release: r.release()? },
        OpType::Discard => Op::Discard { key: r.key()?, release: r.release()? },
        OpType::TransferStart => Op::TransferStart {
            key: r.key()?,
            client: ClientId(r.uuid("client")?),
            kind: task_codec::transfer_kind(r)?,
            source: r.u64("source replica")?,
            regions: decode_regions(r, 0)?,
        },
        OpType::TransferEnd => Op::TransferEnd { key: r.key()?, release: r.release()? },
        OpType::TransferRevoke => Op::TransferRevoke { key: r.key()?, release: r.release()? },
        OpType::TaskCreate => task_codec::create(r)?,
        OpType::TaskFetch => task_codec::fetch(r)?,
        OpType::TaskEnd => task_codec::end(r)?,
        OpType::TaskPrune => Op::TaskPrune { through: r.pos("prune position")? },
        OpType::MetadataPart => metadata_codec::part(r)?,
        OpType::MetadataRemove => metadata_codec::remove(r)?,
    })
}

fn decode_named(r: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let n = r.u16("number of objects")?;
    if usize::from(n) > limits::NAMED_MAX {
        let expected = "at most 1024";
        return Err(DecodeError::Field { field: "number of objects", value: u64::from(n), expected });
    }
    (0..n).map(|_| r.u64("object")).collect()
}

fn decode_regions(r: &mut Reader<'_>, min: u8) -> Result<SmallVec<[Region; 1]>, DecodeError> {
    let n = r.u8("number of regions")?;
    if n < min || usize::from(n) > limits::REPLICAS_MAX {
        return Err(DecodeError::Field {
            field: "number of regions",
            value: u64::from(n),
            expected: "1 to REPLICAS_MAX, or 0 in a transfer",
        });
    }
    let mut regions = SmallVec::new();
    for _ in 0..n {
        let mount = r.mount()?;
        regions.push(Region { mount, offset: r.u64("offset")?, reserved: r.u64("reserved")? });
    }
    Ok(regions)
}

/// Reads fields from the front of bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first of these bytes on.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// True when nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let cut_off = DecodeError::CutOff { field, needed: n, left: self.bytes.len() };
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or(cut_off)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            n => Err(DecodeError::Field { field, value: u64::from(n), expected: "0 or 1" }),
        }
    }

    pub(crate) fn home(&mut self) -> Result<HomeId, DecodeError> {
        let index = self.u16("home")?;
        let unknown = DecodeError::Field { field: "home", value: u64::from(index), expected: "0 to 1024" };
        HomeId::from_index(usize::from(index)).ok_or(unknown)
    }

    fn release(&mut self) -> Result<Release, DecodeError> {
        match self.u8("release")? {
            0 => Ok(Release::Now),
            1 => Ok(Release::Limbo(LimboKind::Read)),
            2 => Ok(Release::Limbo(LimboKind::Write)),
            n => Err(DecodeError::Field { field: "release", value: u64::from(n), expected: "0, 1 or 2" }),
        }
    }

    pub(crate) fn pos(&mut self, field: &'static str) -> Result<LogPos, DecodeError> {
        Ok(LogPos { epoch: Epoch(self.u64(field)?), seq: self.u64(field)? })
    }

    pub(crate) fn uuid(&mut self, field: &'static str) -> Result<Uuid, DecodeError> {
        Ok(Uuid { first: self.u64(field)?, second: self.u64(field)? })
    }

    pub(crate) fn mount(&mut self) -> Result<MountUid, DecodeError> {
        Ok(MountUid(self.pos("mount")?))
    }

    pub(crate) fn bytes_up_to(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let n = self.u16(field)?;
        if usize::from(n) > max {
            return Err(DecodeError::Field { field, value: u64::from(n), expected: "a shorter length" });
        }
        self.take(usize::from(n), field)
    }

    pub(crate) fn text(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes_up_to(max, field)?).map_err(|_| DecodeError::Utf8(field))
    }

    pub(crate) fn key(&mut self) -> Result<&'a [u8], DecodeError> {
        self.bytes_up_to(limits::TENANT_BYTES_MAX + 1 + limits::KEY_BYTES_MAX, "key")
    }
}

#[path = "codec_traits.rs"]
mod traits;

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
