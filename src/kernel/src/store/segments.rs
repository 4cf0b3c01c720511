//! The segment table: which memory is lent, by whom, and who has said so.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tasks::{NewTask, Sum, TaskTable};
use super::{
    ApplyError, Client, Departed, Digester, Due, Effect, Effects, HomeMark, Mount, Pools, TransferMetadata,
};
use crate::oplog::Op;
use crate::types::{ClientId, Epoch, Instant, LogPos, MountUid, SegmentId, SegmentSpec, TaskId};

/// Home of mounts, clients, tasks, transfer metadata and the term record.
#[derive(Debug)]
pub struct SegmentTable {
    mounts: BTreeMap<MountUid, Mount>,
    departed: BTreeMap<MountUid, Departed>,
    clients: BTreeMap<ClientId, Client>,
    /// Live mounts by segment id. Derived.
    by_id: BTreeMap<SegmentId, MountUid>,
    /// Open mounts. Derived.
    pools: Pools,
    tasks: TaskTable,
    metadata: TransferMetadata,
    /// Epoch of the last term record.
    term: Epoch,
    mark: HomeMark,
    digester: Digester,
}

impl SegmentTable {
    pub(super) fn new(digester: Digester) -> Self {
        Self {
            mounts: BTreeMap::new(),
            departed: BTreeMap::new(),
            clients: BTreeMap::new(),
            by_id: BTreeMap::new(),
            pools: Pools::default(),
            tasks: TaskTable::default(),
            metadata: TransferMetadata::default(),
            term: Epoch(0),
            mark: HomeMark::default(),
            digester,
        }
    }

    /// Position and digest.
    #[must_use]
    pub fn mark(&self) -> HomeMark {
        self.mark
    }

    pub(super) fn mark_mut(&mut self) -> &mut HomeMark {
        &mut self.mark
    }

    /// Epoch of the last term record applied.
    #[must_use]
    pub fn term(&self) -> Epoch {
        self.term
    }

    /// All live mounts, in the order in which they were mounted.
    pub fn mounts(&self) -> impl ExactSizeIterator<Item = &Mount> {
        self.mounts.values()
    }

    /// The mount with this uid, if it lives.
    #[must_use]
    pub fn mount(&self, uid: MountUid) -> Option<&Mount> {
        let found = self.mounts.get(&uid);
        if found.is_none() && mutant!(SegidNotUid) {
            return self.mounted(self.departed.get(&uid)?.segment.id);
        }
        found
    }

    /// True while the mount lives: its replicas may be shown (PROTOCOL K2).
    #[must_use]
    pub fn is_live(&self, uid: MountUid) -> bool {
        self.mount(uid).is_some()
    }

    /// The live mount of this segment id.
    #[must_use]
    pub fn mounted(&self, id: SegmentId) -> Option<&Mount> {
        self.mounts.get(self.by_id.get(&id)?)
    }

    /// Dead mounts whose bytes still wait, oldest first.
    pub fn departed(&self) -> impl ExactSizeIterator<Item = &Departed> {
        self.departed.values()
    }

    /// All clients, in order of their identifiers.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = &Client> {
        self.clients.values()
    }

    /// The client with this identifier, if it is known.
    #[must_use]
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id)
    }

    /// Where replicas may be placed.
    #[must_use]
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// When this node ends the hold of a mount, or forgets a dead one; `None`
    /// when there is neither.
    #[must_use]
    pub fn hold_due(&self, uid: MountUid) -> Option<Due> {
        let held = self.mounts.get(&uid).filter(|m| m.held).map(Mount::hold_due);
        held.or_else(|| self.departed.get(&uid).map(Departed::due))
    }

    /// Sets when this node ends the hold of a mount, or forgets a dead one.
    pub fn set_hold_due(&mut self, uid: MountUid, due: Due) {
        if let Some(mount) = self.mounts.get_mut(&uid) {
            mount.hold_due = due;
        } else if let Some(departed) = self.departed.get_mut(&uid) {
            departed.due = due;
        }
    }

    /// Sets when this node unmounts a mount whose grace period has begun.
    pub fn set_grace_due(&mut self, uid: MountUid, due: Due) {
        if let Some(mount) = self.mounts.get_mut(&uid) {
            mount.grace_due = due;
        }
    }

    /// Copies and moves that clients carry out.
    #[must_use]
    pub fn tasks(&self) -> &TaskTable {
        &self.tasks
    }

    /// What transfer engines tell each other.
    #[must_use]
    pub fn metadata(&self) -> &TransferMetadata {
        &self.metadata
    }

    /// Notes when this primary changed a task.
    pub fn begin_task(&mut self, id: TaskId, now: Instant) {
        self.tasks.begin(id, now);
    }

    /// Applies one op; says what it does to the allocators.
    ///
    /// # Errors
    /// When the op does not fit; nothing is changed then.
    pub fn apply(&mut self, at: LogPos, op: &Op<'_>) -> Result<Effects, ApplyError> {
        let effects = match op {
            Op::TermStart { .. } => {
                self.term = at.epoch;
                Effects::new()
            }
            Op::MountSegment { client, segment, held } => self.insert(at, *client, segment, *held)?,
            Op::SegmentGone { mount } => self.gone(*mount)?,
            Op::ClientOk { client, host } => self.client_ok(at, *client, host),
            Op::ClientExpired { client } => self.expired(*client)?,
            Op::GracefulUnmount { mount, grace_ms } => self.graceful(*mount, *grace_ms)?,
            Op::HoldEnd { mount } => self.hold_end(*mount)?,
            Op::TaskCreate { kind, client, key, source, targets, wall } => {
                let (kind, client, wall) = (*kind, *client, *wall);
                let new = NewTask { kind, client, key, source, targets, wall };
                self.change_tasks(|tasks, sum| tasks.create(at, &new, sum));
                Effects::new()
            }
            Op::TaskFetch { tasks: ids, wall } => {
                self.change_tasks(|tasks, sum| tasks.fetch(at, ids, *wall, sum))?;
                Effects::new()
            }
            Op::TaskEnd { task, status, message, wall } => {
                self.change_tasks(|tasks, sum| tasks.end(at, *task, (*status, message, *wall), sum))?;
                Effects::new()
            }
            Op::TaskPrune { through } => {
                self.change_tasks(|tasks, sum| tasks.prune(*through, sum));
                Effects::new()
            }
            Op::MetadataPart { key, part, last, bytes } => {
                let (of, digester) = ((*key, *part, *last), self.digester);
                self.metadata.part(of, bytes, digester, &mut self.mark.digest)?;
                Effects::new()
            }
            Op::MetadataRemove { key } => {
                self.metadata.remove(key, self.digester, &mut self.mark.digest)?;
                Effects::new()
            }
            Op::PutStart { .. }
            | Op::PutEnd { .. }
            | Op::Remove { .. }
            | Op::Preempt { .. }
            | Op::Free { .. }
            | Op::Purge { .. }
            | Op::PutRevoke { .. }
            | Op::UpsertInPlace { .. }
            | Op::Clear { .. }
            | Op::DropReplica { .. }
            | Op::Abandon { .. }
            | Op::Resolve { .. }
            | Op::Evict { .. }
            | Op::Discard { .. }
            | Op::TransferStart { .. }
            | Op::TransferEnd { .. }
            | Op::TransferRevoke { .. } => {
                invariant!(false, "{} is not an op of the segment table", op.kind().name());
                Effects::new()
            }
        };
        self.mark.last = at;
        Ok(effects)
    }

    fn insert(
        &mut self,
        at: LogPos,
        client: ClientId,
        segment: &SegmentSpec,
        held: bool,
    ) -> Result<Effects, ApplyError> {
        let SegmentSpec { id, base, size, .. } = *segment;
        if self.by_id.contains_key(&id) {
            return Err(ApplyError::SegmentMounted(id));
        }
        if base == 0 || size == 0 || base.checked_add(size).is_none() {
            return Err(ApplyError::BadRange { base, size });
        }
        let uid = MountUid(at);
        let mount = Mount::new(uid, client, Arc::new(segment.clone()), held);
        self.add(self.digester.mount(&mount));
        self.known(at, client).mounts.insert(uid);
        if mount.is_open() {
            self.pools.open(&mount);
        }
        self.by_id.insert(id, uid);
        self.mounts.insert(uid, mount);
        Ok(smallvec::smallvec![Effect::Open(uid, size)])
    }

    /// The record of a client; a new one when it is not known.
    fn known(&mut self, at: LogPos, id: ClientId) -> &mut Client {
        let (digester, digest) = (self.digester, &mut self.mark.digest);
        self.clients.entry(id).or_insert_with(|| {
            let client = Client::new(id, at);
            *digest = digest.wrapping_add(digester.client(&client));
            client
        })
    }

    fn gone(&mut self, uid: MountUid) -> Result<Effects, ApplyError> {
        let owner = self.mounts.get(&uid).ok_or(ApplyError::NoMount(uid.0))?.client;
        self.depart(uid);
        if let Some(client) = self.clients.get_mut(&owner) {
            client.mounts.remove(&uid);
            if client.mounts.is_empty() && !client.ok {
                self.forget(owner);
            }
        }
        Ok(smallvec::smallvec![Effect::Close(uid)])
    }

    /// Moves a mount from the living to the dead.
    fn depart(&mut self, uid: MountUid) {
        let Some(mount) = self.mounts.remove(&uid) else { return };
        self.sub(self.digester.mount(&mount));
        self.by_id.remove(&mount.segment.id);
        self.pools.close(&mount);
        let departed = Departed { uid, segment: mount.segment, due: None };
        self.add(self.digester.departed(&departed));
        self.departed.insert(uid, departed);
    }

    fn forget(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.sub(self.digester.client(&client));
        }
    }

    fn client_ok(&mut self, at: LogPos, id: ClientId, host: &str) -> Effects {
        let digester = self.digester;
        let client = self.known(at, id);
        let before = digester.client(client);
        client.ok = true;
        host.clone_into(&mut client.host);
        let after = digester.client(client);
        self.sub(before);
        self.add(after);
        Effects::new()
    }

    fn expired(&mut self, id: ClientId) -> Result<Effects, ApplyError> {
        let client = self.clients.get(&id).ok_or(ApplyError::NoClient(id))?;
        let uids: Vec<MountUid> = client.mounts().collect();
        for uid in &uids {
            self.depart(*uid);
        }
        self.forget(id);
        Ok(uids.into_iter().map(Effect::Close).collect())
    }

    fn graceful(&mut self, uid: MountUid, grace_ms: u64) -> Result<Effects, ApplyError> {
        let digester = self.digester;
        let mount = self.mounts.get_mut(&uid).ok_or(ApplyError::NoMount(uid.0))?;
        if mount.grace_ms.is_some() {
            return Err(ApplyError::AlreadyUnmounting(uid.0));
        }
        let before = digester.mount(mount);
        self.pools.close(mount);
        mount.grace_ms = Some(grace_ms);
        let after = digester.mount(mount);
        self.sub(before);
        self.add(after);
        Ok(Effects::new())
    }

    fn hold_end(&mut self, uid: MountUid) -> Result<Effects, ApplyError> {
        if let Some(departed) = self.departed.remove(&uid) {
            self.sub(self.digester.departed(&departed));
            return Ok(Effects::new());
        }
        let digester = self.digester;
        let mount = self.mounts.get_mut(&uid).ok_or(ApplyError::NoMount(uid.0))?;
        if !mount.held {
            return Err(ApplyError::NotHeld(uid.0));
        }
        let before = digester.mount(mount);
        mount.held = false;
        let after = digester.mount(mount);
        if mount.is_open() {
            self.pools.open(mount);
        }
        self.sub(before);
        self.add(after);
        Ok(Effects::new())
    }

    fn add(&mut self, term: u128) {
        self.mark.digest = self.mark.digest.wrapping_add(term);
    }

    fn sub(&mut self, term: u128) {
        self.mark.digest = self.mark.digest.wrapping_sub(term);
    }

    fn change_tasks<T>(&mut self, change: impl FnOnce(&mut TaskTable, &mut Sum) -> T) -> T {
        let mut sum = Sum { digester: self.digester, digest: self.mark.digest };
        let done = change(&mut self.tasks, &mut sum);
        self.mark.digest = sum.digest;
        done
    }

    pub(super) fn digester(&self) -> Digester {
        self.digester
    }

    /// The oldest mount, to be damaged.
    pub(super) fn lab_mount(&mut self) -> Option<&mut Mount> {
        self.mounts.values_mut().next()
    }

    /// The first client, to be damaged.
    pub(super) fn lab_client(&mut self) -> Option<&mut Client> {
        self.clients.values_mut().next()
    }

    /// The digest computed from scratch.
    #[must_use]
    pub fn recount(&self) -> u128 {
        let mounts = self.mounts.values().map(|m| self.digester.mount(m));
        let departed = self.departed.values().map(|d| self.digester.departed(d));
        let clients = self.clients.values().map(|c| self.digester.client(c));
        let tables = self.tasks.recount(self.digester).wrapping_add(self.metadata.recount(self.digester));
        mounts.chain(departed).chain(clients).fold(tables, u128::wrapping_add)
    }

    /// True when the table's own derived indexes equal a rebuild.
    pub(super) fn derived_agrees(&self) -> bool {
        let mut pools = Pools::default();
        self.mounts.values().filter(|m| m.is_open()).for_each(|m| pools.open(m));
        // In one pass: ten thousand clients have ten thousand mounts.
        let known = self.mounts.values().filter(|m| self.clients.contains_key(&m.client));
        let mut by_client: Vec<_> = known.map(|m| (m.client, m.uid)).collect();
        by_client.sort_unstable();
        let mut owned: Vec<_> =
            self.clients.values().flat_map(|c| c.mounts().map(|uid| (c.id, uid))).collect();
        owned.sort_unstable();
        let ids = self.by_id.iter().all(|(id, uid)| self.mount(*uid).is_some_and(|m| m.segment.id == *id));
        pools == self.pools
            && ids
            && self.metadata.derived_agrees()
            && self.by_id.len() == self.mounts.len()
            && by_client == owned
    }
}
