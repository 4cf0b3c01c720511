//! Which of a client's writes an end or a revoke is about (SEMANTICS R21).

use super::call::Call;
use crate::oplog::Op;
use crate::store::Homes;
use crate::types::{ClientId, Instant, Seq};

impl Call<'_> {
    /// Records that the key's unfinished write is about to lose its object.
    pub(super) fn abandon(&mut self, homes: &mut Homes<'_>, key: &[u8], due: Instant) {
        let Some(client) = homes.object(key).map(|o| o.writer) else { return };
        if mutant!(AttemptsForgot) {
            return;
        }
        let (own, op) = (homes.own, Op::Abandon { key, client });
        let pos = self.master.log_and_apply(self.wall, own, homes.shard(own), &op);
        self.wrote(pos);
        homes.shard(own).attempts_mut().set_due(Seq(pos.seq), self.master.epoch, due);
    }

    /// True when what this client says about the key is about an earlier write
    /// that was preempted: then that one is resolved, and the present one untouched.
    pub(super) fn charge(&mut self, homes: &mut Homes<'_>, key: &[u8], client: ClientId) -> bool {
        let own = homes.own;
        let shard = homes.shard(own);
        self.depend(shard.mark().applied());
        let Some(since) = shard.attempts().oldest(own, key, client) else { return false };
        let op = Op::Resolve { key, since };
        let pos = self.master.log_and_apply(self.wall, own, homes.shard(own), &op);
        self.wrote(pos);
        true
    }
}
