//! Replication frames between the kernel's types and the contract's. Nothing
//! from a peer is trusted: a field that cannot be is named.

mod full_sync;
mod verify;

use std::time::Duration;

use standfast_kernel::oplog::Batch;
use standfast_kernel::replication::{
    Ack, BatchFrame, Hello, InSyncRecord, PrimaryFrame, StandbyFrame, Start, StreamRefusal, Welcome,
};
use standfast_kernel::types::{AckMode, BadValue, CopyId, Epoch, LogPos, NodeId, Seq};
use standfast_proto::v1;
use v1::primary_frame::Frame as P;
use v1::standby_frame::Frame as S;

pub(super) use full_sync::{copy_from_wire, copy_to_wire, request_from_wire, request_to_wire};
pub(super) use verify::{answer_to_wire, question_from_wire};

pub(super) fn standby_to_wire(frame: StandbyFrame) -> v1::StandbyFrame {
    let frame = match frame {
        StandbyFrame::Verify(request) => S::Verify(verify::question_to_wire(request)),
        StandbyFrame::Hello(h) => S::Hello(hello_to_wire(h)),
        StandbyFrame::Ack(a) => S::Ack(v1::Ack {
            copy: copy_id_to_wire(a.copy),
            epoch: a.epoch.0,
            matched: a.matched.0,
            token: a.token,
            grant_micros: a.grant_us,
            received: a.matched.0,
            applied: a.matched.0,
            verified: None,
            quarantined: u64::from(a.quarantined),
            sealed: a.sealed,
            // Of no interest to the machines: added by who sends it.
            batch_received_ns: None,
            sent_ns: None,
        }),
    };
    v1::StandbyFrame { frame: Some(frame) }
}

fn hello_to_wire(h: Hello) -> v1::Hello {
    v1::Hello {
        node: h.node.to_string(),
        copy: copy_id_to_wire(h.copy),
        last: h.last.filter(|l| *l != LogPos::NONE).map(pos_to_wire),
        empty: h.last == Some(LogPos::NONE),
        max_epoch: h.max_epoch.0,
        protocol_version: h.version,
        shard_hash: h.shard_hash,
        cluster_id: h.cluster,
        grpc_addr: h.address,
        quarantined: h.quarantined,
        unsealed: h.unsealed.map(|(session, last)| v1::Unsealed {
            session: Some(full_sync::session_to_wire(session)),
            last: Some(last).filter(|l| *l != LogPos::NONE).map(pos_to_wire),
        }),
    }
}

fn hello_from_wire(h: v1::Hello) -> Result<Hello, BadValue> {
    let unsealed = h.unsealed.map(|u| {
        let session = full_sync::session_from_wire(u.session.as_ref())?;
        Ok::<_, BadValue>((session, u.last.as_ref().map_or(LogPos::NONE, pos_from_wire)))
    });
    Ok(Hello {
        cluster: h.cluster_id,
        node: h.node.parse()?,
        copy: copy_id_from_wire(&h.copy)?,
        last: match (h.last, h.empty) {
            (Some(last), _) => Some(pos_from_wire(&last)),
            (None, true) => Some(LogPos::NONE),
            (None, false) => None,
        },
        quarantined: h.quarantined,
        unsealed: unsealed.transpose()?,
        max_epoch: epoch(h.max_epoch)?,
        version: h.protocol_version,
        shard_hash: h.shard_hash,
        address: h.grpc_addr,
    })
}

fn welcome_to_wire(w: Welcome) -> v1::Welcome {
    v1::Welcome {
        node: w.node.to_string(),
        epoch: w.epoch.0,
        copy: copy_id_to_wire(w.copy),
        start: Some(start_to_wire(w.start, w.epoch)),
    }
}

fn welcome_from_wire(w: v1::Welcome) -> Result<Welcome, BadValue> {
    Ok(Welcome {
        epoch: epoch(w.epoch)?,
        node: w.node.parse()?,
        copy: copy_id_from_wire(&w.copy)?,
        start: start_from_wire(w.start.ok_or_else(|| bad("welcome", &"empty", "a start"))?)?,
    })
}

pub(super) fn standby_from_wire(frame: v1::StandbyFrame) -> Result<StandbyFrame, BadValue> {
    Ok(match frame.frame.ok_or_else(|| bad("standby frame", &"empty", "hello or ack"))? {
        S::Verify(request) => StandbyFrame::Verify(question_from_wire(request)?),
        S::Hello(h) => StandbyFrame::Hello(hello_from_wire(h)?),
        S::Ack(a) => StandbyFrame::Ack(Ack {
            copy: copy_id_from_wire(&a.copy)?,
            epoch: epoch(a.epoch)?,
            matched: seq(a.matched, "matched")?,
            token: a.token,
            grant_us: a.grant_micros,
            quarantined: u32::try_from(a.quarantined).unwrap_or(u32::MAX),
            sealed: a.sealed,
        }),
        S::Refused(r) => return Err(bad("standby frame", &r.text, "hello or ack")),
    })
}

pub(super) fn primary_to_wire(frame: PrimaryFrame) -> v1::PrimaryFrame {
    let frame = match frame {
        PrimaryFrame::Beacons(frame) => P::Beacons(verify::beacons_to_wire(&frame)),
        PrimaryFrame::Verified(answer) => P::Verified(answer_to_wire(answer)),
        PrimaryFrame::Welcome(w) => P::Welcome(welcome_to_wire(w)),
        PrimaryFrame::Batch(b) => P::Batch(v1::Batch {
            epoch: b.epoch.0,
            prev: Some(b.batch.prev).filter(|p| *p != LogPos::NONE).map(pos_to_wire),
            token: b.token,
            commit_known: b.commit.0,
            count: b.batch.count,
            entries: b.batch.entries,
            tail: b.tail.0,
            trim: b.trim.0,
            in_sync: b.record.map(record_to_wire),
            drained_us: b.drained.map(|d| d.as_micros() as u64),
            // Of no interest to the machines: added by who sends it.
            trace: None,
            traced: Vec::new(),
        }),
    };
    v1::PrimaryFrame { frame: Some(frame) }
}

pub(super) fn primary_from_wire(frame: v1::PrimaryFrame) -> Result<PrimaryFrame, BadValue> {
    Ok(match frame.frame.ok_or_else(|| bad("primary frame", &"empty", "welcome or batch"))? {
        P::Beacons(frame) => PrimaryFrame::Beacons(verify::beacons_from_wire(frame)?),
        P::Verified(answer) => PrimaryFrame::Verified(verify::answer_from_wire(answer)?),
        P::Welcome(w) => PrimaryFrame::Welcome(welcome_from_wire(w)?),
        P::Batch(b) => PrimaryFrame::Batch(BatchFrame {
            epoch: epoch(b.epoch)?,
            batch: Batch {
                prev: b.prev.as_ref().map_or(LogPos::NONE, pos_from_wire),
                count: b.count,
                entries: b.entries,
            },
            token: b.token,
            commit: seq(b.commit_known, "commit_known")?,
            tail: seq(b.tail, "tail")?,
            trim: seq(b.trim, "trim")?,
            record: b.in_sync.map(record_from_wire).transpose()?,
            drained: b.drained_us.map(Duration::from_micros),
        }),
    })
}

fn start_to_wire(start: Start, epoch: Epoch) -> v1::welcome::Start {
    use v1::welcome::Start as W;
    match start {
        Start::Stream(from) => W::StreamFrom(from.0),
        Start::FullSync(why) => W::FullSyncNeeded(full_sync::needed_to_wire(why)),
        Start::Copy(number) => W::CopySession(v1::CopySession { epoch: epoch.0, number }),
        Start::Refused(why) => {
            let reason = match &why {
                StreamRefusal::NotPrimary => v1::RefusedReason::NotPrimary,
                StreamRefusal::Deposed => v1::RefusedReason::StaleEpoch,
                StreamRefusal::Cluster(_) => v1::RefusedReason::ClusterId,
                StreamRefusal::Version => v1::RefusedReason::ProtocolVersion,
                StreamRefusal::TooMany => v1::RefusedReason::TooMany,
                StreamRefusal::Detached => v1::RefusedReason::Detached,
                StreamRefusal::OnRecord => v1::RefusedReason::OnRecord,
                StreamRefusal::Other(_) => v1::RefusedReason::BadFrame,
            };
            let refused = v1::Refused {
                reason: reason.into(),
                text: why.to_string(),
                epoch: epoch.0,
                primary_addr: None,
            };
            W::Refused(refused)
        }
    }
}

fn start_from_wire(start: v1::welcome::Start) -> Result<Start, BadValue> {
    use v1::welcome::Start as W;
    Ok(match start {
        W::StreamFrom(from) => Start::Stream(seq(from, "stream_from")?),
        W::FullSyncNeeded(f) => full_sync::needed_from_wire(f)?,
        W::CopySession(session) => Start::Copy(session.number),
        W::Refused(r) => Start::Refused(match v1::RefusedReason::try_from(r.reason) {
            Ok(v1::RefusedReason::NotPrimary) => StreamRefusal::NotPrimary,
            Ok(v1::RefusedReason::StaleEpoch) => StreamRefusal::Deposed,
            Ok(v1::RefusedReason::Detached) => StreamRefusal::Detached,
            // The text names the cluster between backticks.
            Ok(v1::RefusedReason::ClusterId) => {
                StreamRefusal::Cluster(r.text.split('`').nth(1).unwrap_or_default().to_owned())
            }
            Ok(v1::RefusedReason::ProtocolVersion) => StreamRefusal::Version,
            Ok(v1::RefusedReason::TooMany) => StreamRefusal::TooMany,
            Ok(v1::RefusedReason::OnRecord) => StreamRefusal::OnRecord,
            _ => StreamRefusal::Other(r.text),
        }),
    })
}

fn record_to_wire(r: InSyncRecord) -> v1::InSyncRecord {
    let members = r.members.into_iter().map(|(copy, node)| v1::InSyncMember {
        copy: copy_id_to_wire(copy),
        node: node.to_string(),
        silent: r.silent.contains(&copy),
    });
    v1::InSyncRecord {
        revision: r.revision,
        members: members.collect(),
        ack_mode: ack_to_wire(r.ack).into(),
        min_insync: r.min_insync,
        read_ttl_max_ms: r.read_ttl_max.as_millis() as u64,
    }
}

fn record_from_wire(r: v1::InSyncRecord) -> Result<InSyncRecord, BadValue> {
    let member = |m: v1::InSyncMember| Ok((copy_id_from_wire(&m.copy)?, m.node.parse::<NodeId>()?));
    let silent = r.members.iter().filter(|m| m.silent).map(|m| copy_id_from_wire(&m.copy));
    Ok(InSyncRecord {
        revision: r.revision,
        silent: silent.collect::<Result<_, BadValue>>()?,
        min_insync: r.min_insync,
        members: r.members.into_iter().map(member).collect::<Result<_, BadValue>>()?,
        ack: match v1::AckMode::try_from(r.ack_mode) {
            Ok(v1::AckMode::Sync) => AckMode::Sync,
            Ok(v1::AckMode::Async) => AckMode::Async,
            Ok(v1::AckMode::Unspecified) | Err(_) => {
                return Err(bad("ack_mode", &r.ack_mode, "sync or async"));
            }
        },
        read_ttl_max: Duration::from_millis(r.read_ttl_max_ms),
    })
}

pub(super) fn ack_to_wire(ack: AckMode) -> v1::AckMode {
    match ack {
        AckMode::Sync => v1::AckMode::Sync,
        AckMode::Async => v1::AckMode::Async,
    }
}

fn pos_to_wire(pos: LogPos) -> v1::LogPos {
    v1::LogPos { epoch: pos.epoch.0, seq: pos.seq }
}

fn pos_from_wire(pos: &v1::LogPos) -> LogPos {
    LogPos { epoch: Epoch(pos.epoch), seq: pos.seq }
}

fn copy_id_to_wire(copy: CopyId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&copy.0.to_be_bytes())
}

fn copy_id_from_wire(bytes: &[u8]) -> Result<CopyId, BadValue> {
    let exact = bytes.try_into().map_err(|_| bad("copy", &bytes.len(), "16 bytes"))?;
    Ok(CopyId(u128::from_be_bytes(exact)))
}

fn seq(value: u64, what: &'static str) -> Result<Seq, BadValue> {
    if value == 0 || value > u64::MAX / 2 { Err(bad(what, &value, "a seq from 1")) } else { Ok(Seq(value)) }
}

/// Epochs grow by one each time; one near the end of the range is no epoch.
fn epoch(value: u64) -> Result<Epoch, BadValue> {
    if value > u64::MAX / 2 {
        Err(bad("epoch", &value, "one that was counted up to"))
    } else {
        Ok(Epoch(value))
    }
}

fn bad(what: &'static str, value: &dyn ToString, expected: &'static str) -> BadValue {
    BadValue { what, value: value.to_string().chars().take(80).collect(), expected }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
