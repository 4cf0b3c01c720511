//! Messages of verification, to and from the wire.

use standfast_kernel::replication::{
    Beacon, BeaconFrame, MismatchEntry, VerificationAsk, VerificationEntry, VerificationOutcome,
    VerificationRequest, VerificationResponse,
};
use standfast_kernel::store::{DifferenceKind, HomeMark};
use standfast_kernel::types::{BadValue, HomeId, LogPos};
use standfast_proto::v1;
use v1::verification_request::Ask as A;
use v1::verification_response::Outcome as O;

use super::{bad, epoch, pos_to_wire, seq};

/// Buckets, entries and mismatches of one message.
const ITEMS_MAX: usize = 4096;

pub(super) fn beacons_to_wire(frame: &BeaconFrame) -> v1::Beacons {
    let homes = frame.beacons.iter().map(|b| mark_to_wire(b.home, b.mark, b.damaged));
    v1::Beacons { epoch: frame.epoch.0, tail: frame.tail.0, homes: homes.collect() }
}

pub(super) fn beacons_from_wire(frame: v1::Beacons) -> Result<BeaconFrame, BadValue> {
    bounded("beacons", frame.homes.len())?;
    let beacon = |m: v1::HomeMark| {
        let (home, mark, damaged) = mark_from_wire(&m)?;
        Ok(Beacon { home, mark, damaged })
    };
    let beacons = frame.homes.into_iter().map(beacon).collect::<Result<_, BadValue>>()?;
    Ok(BeaconFrame { epoch: epoch(frame.epoch)?, tail: seq(frame.tail, "tail")?, beacons })
}

pub(in crate::shell) fn question_to_wire(request: VerificationRequest) -> v1::VerificationRequest {
    let ask = match request.ask {
        VerificationAsk::Verified(upto) => A::Verified(upto.0),
        VerificationAsk::Sample { home, at, range, entries } => A::Sample(v1::SampleQuestion {
            home: home.index() as u32,
            at: pos(at),
            start: range.0,
            span: range.1,
            entries: entries.iter().map(entry_to_wire).collect(),
        }),
        VerificationAsk::Sums(home) => A::Sums(home.index() as u32),
        VerificationAsk::Image(home, buckets) => {
            A::Image(v1::ImageQuestion { home: home.index() as u32, buckets })
        }
    };
    v1::VerificationRequest {
        id: request.id,
        epoch: request.epoch.0,
        applied: request.applied.0,
        ask: Some(ask),
    }
}

pub(in crate::shell) fn question_from_wire(
    request: v1::VerificationRequest,
) -> Result<VerificationRequest, BadValue> {
    let ask = request.ask.ok_or_else(|| bad("verification request", &"empty", "a question"))?;
    let ask = match ask {
        A::Verified(upto) => VerificationAsk::Verified(seq(upto, "verified")?),
        A::Sample(q) => {
            bounded("entries", q.entries.len())?;
            let entries = q.entries.iter().map(entry_from_wire).collect::<Result<_, _>>()?;
            let (at, range) = (position(q.at.as_ref())?, (q.start, q.span));
            VerificationAsk::Sample { home: home(q.home)?, at, range, entries }
        }
        A::Sums(index) => VerificationAsk::Sums(home(index)?),
        A::Image(q) => VerificationAsk::Image(home(q.home)?, q.buckets),
    };
    let (epoch, applied) = (epoch(request.epoch)?, seq(request.applied, "applied")?);
    Ok(VerificationRequest { id: request.id, epoch, applied, ask })
}

pub(in crate::shell) fn answer_to_wire(answer: VerificationResponse) -> v1::VerificationResponse {
    let outcome = match answer.outcome {
        VerificationOutcome::Same => O::Same(true),
        VerificationOutcome::Mismatches(found) => {
            O::Mismatches(v1::Mismatches { entries: found.into_iter().map(mismatch_to_wire).collect() })
        }
        VerificationOutcome::Sums(sums) => {
            O::Sums(v1::BucketSums { sums: sums.iter().map(digest_to_wire).collect() })
        }
        VerificationOutcome::Image(buckets, chunks) => O::Image(v1::HomeImage { buckets, chunks }),
        VerificationOutcome::Inconclusive => O::Inconclusive(true),
        VerificationOutcome::NeedFullSync(why) => O::NeedFullSync(why),
    };
    v1::VerificationResponse {
        id: answer.id,
        epoch: answer.epoch.0,
        home: Some(mark_to_wire(answer.home, answer.mark, answer.damaged)),
        outcome: Some(outcome),
    }
}

pub(super) fn answer_from_wire(answer: v1::VerificationResponse) -> Result<VerificationResponse, BadValue> {
    let mark = answer.home.ok_or_else(|| bad("verification response", &"without home", "a home"))?;
    let (home, mark, damaged) = mark_from_wire(&mark)?;
    let outcome = answer.outcome.ok_or_else(|| bad("verification response", &"empty", "an outcome"))?;
    let outcome = match outcome {
        O::Same(_) => VerificationOutcome::Same,
        O::Mismatches(found) => {
            bounded("mismatches", found.entries.len())?;
            let found = found.entries.into_iter().map(mismatch_from_wire).collect::<Result<_, _>>()?;
            VerificationOutcome::Mismatches(found)
        }
        O::Sums(sums) => {
            bounded("sums", sums.sums.len())?;
            let sums = sums.sums.iter().map(|s| digest_from_wire(s)).collect::<Result<_, _>>()?;
            VerificationOutcome::Sums(sums)
        }
        O::Image(image) => VerificationOutcome::Image(image.buckets, image.chunks),
        O::Inconclusive(_) => VerificationOutcome::Inconclusive,
        O::NeedFullSync(why) => VerificationOutcome::NeedFullSync(why),
    };
    Ok(VerificationResponse { id: answer.id, epoch: epoch(answer.epoch)?, home, mark, damaged, outcome })
}

fn mismatch_to_wire(m: MismatchEntry) -> v1::MismatchEntry {
    v1::MismatchEntry {
        prefix_hash: m.prefix_hash,
        kind: m.kind.name().to_owned(),
        keys: m.keys.into_iter().map(Into::into).collect(),
        checksum: m.checksum.as_ref().map(digest_to_wire),
        data: m.data,
    }
}

fn mismatch_from_wire(m: v1::MismatchEntry) -> Result<MismatchEntry, BadValue> {
    let kind = DifferenceKind::ALL.into_iter().find(|k| k.name() == m.kind);
    Ok(MismatchEntry {
        prefix_hash: m.prefix_hash,
        kind: kind.ok_or_else(|| bad("kind of mismatch", &m.kind, "missing, extra or field"))?,
        keys: m.keys.into_iter().map(Into::into).collect(),
        checksum: m.checksum.as_deref().map(digest_from_wire).transpose()?,
        data: m.data,
    })
}

fn entry_to_wire(e: &VerificationEntry) -> v1::VerificationEntry {
    v1::VerificationEntry { prefix_hash: e.prefix_hash, checksum: digest_to_wire(&e.checksum) }
}

fn entry_from_wire(e: &v1::VerificationEntry) -> Result<VerificationEntry, BadValue> {
    Ok(VerificationEntry { prefix_hash: e.prefix_hash, checksum: digest_from_wire(&e.checksum)? })
}

fn mark_to_wire(home: HomeId, mark: HomeMark, damaged: bool) -> v1::HomeMark {
    let digest = digest_to_wire(&mark.digest);
    v1::HomeMark { home: home.index() as u32, last: pos(mark.last), digest, damaged }
}

fn mark_from_wire(m: &v1::HomeMark) -> Result<(HomeId, HomeMark, bool), BadValue> {
    let last = position(m.last.as_ref())?;
    Ok((home(m.home)?, HomeMark { last, digest: digest_from_wire(&m.digest)? }, m.damaged))
}

fn pos(at: LogPos) -> Option<v1::LogPos> {
    Some(at).filter(|at| *at != LogPos::NONE).map(pos_to_wire)
}

/// Of an entry that can be; absent before the first one.
fn position(at: Option<&v1::LogPos>) -> Result<LogPos, BadValue> {
    let Some(at) = at else { return Ok(LogPos::NONE) };
    Ok(LogPos::new(epoch(at.epoch)?, seq(at.seq, "position")?))
}

fn digest_to_wire(digest: &u128) -> bytes::Bytes {
    digest.to_le_bytes().to_vec().into()
}

fn digest_from_wire(bytes: &[u8]) -> Result<u128, BadValue> {
    let array = bytes.try_into().map_err(|_| bad("digest", &bytes.len(), "16 bytes"))?;
    Ok(u128::from_le_bytes(array))
}

fn home(index: u32) -> Result<HomeId, BadValue> {
    HomeId::from_index(index as usize).ok_or_else(|| bad("home", &index, "0 to 1024"))
}

fn bounded(what: &'static str, n: usize) -> Result<(), BadValue> {
    if n > ITEMS_MAX { Err(bad(what, &n, "at most 4096")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
