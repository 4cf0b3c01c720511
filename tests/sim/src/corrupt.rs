//! Verification under the same faults as everything else. Nothing may be
//! reported that nobody planted; what is planted, once all is at rest, must be
//! found, named and repaired.

use standfast_kernel::api::Request;
use standfast_kernel::node::Happening;
use standfast_kernel::store::{Damage, Object};
use standfast_kernel::types::{HomeId, KeyHash};

use crate::client::{Req, bytes_of, key_name, key_number};
use crate::clock::SECOND;
use crate::counters::Count;
use crate::host::Input;
use crate::invariants::{Invariant, Outcome};
use crate::net::NODES;
use crate::trace::At;
use crate::world::World;

/// Found and repaired within this time.
const REPAIRED_MAX: u64 = 15 * SECOND;

/// Damage to one standby.
#[derive(Debug)]
pub(crate) struct Planted {
    node: usize,
    damage: Damage,
    name: Vec<u8>,
    what: String,
    at: u64,
    found: bool,
    /// An entry met the damage first and did not fit: found as well, and only a
    /// full sync repairs that. The others must not wait for this copy (PROTOCOL I10).
    quarantined: bool,
}

impl World {
    /// True while this node differs because it was made to.
    pub(crate) fn is_damaged(&self, i: usize) -> bool {
        self.planted.as_ref().is_some_and(|p| p.node == i)
    }

    /// An entry did not fit a node's state; false when nobody damaged it.
    pub(crate) fn met_damage(&mut self, i: usize) -> bool {
        let Some(planted) = self.planted.as_mut().filter(|p| p.node == i) else { return false };
        planted.quarantined = true;
        self.counters.hit(Count::DamageMet);
        true
    }

    /// A node says that copies differ, or that memory does.
    pub(crate) fn alarmed(&mut self, i: usize, what: &Happening) -> Outcome {
        let Some(planted) = self.planted.as_mut().filter(|p| p.node == i) else {
            return Err(Invariant::VerifySound.broken(format!("n{i}: {}: {}", what.code, what.text)));
        };
        // Named: that something differs is not enough.
        let name = planted.name.escape_ascii().to_string();
        planted.found |= what.code == "verify_mismatch" && what.text.contains(&name);
        self.counters.hit(Count::DamageReported);
        Ok(())
    }

    /// With all at rest: plants damage, and waits until it is repaired.
    pub(crate) fn is_verified(&mut self, primary: usize) -> Outcome<bool> {
        let Some(planted) = &self.planted else {
            let after = 1 + self.rng.below(NODES as u64 - 1) as usize;
            self.plant((primary + after) % NODES);
            self.meet(primary)?;
            return Ok(false);
        };
        let recount = |i: usize| self.hosts[i].process.as_ref().map(|p| p.node.store().recount());
        let (Some(ours), Some(theirs)) = (recount(planted.node), recount(primary)) else { return Ok(false) };
        let sealed = self.hosts[planted.node].process.as_ref().is_some_and(|p| p.node.is_sealed());
        let found = planted.found || planted.quarantined || self.is_replaced(planted, primary);
        let repaired = ours == theirs && sealed && found;
        let late = !repaired && self.t > planted.at + REPAIRED_MAX;
        Invariant::VerifyComplete.check(!late, || {
            format!(
                "{} was planted; named: {}, set aside: {}",
                planted.what, planted.found, planted.quarantined
            )
        })?;
        Ok(repaired)
    }

    /// Half of the time somebody removes at once what one copy does not hold any
    /// more: that copy can only set the entry aside.
    fn meet(&mut self, primary: usize) -> Outcome {
        let Some(planted) = self.planted.as_ref().filter(|p| p.damage == Damage::Missing) else {
            return Ok(());
        };
        let Some(key) = key_number(&planted.name) else { return Ok(()) };
        if self.rng.below(2) == 0 {
            return Ok(());
        }
        let request = Request::Remove { keys: vec![bytes_of(&key_name(key))], force: true };
        let client = &mut self.clients[0];
        client.calls += 1;
        let id = client.calls;
        self.calls.asked(0, id, key, &request, 0);
        self.input(primary, Input::Request(Req { client: 0, id, request, must_see: None }))
    }

    /// What is unfinished does not last: the entry that ended the write, or took a
    /// replica away, also ended the damage, before anybody could compare it.
    fn is_replaced(&self, planted: &Planted, primary: usize) -> bool {
        let Some(p) = &self.hosts[primary].process else { return false };
        let place = KeyHash::of(&planted.name);
        let shard = p.node.store().shard(place.home).read();
        let object = shard.get(place, &planted.name);
        match planted.damage {
            Damage::InFlight => object.and_then(Object::unfinished).is_none(),
            Damage::Order => object.is_none_or(|o| o.replicas().len() < 2),
            _ => false,
        }
    }

    /// Half of the time the digest follows the damage, as if an entry had been
    /// applied wrongly: then only the other copy's digest tells. Otherwise memory
    /// has changed under it, and only a recount does.
    fn plant(&mut self, i: usize) {
        let (first, pick) = (self.rng.below(Damage::ALL.len() as u64) as usize, self.rng.next());
        let follows = self.rng.below(2) == 0;
        let Some(p) = &self.hosts[i].process else { return };
        let store = p.node.store();
        let kinds = (0..Damage::ALL.len()).map(|k| Damage::ALL[(first + k) % Damage::ALL.len()]);
        let Some((damage, name)) = kinds.filter_map(|d| Some((d, store.lab_corrupt(d, pick)?))).next() else {
            return;
        };
        if follows {
            let homes = [HomeId::SEGMENTS, KeyHash::of(&name).home];
            homes.into_iter().for_each(|home| store.reset_digest(home));
        }
        let what = format!("{damage:?} of {} on n{i}, digest follows: {follows}", name.escape_ascii());
        self.note(At::Node(i), || format!("planted {what}"));
        self.counters.hit(if follows { Count::PlantedInDigest } else { Count::PlantedInMemory });
        self.planted =
            Some(Planted { node: i, damage, name, what, at: self.t, found: false, quarantined: false });
    }
}
