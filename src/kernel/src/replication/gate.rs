//! The gate that every answer passes, last thing before its bytes are queued
//! (PROTOCOL 5).

use crate::types::{AckMode, Epoch, Instant, Seq};

/// When this primary may answer. A value: recomputed on every event, read by
/// every reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// The epoch that answers belong to.
    pub epoch: Epoch,
    /// Not before this: its own last grant to an earlier primary (PROTOCOL G4).
    pub serve_at: Instant,
    /// Until then every in-sync standby has promised to let nobody else speak.
    /// [`Instant::MAX`] without standbys.
    pub rights_until: Instant,
    /// This machine may have stopped without its clock: requests are taken in, and no answer leaves before each
    /// right is confirmed anew (PROTOCOL 1).
    pub doubted: bool,
    /// Every required copy has applied everything before it.
    pub commit: Seq,
    /// When replies may go out.
    pub ack: AckMode,
    /// How far writes may go on.
    pub admission: Admission,
}

/// Until when writes are let in. Judged before anything is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The log holds as much as it may, because an in-sync standby needs it.
    pub full: bool,
    /// A hand-over is under way: its successor lets them in.
    pub closed: bool,
    /// Fewer standbys grant than are demanded (PROTOCOL I8).
    pub degraded: bool,
    /// Exclusive: the log's tail may come to here.
    pub tail_max: Seq,
    /// Not after this: the oldest entry that an in-sync standby lacks is too old then.
    pub until: Instant,
}

impl Admission {
    /// Nothing is in the way.
    pub const OPEN: Self =
        Self { full: false, closed: false, degraded: false, tail_max: Seq(u64::MAX), until: Instant::MAX };
}

impl Gate {
    /// True when answers may leave.
    #[must_use]
    pub fn may_answer(&self, now: Instant) -> bool {
        self.holds_answers(now).is_none()
    }

    /// Why no answer leaves at this moment, whether or not requests are taken in; `None` when answers do.
    #[must_use]
    pub fn holds_answers(&self, now: Instant) -> Option<&'static str> {
        let doubt = "the wall clock has leapt ahead: answers wait until every promise is confirmed anew";
        self.refuses_answers(now).or(self.doubted.then_some(doubt))
    }

    /// Why nothing may be answered at this moment (PROTOCOL G4, G5); `None` when it may.
    #[must_use]
    pub fn refuses_answers(&self, now: Instant) -> Option<&'static str> {
        if now < self.serve_at && !mutant!(NoGrantWait) {
            return Some("its term begins: it waits until its own last promise to the old primary is over");
        }
        let late = now >= self.rights_until && !mutant!(NoGrants);
        late.then_some("an in-sync standby has not renewed its promise, nor the coordinator the lease where it needs one")
    }

    /// Why no write may be let in at this moment; `None` when one may.
    #[must_use]
    pub fn refuses_writes(&self, tail: Seq, now: Instant) -> Option<&'static str> {
        let Admission { full, closed, degraded, tail_max, until } = self.admission;
        if closed {
            return Some("this primary hands over to a standby: ask again at once");
        }
        if degraded {
            return Some(
                "fewer standbys are in sync than --min-insync demands, and --degrade strict takes no write \
                 then; `standfast status` names who is missing",
            );
        }
        if full {
            return Some(
                "the log is full of entries that an in-sync standby lacks; `standfast status` names it",
            );
        }
        let behind = tail >= tail_max || now >= until;
        behind
            .then_some("an in-sync standby lacks as much as a failover may lose; `standfast status` names it")
    }

    /// The exclusive mark up to which replies may leave, given the log's tail.
    #[must_use]
    pub fn commit_for(&self, byte_critical: bool, tail: Seq) -> Seq {
        match self.ack {
            AckMode::Sync if mutant!(TailIsCommit) => tail,
            AckMode::Async if !byte_critical => tail,
            AckMode::Sync | AckMode::Async => self.commit,
        }
    }

    /// True when a reply that depends on everything before `depends_on` is safe.
    #[must_use]
    pub fn committed(&self, depends_on: Seq, byte_critical: bool, tail: Seq) -> bool {
        depends_on <= self.commit_for(byte_critical, tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(ack: AckMode) -> Gate {
        Gate {
            epoch: Epoch(1),
            serve_at: Instant(100),
            rights_until: Instant(200),
            doubted: false,
            commit: Seq(5),
            ack,
            admission: Admission::OPEN,
        }
    }

    #[test]
    fn answers_only_between_serve_at_and_the_end_of_the_grants() {
        let g = gate(AckMode::Sync);
        let open: Vec<bool> = [99, 100, 199, 200].map(|t| g.may_answer(Instant(t))).to_vec();
        assert_eq!(open, [false, true, true, false]);
    }

    #[test]
    fn writes_are_let_in_up_to_the_bounds() {
        let admission = Admission { tail_max: Seq(9), until: Instant(150), ..Admission::OPEN };
        let open = Gate { admission, ..gate(AckMode::Async) };
        assert_eq!(open.refuses_writes(Seq(8), Instant(149)), None);
        let full = Gate { admission: Admission { full: true, ..admission }, ..open };
        let closed = Gate { admission: Admission { closed: true, ..admission }, ..open };
        let degraded = Gate { admission: Admission { degraded: true, ..admission }, ..open };
        let shut = [(full, 8, 149), (closed, 8, 149), (degraded, 8, 149)];
        for (gate, tail, now) in [(open, 9, 149), (open, 8, 150)].into_iter().chain(shut) {
            assert!(gate.refuses_writes(Seq(tail), Instant(now)).is_some());
        }
    }

    #[test]
    fn async_waits_only_for_what_moves_bytes() {
        let cases = [
            (AckMode::Sync, false, false),
            (AckMode::Sync, true, false),
            (AckMode::Async, false, true),
            (AckMode::Async, true, false),
        ];
        for (ack, critical, leaves) in cases {
            assert_eq!(gate(ack).committed(Seq(6), critical, Seq(9)), leaves, "{ack} {critical}");
            assert!(gate(ack).committed(Seq(5), critical, Seq(9)));
        }
    }
}
