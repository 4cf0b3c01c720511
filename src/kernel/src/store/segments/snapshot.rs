//! Records of the segment table.
//!
//! | tag | record | fields |
//! |---|---|---|
//! | 16 | term | epoch |
//! | 17 | client | id, since, ok, host |
//! | 18 | mount | uid, client, segment, held, grace period |
//! | 19 | dead mount | uid, segment |
//! | 20 | task | id, kind, status, client, key, source, targets, times, changed, message |
//! | 21 | part of transfer metadata | 0 or 1 while it is written, key, number, bytes |
//! | 22 | what is recorded of a mount's bytes | uid, position, open ranges, quarantined ranges |
//!
//! A client comes before its mounts, a mount before what is recorded of it.

use std::sync::Arc;

use super::SegmentTable;
use crate::oplog::DecodeError;
use crate::oplog::codec::{Reader, put_bytes, put_pos, put_ranges, put_uuid};
use crate::oplog::metadata_codec;
use crate::store::metadata::Stage;
use crate::store::snapshot::{LoadError, Records};
use crate::store::tasks::Sum;
use crate::store::{Client, Departed, Granted, Mount, Task};
use crate::types::{
    ClientId, Epoch, HomeId, Instant, SegmentId, SegmentSpec, TaskId, TaskStatus, TransferKind, WallTime,
    limits,
};

const TERM: u8 = 16;
const CLIENT: u8 = 17;
const MOUNT: u8 = 18;
const DEPARTED: u8 = 19;
const TASK: u8 = 20;
const METADATA: u8 = 21;
const GRANTED: u8 = 22;

impl SegmentTable {
    /// Writes all that is replicated of it.
    pub(in crate::store) fn write_records(&self, out: &mut Records) {
        out.add(TERM, |out| out.extend_from_slice(&self.term.0.to_le_bytes()));
        for client in self.clients.values() {
            out.add(CLIENT, |out| {
                put_uuid(out, client.id.0);
                put_pos(out, client.since);
                out.push(u8::from(client.ok));
                put_bytes(out, client.host.as_bytes());
            });
        }
        for mount in self.mounts.values() {
            out.add(MOUNT, |out| {
                put_pos(out, mount.uid.0);
                put_uuid(out, mount.client.0);
                put_segment(out, &mount.segment);
                out.extend_from_slice(&[u8::from(mount.held), u8::from(mount.grace_ms.is_some())]);
                out.extend_from_slice(&mount.grace_ms.unwrap_or(0).to_le_bytes());
            });
        }
        for departed in self.departed.values() {
            out.add(DEPARTED, |out| {
                put_pos(out, departed.uid.0);
                put_segment(out, &departed.segment);
            });
        }
        for (uid, granted) in self.grants.all() {
            out.add(GRANTED, |out| {
                put_pos(out, uid.0);
                put_pos(out, granted.at);
                put_ranges(out, &granted.open);
                put_ranges(out, &granted.quarantined);
            });
        }
        for task in self.tasks.all() {
            out.add(TASK, |out| put_task(out, task));
        }
        for (stage, key, index, bytes) in self.metadata.parts() {
            out.add(METADATA, |out| {
                out.push(stage as u8);
                put_bytes(out, key);
                out.extend_from_slice(&(index as u16).to_le_bytes());
                put_bytes(out, bytes);
            });
        }
    }

    /// Adds one record; returns its digest term.
    pub(in crate::store) fn read_record(&mut self, r: &mut Reader<'_>) -> Result<u128, LoadError> {
        let twice = LoadError::Misfit(HomeId::SEGMENTS, "comes twice");
        match r.u8("record tag")? {
            TERM => {
                self.term = Epoch(r.u64("term")?);
                Ok(0)
            }
            CLIENT => {
                let mut client = Client::new(ClientId(r.uuid("client")?), r.pos("client position")?);
                client.ok = r.bool("client ok")?;
                r.text("host", limits::ENDPOINT_BYTES_MAX)?.clone_into(&mut client.host);
                let term = self.digester.client(&client);
                if self.clients.insert(client.id, client).is_some() { Err(twice) } else { Ok(term) }
            }
            MOUNT => self.read_mount(r),
            DEPARTED => {
                let (uid, segment) = (r.mount()?, Arc::new(segment(r)?));
                let departed = Departed { uid, segment, due: None };
                let term = self.digester.departed(&departed);
                if self.departed.insert(uid, departed).is_some() { Err(twice) } else { Ok(term) }
            }
            TASK => {
                let task = task(r)?;
                let mut sum = Sum { digester: self.digester, digest: 0 };
                if self.tasks.restore(task, &mut sum) { Ok(sum.digest) } else { Err(twice) }
            }
            METADATA => self.read_metadata(r),
            GRANTED => self.read_granted(r),
            n => Err(bad("record tag", n.into(), "16 to 22 in the segment table").into()),
        }
    }

    fn read_metadata(&mut self, r: &mut Reader<'_>) -> Result<u128, LoadError> {
        let stage = if r.bool("metadata stage")? { Stage::Draft } else { Stage::Value };
        let (key, index) = (metadata_codec::key(r)?, metadata_codec::index(r)?);
        let bytes = r.bytes_up_to(limits::METADATA_PART_BYTES_MAX, "metadata part")?;
        if !self.metadata.restore(stage, key, index, bytes) {
            return Err(LoadError::Misfit(HomeId::SEGMENTS, "is not the next part of its value"));
        }
        Ok(self.digester.metadata((stage, key, index.into(), bytes)))
    }

    fn read_granted(&mut self, r: &mut Reader<'_>) -> Result<u128, LoadError> {
        let misfit = |what| LoadError::Misfit(HomeId::SEGMENTS, what);
        let (uid, at) = (r.mount()?, r.pos("grant")?);
        let granted = Granted { at, open: r.ranges()?, quarantined: r.ranges()? };
        let size = self.mounts.get(&uid).ok_or(misfit("names a mount that is not there"))?.segment.size;
        if granted.ranges().next().is_none() || self.grants.of(uid).is_some() {
            return Err(misfit("comes twice, or says nothing"));
        }
        let mut term = 0;
        let kept = self.grants.replace((uid, size), granted, self.digester, &mut term);
        kept.map_err(|_| misfit("names bytes twice, or bytes that the mount does not have"))?;
        Ok(term)
    }

    fn read_mount(&mut self, r: &mut Reader<'_>) -> Result<u128, LoadError> {
        let misfit = |what| LoadError::Misfit(HomeId::SEGMENTS, what);
        let (uid, client) = (r.mount()?, ClientId(r.uuid("client")?));
        let segment = segment(r)?;
        let held = r.bool("held")?;
        let (given, grace_ms) = (r.bool("grace period given")?, r.u64("grace period")?);
        if !given && grace_ms != 0 {
            return Err(bad("grace period", grace_ms, "0 when none is given").into());
        }
        let mut mount = Mount::new(uid, client, Arc::new(segment), held);
        mount.grace_ms = given.then_some(grace_ms);
        let owner = self.clients.get_mut(&client).ok_or(misfit("names a client that is not there"))?;
        owner.mounts.insert(uid);
        if self.by_id.insert(mount.segment.id, uid).is_some() {
            return Err(misfit("names a segment that is mounted already"));
        }
        if mount.is_open() {
            self.pools.open(&mount);
        }
        let term = self.digester.mount(&mount);
        if self.mounts.insert(uid, mount).is_some() { Err(misfit("comes twice")) } else { Ok(term) }
    }
}

fn put_segment(out: &mut Vec<u8>, s: &SegmentSpec) {
    put_uuid(out, s.id.0);
    out.extend_from_slice(&s.base.to_le_bytes());
    out.extend_from_slice(&s.size.to_le_bytes());
    for text in [&s.name, &s.te_endpoint, &s.protocol, &s.host_id] {
        put_bytes(out, text.as_bytes());
    }
}

fn segment(r: &mut Reader<'_>) -> Result<SegmentSpec, DecodeError> {
    let id = SegmentId(r.uuid("segment id")?);
    let (base, size) = (r.u64("base")?, r.u64("size")?);
    if base == 0 || size == 0 || base.checked_add(size).is_none() {
        return Err(bad("segment size", size, "an address range"));
    }
    Ok(SegmentSpec {
        id,
        base,
        size,
        name: r.text("segment name", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
        te_endpoint: r.text("te_endpoint", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
        protocol: r.text("protocol", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
        host_id: r.text("host_id", limits::ENDPOINT_BYTES_MAX)?.to_owned(),
    })
}

fn put_task(out: &mut Vec<u8>, t: &Task) {
    put_pos(out, t.id.0);
    out.extend_from_slice(&[t.kind as u8, t.status as u8]);
    put_uuid(out, t.client.0);
    put_bytes(out, &t.key);
    put_bytes(out, t.source.as_bytes());
    out.push(t.targets.len() as u8);
    for target in &t.targets {
        put_bytes(out, target.as_bytes());
    }
    out.extend_from_slice(&t.created.0.to_le_bytes());
    out.extend_from_slice(&t.updated.0.to_le_bytes());
    put_pos(out, t.changed);
    put_bytes(out, t.message.as_bytes());
}

fn task(r: &mut Reader<'_>) -> Result<Task, DecodeError> {
    let id = TaskId(r.pos("task id")?);
    let kind = match r.u8("task kind")? {
        0 => TransferKind::Copy,
        1 => TransferKind::Move,
        n => return Err(bad("task kind", n.into(), "0 or 1")),
    };
    let code = r.u8("task status")?;
    let status = TaskStatus::from_code(code).ok_or(bad("task status", code.into(), "a status"))?;
    let (client, key) = (ClientId(r.uuid("client")?), r.key()?.into());
    let source = r.text("source segment", limits::ENDPOINT_BYTES_MAX)?.into();
    let n = r.u8("number of targets")?;
    let targets = (0..n)
        .map(|_| Ok(r.text("target segment", limits::ENDPOINT_BYTES_MAX)?.into()))
        .collect::<Result<_, DecodeError>>()?;
    let (created, updated) = (WallTime(r.u64("task time")?), WallTime(r.u64("task time")?));
    let changed = r.pos("task change")?;
    let message = r.text("task message", limits::TASK_MESSAGE_BYTES_MAX)?.into();
    let begun = Instant(0);
    Ok(Task { id, kind, status, client, key, source, targets, created, updated, changed, message, begun })
}

fn bad(field: &'static str, value: u64, expected: &'static str) -> DecodeError {
    DecodeError::Field { field, value, expected }
}
