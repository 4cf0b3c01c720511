//! The standby's side of a full sync (plan: `ReceiveFullDump`): from a copy
//! that cannot be continued to one that is a prefix of the primary's log.
//!
//! ```text
//! sealed ─discard─▶ wanted ─first chunk─▶ receiving ─last home─▶ replaying ─▶ sealed
//! ```
//!
//! Each home is a moment of itself, later than the moment at which the log was
//! pinned. Replay from there skips, home by home, what is in already. When it
//! has passed the latest of the homes' positions they form one prefix of the
//! log: the copy is *sealed*, and what joins homes is derived, once.

use std::sync::Arc;

use bytes::Bytes;

use super::dump::HomeSet;
use super::frames::{CopyEnd, FullSyncReason};
use super::view::CopyView;
use crate::oplog::OpLogManager;
use crate::store::{AuditError, Chunk, CopySession, LoadError, MetadataStore};
use crate::types::{Epoch, HomeId, Instant, LogPos, Seq, limits};

/// How whole a copy of the state is.
#[derive(Debug)]
pub(super) struct Receive {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    phase: Phase,
    /// Copies received since the process started.
    sealed_copies: u32,
}

#[derive(Debug)]
enum Phase {
    /// The homes form one prefix of the log.
    Sealed,
    /// Empty, and a copy of the primary's state is wanted.
    Wanted(FullSyncReason),
    /// Homes come in.
    Receiving(Homes),
    /// All homes are in; entries follow up to the latest home's position.
    Replaying { session: CopySession, sealed_at: LogPos, begun: Instant, bytes: u64 },
}

#[derive(Debug)]
struct Homes {
    session: CopySession,
    done: HomeSet,
    /// The home that is coming, its next part, and the sum of its terms.
    open: Option<(HomeId, u32, u128)>,
    /// Highest position among the homes.
    sealed_at: LogPos,
    begun: Instant,
    bytes: u64,
}

/// Why what came cannot be used. The connection ends; the copying may go on
/// with the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CopyFault {
    #[error("a chunk of copying {found} in epoch {epoch}, expected one of {expected:?}")]
    OtherSession { found: u64, epoch: Epoch, expected: Option<CopySession> },
    #[error("{home} part {part} is not what was due")]
    Order { home: HomeId, part: u32 },
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("{home} has digest {found:032x}, the primary's {expected:032x}")]
    Digest { home: HomeId, found: u128, expected: u128 },
    #[error("the copying ended with {0} of {max} homes", max = limits::HOMES)]
    Incomplete(usize),
    #[error("the log behind entry {0} cannot begin its epochs so")]
    Epochs(LogPos),
}

impl Receive {
    pub(super) fn new(store: Arc<MetadataStore>, log: OpLogManager) -> Self {
        Self { store, log, phase: Phase::Sealed, sealed_copies: 0 }
    }

    /// True when the homes form one prefix of the log (PROTOCOL S6).
    pub(super) fn is_sealed(&self) -> bool {
        match self.phase {
            Phase::Sealed => true,
            Phase::Replaying { .. } => mutant!(NoSeal),
            Phase::Wanted(_) | Phase::Receiving(_) => false,
        }
    }

    /// True when entries are replayed into homes that are not one prefix yet.
    pub(super) fn is_replaying(&self) -> bool {
        matches!(self.phase, Phase::Replaying { .. }) && !mutant!(NoSeal)
    }

    /// True when homes are to be asked for, not entries.
    pub(super) fn wants_homes(&self) -> bool {
        matches!(self.phase, Phase::Wanted(_) | Phase::Receiving(_))
    }

    /// What a Hello says of a copy that is not sealed.
    pub(super) fn unsealed(&self) -> Option<(CopySession, LogPos)> {
        match &self.phase {
            Phase::Replaying { session, .. } if !self.is_sealed() => Some((*session, self.log.last())),
            Phase::Sealed | Phase::Wanted(_) | Phase::Receiving(_) | Phase::Replaying { .. } => None,
        }
    }

    /// What has come already, for a request that goes on with it.
    pub(super) fn resume(&self) -> Option<(CopySession, HomeSet)> {
        match &self.phase {
            Phase::Receiving(homes) if homes.session.number > 0 => Some((homes.session, homes.done.clone())),
            Phase::Sealed | Phase::Wanted(_) | Phase::Receiving(_) | Phase::Replaying { .. } => None,
        }
    }

    /// Throws the copy away. True when there was something to throw away, which
    /// is then no longer what its copy id named (PROTOCOL I6).
    pub(super) fn discard(&mut self, why: FullSyncReason) -> bool {
        if let (true, Phase::Receiving(homes)) = (mutant!(FsSessionsMix), &mut self.phase) {
            // Asks for a new copying, and keeps what came.
            homes.session.number = 0;
            return false;
        }
        let untouched = matches!(self.phase, Phase::Sealed) && self.log.last() == LogPos::NONE;
        let fresh = untouched || matches!(self.phase, Phase::Wanted(_));
        self.phase = Phase::Wanted(why);
        if !fresh {
            self.store.clear();
            self.log.restart(Vec::new(), LogPos::NONE);
        }
        !fresh
    }

    /// Throws everything away; an empty copy is whole.
    pub(super) fn empty(&mut self) {
        self.phase = Phase::Sealed;
        self.store.clear();
        self.log.restart(Vec::new(), LogPos::NONE);
    }

    /// The primary begins a copying, or goes on with one.
    pub(super) fn begin(&mut self, now: Instant, session: CopySession) -> Result<(), CopyFault> {
        match &mut self.phase {
            Phase::Wanted(_) => {
                let done = HomeSet::default();
                self.phase = Phase::Receiving(Homes {
                    session,
                    done,
                    open: None,
                    sealed_at: LogPos::NONE,
                    begun: now,
                    bytes: 0,
                });
                Ok(())
            }
            Phase::Receiving(homes) if homes.session == session || mutant!(FsSessionsMix) => {
                homes.session = session;
                // A home that was cut comes again from its first part on.
                homes.open = None;
                Ok(())
            }
            Phase::Sealed | Phase::Receiving(_) | Phase::Replaying { .. } => {
                let expected = self.resume().map(|(session, _)| session);
                Err(CopyFault::OtherSession { found: session.number, epoch: session.epoch, expected })
            }
        }
    }

    /// Takes a chunk in.
    pub(super) fn chunk(&mut self, bytes: &Bytes) -> Result<(), CopyFault> {
        let chunk = Chunk::decode(bytes).map_err(LoadError::from)?;
        let expected = self.resume().map(|(session, _)| session);
        let Phase::Receiving(homes) = &mut self.phase else {
            return Err(CopyFault::OtherSession {
                found: chunk.session.number,
                epoch: chunk.session.epoch,
                expected,
            });
        };
        if chunk.session != homes.session {
            return Err(CopyFault::OtherSession {
                found: chunk.session.number,
                epoch: chunk.session.epoch,
                expected,
            });
        }
        if homes.done.contains(chunk.home) && mutant!(FsSessionsMix) {
            return Ok(());
        }
        let (sum, due) = match homes.open.take() {
            Some((home, part, sum)) => (sum, home == chunk.home && part == chunk.part),
            None => (0, chunk.part == 0 && !homes.done.contains(chunk.home)),
        };
        if !due {
            return Err(CopyFault::Order { home: chunk.home, part: chunk.part });
        }
        let sum = sum.wrapping_add(self.store.load(&chunk)?);
        homes.bytes += bytes.len() as u64;
        if !chunk.last {
            homes.open = Some((chunk.home, chunk.part + 1, sum));
            return Ok(());
        }
        if sum != chunk.mark.digest {
            return Err(CopyFault::Digest { home: chunk.home, found: sum, expected: chunk.mark.digest });
        }
        self.store.settle(chunk.home, chunk.mark);
        homes.done.insert(chunk.home);
        if chunk.mark.last.seq > homes.sealed_at.seq {
            homes.sealed_at = chunk.mark.last;
        }
        Ok(())
    }

    /// All homes were sent: the own log goes on where the copying began.
    pub(super) fn end(&mut self, end: CopyEnd) -> Result<(), CopyFault> {
        let expected = self.resume().map(|(session, _)| session);
        let homes = match &self.phase {
            Phase::Receiving(homes) if homes.session == end.session => homes,
            Phase::Sealed | Phase::Wanted(_) | Phase::Receiving(_) | Phase::Replaying { .. } => {
                let CopySession { epoch, number } = end.session;
                return Err(CopyFault::OtherSession { found: number, epoch, expected });
            }
        };
        if homes.done.len() < limits::HOMES {
            return Err(CopyFault::Incomplete(homes.done.len()));
        }
        if !begins_so(&end.epochs, end.resume) {
            return Err(CopyFault::Epochs(end.resume));
        }
        let (sealed_at, begun, bytes) = (homes.sealed_at, homes.begun, homes.bytes);
        self.phase = Phase::Replaying { session: end.session, sealed_at, begun, bytes };
        self.log.restart(end.epochs, end.resume);
        if mutant!(NoSeal) || mutant!(IncrementalBeforeSeal) {
            let _ = self.store.derive();
        }
        Ok(())
    }

    /// Whether the homes form one prefix of the log since the last entry; then
    /// what joins them is derived. `None` when there is nothing to tell.
    pub(super) fn seal(&mut self) -> Option<Result<(), AuditError>> {
        let Phase::Replaying { sealed_at, .. } = &self.phase else { return None };
        if self.log.tail() <= Seq(sealed_at.seq) {
            return None;
        }
        let incremental = mutant!(IncrementalBeforeSeal) || mutant!(NoSeal);
        let derived = if incremental { Ok(()) } else { self.store.derive() };
        if derived.is_ok() {
            self.phase = Phase::Sealed;
            self.sealed_copies += 1;
        }
        Some(derived)
    }

    /// What operators see of it; `None` while the copy is sealed.
    pub(super) fn view(&self, now: Instant) -> Option<CopyView> {
        let homes_total = limits::HOMES as u64;
        let view = |what, done, total, elapsed, bytes| CopyView { what, done, total, elapsed, bytes };
        match &self.phase {
            Phase::Sealed => None,
            Phase::Wanted(why) => {
                let what = format!("waits for a copy of the primary's state, because {why}");
                Some(view(what, 0, homes_total, None, 0))
            }
            Phase::Receiving(h) => {
                let elapsed = Some(now.since(h.begun));
                Some(view("receives homes".into(), h.done.len() as u64, homes_total, elapsed, h.bytes))
            }
            Phase::Replaying { sealed_at, begun, bytes, .. } => {
                let what = format!("replays up to entry {}, the latest that a home holds", sealed_at.seq);
                Some(view(what, homes_total, homes_total, Some(now.since(*begun)), *bytes))
            }
        }
    }

    /// Copies received since the process started.
    pub(super) fn sealed_copies(&self) -> u32 {
        self.sealed_copies
    }
}

/// True when a log may begin its epochs so and end with this entry.
fn begins_so(epochs: &[(Epoch, Seq)], last: LogPos) -> bool {
    let ascending = epochs.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1);
    match epochs.last() {
        None => last == LogPos::NONE,
        Some((epoch, first)) => {
            let starts = epochs.first().is_some_and(|(_, first)| first.0 > 0);
            ascending && starts && *epoch == last.epoch && first.0 <= last.seq && last.seq < u64::MAX / 2
        }
    }
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
