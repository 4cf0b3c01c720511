//! How far the copies are proved equal.

use standfast_kernel::replication::{MismatchNote, RecountView, VerifyView};
use standfast_kernel::types::{Instant, NodeId, Seq, WallTime};
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
        paused_reason: v.paused.map(str::to_owned),
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
        recount_equal: agrees(&v.recount),
    }
}

/// A primary's part: it counts its own memory.
pub(super) fn of_primary(recount: &RecountView) -> v1::Verification {
    v1::Verification {
        recount_age_ms: recount.age.map(ms),
        recount_equal: agrees(recount),
        ..v1::Verification::default()
    }
}

/// What to do about a copy that differs, on the standby `me`. A damaged primary is replaced by a copy that is what its
/// digests say; whether there is another such copy, or the primary is to be believed, the page helps to decide.
pub(super) fn cure(v: &VerifyView, me: &NodeId) -> String {
    if v.primary_damaged.is_empty() {
        "standfast verify repair".to_owned()
    } else if agrees(&v.recount) == Some(true) {
        format!("standfast switchover --to {me}")
    } else {
        "standfast runbook MemoryDamaged".to_owned()
    }
}

/// Whether memory and digests agree. Damage is known at once; that there is none, after a whole walk.
fn agrees(recount: &RecountView) -> Option<bool> {
    if recount.damaged.is_empty() { recount.age.map(|_| true) } else { Some(false) }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use standfast_kernel::types::HomeId;

    use super::*;

    #[test]
    fn damage_is_told_before_the_first_walk_ends_and_wholeness_after_it() {
        let ended = Some(Duration::from_millis(7));
        let damaged = vec![HomeId::SEGMENTS];
        for (age, damaged, equal) in [
            (None, vec![], None),
            (None, damaged.clone(), Some(false)),
            (ended, damaged, Some(false)),
            (ended, vec![], Some(true)),
        ] {
            let recount = RecountView { age, damaged, ..RecountView::default() };
            assert_eq!(of_primary(&recount).recount_equal, equal, "{recount:?}");
            let view = VerifyView { recount, ..VerifyView::default() };
            let told = of_standby(&view, Seq(9), Instant(0), WallTime(0));
            assert_eq!((told.recount_equal, told.recount_age_ms), (equal, age.map(ms)));
        }
    }

    #[test]
    fn a_damaged_primary_is_replaced_by_a_copy_that_is_what_its_digests_say() {
        let me: NodeId = "b".parse().expect("a name");
        let counted = |damaged| RecountView { age: Some(Duration::ZERO), damaged, ..RecountView::default() };
        let primary_damaged = vec![HomeId::SEGMENTS];
        for (primary_damaged, recount, text) in [
            (vec![], counted(vec![]), "standfast verify repair"),
            (primary_damaged.clone(), counted(vec![]), "standfast switchover --to b"),
            (primary_damaged.clone(), counted(vec![HomeId::SEGMENTS]), "standfast runbook MemoryDamaged"),
            (primary_damaged, RecountView::default(), "standfast runbook MemoryDamaged"),
        ] {
            let view = VerifyView { primary_damaged, recount, ..VerifyView::default() };
            assert_eq!(cure(&view, &me), text, "{view:?}");
        }
    }

    #[test]
    fn why_nothing_is_compared_is_told() {
        let of = |paused| {
            let view = VerifyView { paused, ..VerifyView::default() };
            let told = of_standby(&view, Seq(9), Instant(0), WallTime(0));
            (told.paused, told.paused_reason)
        };
        assert_eq!(of(None), (false, None));
        assert_eq!(of(Some("it is switched off")), (true, Some("it is switched off".to_owned())));
    }
}
