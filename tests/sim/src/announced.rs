//! A rehearsal that says yes, and a failover after it: what was announced is
//! served, exactly (PROTOCOL 12, T3).

use bytes::Bytes;
use standfast_kernel::api::{DEFAULT_TENANT, Request, Response};
use standfast_kernel::supervisor::{Answer, Role};
use standfast_kernel::types::{HomeId, KeyHash, LogPos, scoped_key};

use crate::client::key_name;
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome};
use crate::world::World;

/// What a standby said last that it would serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Its last entry then.
    last: LogPos,
    /// Objects of its copy, but for those of dead memory: a new primary clears these away at once.
    objects: usize,
    segments: usize,
    /// Readable ones that this simulation knows of, with their checksums.
    readable: Vec<(u64, Option<u64>)>,
}

impl Announced {
    /// A new primary may decide at once, in its own log, that an object goes.
    pub(crate) fn gave_up(&mut self, key: u64) {
        self.objects -= 1;
        self.readable.retain(|(k, _)| *k != key);
    }
}

impl World {
    /// A standby rehearses at each tick.
    pub(crate) fn announce(&mut self, i: usize) {
        let now = self.now(i);
        let Some(p) = &self.hosts[i].process else { return };
        if p.node.role() != Role::Standby {
            return;
        }
        let yes = p.node.rehearsal(now).answer == Answer::Yes;
        let last = p.node.log().last();
        if yes && p.announced.as_ref().is_some_and(|a| a.last == last) {
            return;
        }
        let announced = yes.then(|| self.would_serve(i, last)).flatten();
        if let Some(p) = &mut self.hosts[i].process {
            p.announced = announced;
        }
    }

    fn would_serve(&self, i: usize, last: LogPos) -> Option<Announced> {
        let store = self.hosts[i].process.as_ref()?.node.store();
        let table = store.segments().read();
        let readable = |key: &u64| {
            let name = scoped_key(DEFAULT_TENANT, key_name(*key).as_bytes());
            let place = KeyHash::of(&name);
            let shard = store.shard(place.home).read();
            let object = shard.get(place, &name).filter(|o| o.is_readable(&table))?;
            Some((*key, object.checksum()))
        };
        let readable = (0..self.params.keys).filter_map(|key| readable(&key)).collect();
        let shards = (0..HomeId::SEGMENTS.index()).filter_map(HomeId::from_index);
        let lives = |home| store.shard(home).read().objects().filter(|o| o.sight(&table).live).count();
        let objects = shards.map(lives).sum();
        Some(Announced { last, objects, segments: table.mounts().count(), readable })
    }

    /// A node has begun to lead: at once, it serves what it announced.
    pub(crate) fn serves_announced(&mut self, i: usize) -> Outcome {
        let (now, wall) = (self.now(i), self.wall());
        let Some(p) = &mut self.hosts[i].process else { return Ok(()) };
        let Some(master) = p.master.clone() else { return Ok(()) };
        let Some(announced) = p.announced.take() else { return Ok(()) };
        let began = p.shadow.began(master.epoch()).unwrap_or_default();
        // It applied more between the rehearsal and the takeover.
        if announced.last.end().0 != began {
            return Ok(());
        }
        self.counters.hit(Count::AnnouncedServed);
        let serves = self.would_serve(i, announced.last);
        Invariant::AnnouncedServed.check(serves.as_ref() == Some(&announced), || {
            format!("n{i} announced {announced:?}, and has {serves:?}")
        })?;
        for key in 0..self.params.keys {
            let keys = vec![Bytes::from(key_name(key))];
            let answer = master.execute(now, wall, &Request::ExistKey { keys }).response;
            let told = announced.readable.iter().any(|(k, _)| *k == key);
            Invariant::AnnouncedServed.check(answer == Response::ExistKey(vec![Ok(told)]), || {
                format!("n{i} announced key {key}: {told}, and answers {answer:?}")
            })?;
        }
        Ok(())
    }
}
