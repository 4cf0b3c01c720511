//! What a primary does for a standby that needs a copy of the state.

use std::sync::Arc;

use super::super::copies::Copies;
use super::super::dump::{CopyProgress, Dump, HomeSet};
use super::super::frames::{CopyFrame, CopyRequest, FullSyncReason, Start, StreamRefusal, Welcome};
use super::{Primary, PrimaryAction};
use crate::store::CopySession;
use crate::types::{ConnId, CopyId, Instant, LogPos, NodeId};

impl Primary {
    /// Only a copy that is in no record may be thrown away (PROTOCOL I6).
    pub(super) fn order_full_sync(&self, copy: CopyId, why: FullSyncReason) -> Start {
        if self.isr.contains_key(&copy) && !mutant!(IsrKeptOverFullSync) {
            return Start::Refused(StreamRefusal::OnRecord);
        }
        Start::FullSync(why)
    }

    /// Begins to copy the state for a standby, or goes on with it (PROTOCOL S5).
    pub(super) fn copy_asked(
        &mut self,
        now: Instant,
        conn: ConnId,
        request: CopyRequest,
        out: &mut Vec<PrimaryAction>,
    ) {
        let CopyRequest { hello, resume } = request;
        if hello.cluster == self.me.cluster.as_str() && hello.max_epoch > self.epoch {
            self.copy_welcome(conn, Start::Refused(StreamRefusal::Deposed), out);
            out.push(PrimaryAction::StepDown(hello.max_epoch));
            return;
        }
        let on_record = self.isr.contains_key(&hello.copy).then_some(StreamRefusal::OnRecord);
        if let Some(refusal) = self.stranger(&hello).or(on_record) {
            self.copy_welcome(conn, Start::Refused(refusal), out);
            return out.push(PrimaryAction::Close(conn, "no copy is given"));
        }
        self.drop_former_streams(&hello.node, out);
        if let Some((session, has)) = resume {
            let Some(copying) = self.copies.find(&hello.node, hello.copy, session) else {
                self.copy_welcome(conn, Start::FullSync(FullSyncReason::Unsealed), out);
                return out.push(PrimaryAction::Close(conn, "the copying is over"));
            };
            let former = copying.conn.replace(conn);
            out.extend(former.map(|c| PrimaryAction::Close(c, "connected anew")));
            let (resume, progress) = (copying.resume, Arc::clone(&copying.progress));
            return self.copy((conn, hello.node), session, resume, (&has, progress), out);
        }
        // The tail is read and pinned before the first home is locked: what is
        // appended from now on is replayed, what was appended is in the homes.
        let resume = self.log.last();
        let (node, who) = (hello.node, (hello.copy, hello.address));
        let copying = self.copies.begin(now, self.epoch, &node, who, resume);
        copying.conn = Some(conn);
        let (session, progress) = (copying.session, Arc::clone(&copying.progress));
        self.pin();
        self.copy((conn, node), session, resume, (&HomeSet::default(), progress), out);
    }

    fn copy(
        &self,
        (conn, node): (ConnId, NodeId),
        session: CopySession,
        resume: LogPos,
        (has, progress): (&HomeSet, Arc<CopyProgress>),
        out: &mut Vec<PrimaryAction>,
    ) {
        self.copy_welcome(conn, Start::Copy(session.number), out);
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        let dump = Dump::new(store, log, session, resume, has, progress);
        out.push(PrimaryAction::Copy(conn, node, Box::new(dump)));
    }

    fn copy_welcome(&self, conn: ConnId, start: Start, out: &mut Vec<PrimaryAction>) {
        let welcome = Welcome { epoch: self.epoch, node: self.me.node.clone(), copy: self.me.copy, start };
        out.push(PrimaryAction::SendCopy(conn, CopyFrame::Welcome(welcome)));
    }

    /// Nothing is trimmed that an in-sync standby or a running copying needs,
    /// but a copying is given up rather than let the log grow beyond its bound
    /// (PROTOCOL S7).
    pub(super) fn pin(&mut self) -> Vec<ConnId> {
        let members = self.isr.values().map(|m| m.matched).min().filter(|_| !mutant!(IsrKeptOverFullSync));
        let copying = |copies: &Copies| copies.pin().filter(|_| !mutant!(TrimmedUnderCopy));
        let needed = |copies: &Copies| members.into_iter().chain(copying(copies)).min();
        self.log.pin(needed(&self.copies));
        if !self.log.marks().is_over || mutant!(CopyingWithoutBound) {
            return Vec::new();
        }
        let aborted = self.copies.abort();
        self.log.pin(needed(&self.copies));
        aborted
    }
}
