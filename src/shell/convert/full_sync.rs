//! Messages of the full sync, to and from the wire.

use standfast_kernel::replication::{CopyEnd, CopyFrame, CopyRequest, FullSyncReason, HomeSet, Start};
use standfast_kernel::store::CopySession;
use standfast_kernel::types::{BadValue, Epoch, LogPos, Seq, limits};
use standfast_proto::v1;
use v1::full_sync_frame::Frame as F;

use super::{
    bad, epoch, hello_from_wire, hello_to_wire, pos_from_wire, pos_to_wire, seq, welcome_from_wire,
    welcome_to_wire,
};

pub(in crate::shell) fn request_to_wire(request: CopyRequest) -> v1::FullSyncRequest {
    v1::FullSyncRequest {
        hello: Some(hello_to_wire(request.hello)),
        resume: request.resume.map(|(session, homes)| v1::CopyResume {
            session: Some(session_to_wire(session)),
            homes: homes.to_bytes().into(),
        }),
    }
}

pub(in crate::shell) fn request_from_wire(request: v1::FullSyncRequest) -> Result<CopyRequest, BadValue> {
    let hello = request.hello.ok_or_else(|| bad("full sync request", &"empty", "a hello"))?;
    let resume = request.resume.map(|r| {
        let homes = HomeSet::from_bytes(&r.homes);
        let homes = homes.ok_or_else(|| bad("homes", &r.homes.len(), "129 bytes, a bit for each home"))?;
        Ok::<_, BadValue>((session_from_wire(r.session.as_ref())?, homes))
    });
    Ok(CopyRequest { hello: hello_from_wire(hello)?, resume: resume.transpose()? })
}

pub(in crate::shell) fn copy_to_wire(frame: CopyFrame) -> v1::FullSyncFrame {
    let frame = match frame {
        CopyFrame::Welcome(w) => F::Welcome(welcome_to_wire(w)),
        CopyFrame::Chunk(chunk) => F::Chunk(chunk),
        CopyFrame::End(end) => F::End(v1::CopyEnd {
            session: Some(session_to_wire(end.session)),
            resume: Some(end.resume).filter(|p| *p != LogPos::NONE).map(pos_to_wire),
            epochs: epochs_to_wire(&end.epochs),
        }),
    };
    v1::FullSyncFrame { frame: Some(frame) }
}

pub(in crate::shell) fn copy_from_wire(frame: v1::FullSyncFrame) -> Result<CopyFrame, BadValue> {
    let frame = frame.frame.ok_or_else(|| bad("full sync frame", &"empty", "welcome, chunk or end"))?;
    Ok(match frame {
        F::Welcome(w) => CopyFrame::Welcome(welcome_from_wire(w)?),
        F::Chunk(chunk) => CopyFrame::Chunk(chunk),
        F::End(end) => CopyFrame::End(CopyEnd {
            session: session_from_wire(end.session.as_ref())?,
            resume: end.resume.as_ref().map_or(LogPos::NONE, pos_from_wire),
            epochs: epochs_from_wire(&end.epochs)?,
        }),
    })
}

pub(super) fn session_to_wire(session: CopySession) -> v1::CopySession {
    v1::CopySession { epoch: session.epoch.0, number: session.number }
}

pub(super) fn session_from_wire(session: Option<&v1::CopySession>) -> Result<CopySession, BadValue> {
    let session = session.ok_or_else(|| bad("copy session", &"none", "an epoch and a number"))?;
    Ok(CopySession { epoch: epoch(session.epoch)?, number: session.number })
}

pub(super) fn needed_to_wire(why: FullSyncReason) -> v1::FullSyncNeeded {
    use v1::FullSyncReason as R;
    let text = why.to_string();
    let (reason, epochs, tail) = match why {
        FullSyncReason::Empty(trim) => (R::Empty, Vec::new(), trim.0),
        FullSyncReason::Unsealed => (R::Unsealed, Vec::new(), 0),
        FullSyncReason::Diverged { epochs, tail } => (R::Diverged, epochs_to_wire(&epochs), tail.0),
        FullSyncReason::Trimmed(trim) => (R::Trimmed, Vec::new(), trim.0),
        FullSyncReason::Quarantined => (R::Quarantined, Vec::new(), 0),
        FullSyncReason::Other(_) => (R::Unspecified, Vec::new(), 0),
    };
    v1::FullSyncNeeded { reason: reason.into(), text, epochs, at: tail }
}

pub(super) fn needed_from_wire(needed: v1::FullSyncNeeded) -> Result<Start, BadValue> {
    use v1::FullSyncReason as R;
    let at = |what| seq(needed.at, what);
    Ok(Start::FullSync(match R::try_from(needed.reason) {
        Ok(R::Empty) => FullSyncReason::Empty(at("trim")?),
        Ok(R::Unsealed) => FullSyncReason::Unsealed,
        Ok(R::Diverged) => {
            FullSyncReason::Diverged { epochs: epochs_from_wire(&needed.epochs)?, tail: at("tail")? }
        }
        Ok(R::Trimmed) => FullSyncReason::Trimmed(at("trim")?),
        Ok(R::Quarantined) => FullSyncReason::Quarantined,
        Ok(R::Unspecified) | Err(_) => FullSyncReason::Other(needed.text),
    }))
}

fn epochs_to_wire(epochs: &[(Epoch, Seq)]) -> Vec<v1::EpochStart> {
    epochs.iter().map(|(epoch, first)| v1::EpochStart { epoch: epoch.0, first_seq: first.0 }).collect()
}

fn epochs_from_wire(epochs: &[v1::EpochStart]) -> Result<Vec<(Epoch, Seq)>, BadValue> {
    if epochs.len() > limits::COPY_EPOCHS_MAX {
        return Err(bad("number of epochs", &epochs.len(), "no more than COPY_EPOCHS_MAX"));
    }
    epochs.iter().map(|e| Ok((epoch(e.epoch)?, seq(e.first_seq, "first seq of an epoch")?))).collect()
}
