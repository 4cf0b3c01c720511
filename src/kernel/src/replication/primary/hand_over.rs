//! What a hand-over asks of the primary: to let no more in, to wait until the
//! target holds everything, and to fall silent (PROTOCOL T7).

use std::time::Duration;

use super::{Peer, Primary, PrimaryAction};
use crate::coordination::IsrMember;
use crate::types::{ConnId, CopyId, Instant, NodeId};

/// How far a hand-over has closed this primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Not at all.
    Open,
    /// No write is let in any more; what was let in is still answered.
    Admission,
    /// Nothing is answered: from now on another may speak.
    Quiet,
}

/// How far it is closed, and since when.
#[derive(Debug)]
pub(super) struct Closed {
    how: Closing,
    /// When it let the last write in; of no meaning while it is open.
    since: Instant,
    /// Once it is silent: how long it had let no write in until then.
    pub(super) drained: Option<Duration>,
}

impl Closed {
    /// Not at all.
    pub(super) fn open() -> Self {
        Self { how: Closing::Open, since: Instant(0), drained: None }
    }

    pub(super) fn admits(&self) -> bool {
        self.how == Closing::Open
    }
}

impl Primary {
    /// Closes this primary, or opens it again. Standbys are told at once that it has fallen silent: the
    /// successor counts from there how long nobody answered, by its own clock.
    pub(super) fn close(&mut self, now: Instant, how: Closing, out: &mut Vec<PrimaryAction>) {
        let since = if self.closed.admits() { now } else { self.closed.since };
        let drained = (how == Closing::Quiet).then(|| now.since(since));
        self.closed = Closed { how, since, drained };
        if drained.is_some() {
            let conns: Vec<ConnId> = self.peers.keys().copied().collect();
            for conn in conns {
                self.send_batch(now, conn, 0, out);
            }
        }
    }

    /// Whom to hand over to: the standby of that name, or the one that is furthest.
    ///
    /// # Errors
    /// A code, and a sentence for people: why there is none.
    pub fn hand_over_target(
        &self,
        now: Instant,
        to: Option<&NodeId>,
    ) -> Result<IsrMember, (&'static str, String)> {
        let Some(record) = &self.on_record else {
            let text = "no coordinator keeps the record of who leads: an operator promotes the standby";
            return Err(("no_coordinator", text.to_owned()));
        };
        let granting = record.granting_members(self.me.copy);
        let fit = granting.filter(|m| to.is_none_or(|name| m.node == *name));
        let ready = fit.filter_map(|m| Some((self.ready_peer(now, m.copy)?, m)));
        let best = ready.max_by(|(a, m), (b, n)| (a.matched, &n.node).cmp(&(b.matched, &m.node)));
        best.map(|(_, member)| member.clone()).ok_or_else(|| {
            let who = to.map_or_else(|| "no standby is".to_owned(), |name| format!("{name} is not"));
            ("not_in_sync", format!("{who} in the in-sync set, connected and granting"))
        })
    }

    /// The connection of a copy that could lead at once.
    fn ready_peer(&self, now: Instant, copy: CopyId) -> Option<&Peer> {
        let ready = |p: &&Peer| p.hello.copy == copy && p.sealed && p.quarantined == 0 && p.grant_until > now;
        self.peers.values().find(ready)
    }

    /// True from the moment on from which another may speak.
    pub(super) fn is_quiet(&self) -> bool {
        self.closed.how == Closing::Quiet && !mutant!(HandOverNotQuiet)
    }

    /// True when this copy holds all that the log has, and all of it is committed.
    #[must_use]
    pub fn is_drained(&self, copy: CopyId) -> bool {
        let tail = self.log.tail();
        let holds_all = self.peers.values().any(|p| p.hello.copy == copy && p.matched == tail);
        (self.commit == tail && holds_all) || mutant!(HandOverLagging)
    }
}
