//! How far the copies are proved equal.

use standfast_kernel::replication::{MismatchNote, RecountView, VerifyView};
use standfast_kernel::types::{Instant, Seq, WallTime};
use standfast_proto::v1;

use super::ms;

/// A standby's part: it compares.
pub(super) fn of_standby(v: &VerifyView, applied: Seq, at: Instant, taken: WallTime) -> v1::Verification {
    let verified = v.verified.map(|upto| upto.min(applied));
    v1::Verification {
        verified: verified.map(|upto| upto.0),
        last_success_age_ms: v.last_success.map(ms),
        last_run_duration_ms: v.cycle.map(ms),
        lag_entries: verified.map(|upto| applied.since(upto)),
        paused: v.paused.is_some(),
        homes_equal: Some(v.homes_equal.saturating_sub(v.homes_unequal)),
        homes_unequal: Some(v.homes_unequal),
        homes_inconclusive: Some(v.looking_at.saturating_sub(v.homes_unequal)),
        mismatched_keys: Some(v.mismatched_keys),
        ranges: counters([("equal", v.equal), ("unequal", v.unequal), ("inconclusive", v.inconclusive)]),
        mismatches: counters(v.kinds.iter().copied()),
        repairs: counters([
            ("repaired", v.repaired),
            ("digest", v.digests_reset),
            ("full_sync", v.overwrites),
        ]),
        recent: v.recent.iter().map(|m| mismatch(m, at, taken)).collect(),
        recount_age_ms: v.recount.age.map(ms),
        recount_equal: v.recount.age.map(|_| v.recount.damaged.is_empty()),
    }
}

/// A primary's part: it counts its own memory.
pub(super) fn of_primary(recount: &RecountView) -> v1::Verification {
    v1::Verification {
        recount_age_ms: recount.age.map(ms),
        recount_equal: recount.age.map(|_| recount.damaged.is_empty()),
        ..v1::Verification::default()
    }
}

fn counters(all: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<v1::Counter> {
    let counter = |(name, value): (&str, u64)| v1::Counter { label: name.to_owned(), value };
    all.into_iter().map(counter).collect()
}

fn mismatch(m: &MismatchNote, at: Instant, taken: WallTime) -> v1::Mismatch {
    let unix = |then: Instant| taken.0.saturating_sub(at.since(then).as_micros() as u64) as i64;
    v1::Mismatch {
        home: m.home.index() as u32,
        key: Some(m.difference.name.clone().into()),
        kind: m.difference.kind.name().to_owned(),
        text: m.difference.to_string(),
        found_unix_us: unix(m.found),
        repaired_unix_us: m.repaired.map(unix),
        seq: Some(m.at.seq),
    }
}
