//! What a standby does with an order for a full sync, and with what comes then.

use super::super::frames::{CopyFrame, FullSyncReason, Start, StreamRefusal, Welcome};
use super::super::receive::CopyFault;
use super::{Link, Standby, StandbyAction};
use crate::oplog::codec::decode;
use crate::oplog::{OpLogManager, split_entries};
use crate::store::CopySession;
use crate::types::{Instant, Seq, limits};

/// Entries of a divergent suffix that are named one by one.
const SUFFIX_NAMED: usize = 8;

impl Standby {
    pub(super) fn refused(&mut self, now: Instant, why: &StreamRefusal, out: &mut Vec<StandbyAction>) {
        if *why == StreamRefusal::Detached {
            self.record = None;
        }
        self.blocked(now, why.to_string(), out);
    }

    /// The primary orders a full sync: this copy is in no record (PROTOCOL I6).
    /// What it holds is thrown away, and with it the name of this copy.
    pub(super) fn replace(&mut self, now: Instant, why: FullSyncReason, out: &mut Vec<StandbyAction>) {
        let text = format!("needs a full sync: {why}");
        if let FullSyncReason::Diverged { epochs, tail } = &why {
            let from = self.log.common_end(epochs, *tail);
            out.push(StandbyAction::Diverged(suffix(&self.log, from)));
        }
        if self.why_not.as_deref() != Some(&text) {
            out.push(StandbyAction::NotStreamed(text.clone()));
        }
        self.why_not = Some(text.clone());
        if self.receive.discard(why) {
            let old = self.me.copy;
            self.verify.discarded(now);
            self.me.copy = if mutant!(WipeSameInc) { old } else { old.successor() };
            self.record = None;
            self.equal_at = None;
            self.quarantine.clear();
            self.unapplied = None;
            out.push(StandbyAction::Discarded { old, new: self.me.copy, why: text.clone() });
            self.again(now);
        } else {
            self.down(now);
        }
        out.push(StandbyAction::Hangup(text));
    }

    /// What this node holds is thrown away, whatever it is, and nothing takes its place.
    pub(super) fn discard(&mut self, now: Instant, out: &mut Vec<StandbyAction>) {
        let old = self.me.copy;
        self.receive.empty();
        self.verify.discarded(now);
        self.me.copy = old.successor();
        (self.record, self.primary, self.equal_at, self.unapplied) = (None, None, None, None);
        self.quarantine.clear();
        let why = "an operator starts this node empty".to_owned();
        out.push(StandbyAction::Discarded { old, new: self.me.copy, why });
        self.down(now);
        out.push(StandbyAction::Hangup("starts empty".into()));
    }

    /// The next connection is due soon: the last one said what to do.
    fn again(&mut self, now: Instant) {
        self.verify.disconnected(now);
        self.link = Link::Down { retry_at: now.plus(limits::DIAL_BACKOFF_MIN / 50) };
    }

    pub(super) fn copy_frame(&mut self, now: Instant, frame: CopyFrame, out: &mut Vec<StandbyAction>) {
        let Link::Copying { .. } = self.link else { return };
        self.heard = Some(now);
        let done = match frame {
            CopyFrame::Welcome(w) => return self.copy_welcome(now, w, out),
            CopyFrame::Chunk(bytes) => self.receive.chunk(&bytes).map(|()| false),
            CopyFrame::End(end) => self.receive.end(end).map(|()| true),
        };
        match done {
            Ok(false) => self.failures = 0,
            Ok(true) => {
                self.why_not = None;
                self.again(now);
                out.push(StandbyAction::Hangup("all homes have come".into()));
                self.seal(now, out);
            }
            Err(fault) => self.copy_fault(now, &fault, out),
        }
    }

    fn copy_welcome(&mut self, now: Instant, w: Welcome, out: &mut Vec<StandbyAction>) {
        if let Err(why) = self.adopt(&w) {
            return self.blocked(now, why, out);
        }
        match w.start {
            Start::Copy(number) => {
                let session = CopySession { epoch: w.epoch, number };
                match self.receive.begin(now, session) {
                    Ok(()) => self.why_not = None,
                    Err(fault) => self.copy_fault(now, &fault, out),
                }
            }
            // The copying that this one was part of is over.
            Start::FullSync(why) => self.replace(now, why, out),
            Start::Refused(why) => self.refused(now, &why, out),
            Start::Stream(_) => self.blocked(now, "entries were offered instead of homes".into(), out),
        }
    }

    fn copy_fault(&mut self, now: Instant, fault: &CopyFault, out: &mut Vec<StandbyAction>) {
        self.blocked(now, format!("the copy of the primary's state cannot be used: {fault}"), out);
    }

    /// Makes the copy one that may be admitted, as soon as it is. Homes that do not
    /// fit together are the primary's own: another copy of them would be no better
    /// before the primary has removed what overlaps, so it is asked ever less often.
    pub(super) fn seal(&mut self, now: Instant, out: &mut Vec<StandbyAction>) {
        match self.receive.seal() {
            None => {}
            Some(Ok(())) => {
                self.misfits = 0;
                out.push(StandbyAction::Sealed(self.applier.applied()));
            }
            Some(Err(bad)) => {
                let doubled = limits::MISFIT_PAUSE_MIN.saturating_mul(1 << self.misfits.min(16));
                let pause = doubled.min(limits::MISFIT_PAUSE_MAX);
                self.misfits = self.misfits.saturating_add(1);
                let why = format!(
                    "the homes that were copied do not fit together: {bad}; they are asked for again in {} s",
                    pause.as_secs()
                );
                self.replace(now, FullSyncReason::Other(why), out);
                self.link = Link::Down { retry_at: now.plus(pause) };
            }
        }
    }
}

/// The entries of this log from `from` on, as a sentence.
fn suffix(log: &OpLogManager, from: Seq) -> String {
    let (last, tail) = (log.last(), log.tail());
    let mut named = Vec::new();
    let held = log.get_entries_since(from, SUFFIX_NAMED, usize::MAX / 2);
    for bytes in held.iter().flat_map(|batch| split_entries(&batch.entries)) {
        let Ok(Ok(entry)) = bytes.map(decode) else { break };
        let key = entry.op.key().map_or(String::new(), |k| format!(" {}", k.escape_ascii()));
        named.push(format!("{} {}{key}", entry.pos.seq, entry.op.kind().name()));
    }
    let rest = tail.since(from).saturating_sub(named.len() as u64);
    let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
    format!(
        "{} entries of this copy, {from} to {}, are not in the primary's log and will be discarded: {}{more}",
        tail.since(from),
        last.seq,
        named.join(", ")
    )
}
