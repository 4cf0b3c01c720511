//! Damage to stored objects, planted on purpose (`standfast lab corrupt`): the
//! state changes, its digests and indexes do not. Only where the node runs with
//! `--enable-lab`.

use std::sync::Arc;

use super::object::Draft;
use super::{MetadataStore, Object, Shard};
use crate::types::{HomeId, KeyHash, ReplicaStatus, limits};

/// An object that is to be added, with its key.
type Named = (Vec<u8>, Draft);

/// What becomes different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// An object is gone.
    Missing,
    /// An object is there that nobody wrote.
    Extra,
    /// An object has another size.
    Field,
    /// A mount has another endpoint.
    Segment,
    /// A client has another host.
    Client,
    /// The memory handed out to an unfinished write is elsewhere.
    InFlight,
    /// The replicas of an object are in another order.
    Order,
    /// A bit of an object's checksum is flipped.
    FlippedBit,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Extra,
        Self::Field,
        Self::Segment,
        Self::Client,
        Self::InFlight,
        Self::Order,
        Self::FlippedBit,
    ];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Field => "field",
            Self::Segment => "segment",
            Self::Client => "client",
            Self::InFlight => "in-flight",
            Self::Order => "order",
            Self::FlippedBit => "flipped-bit",
        }
    }
}

impl std::str::FromStr for Damage {
    type Err = crate::types::BadValue;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|d| d.name() == s).ok_or_else(|| crate::types::BadValue {
            what: "kind of damage",
            value: s.chars().take(80).collect(),
            expected: "missing, extra, field, segment, client, in-flight, order or flipped-bit",
        })
    }
}

impl MetadataStore {
    /// Damages one item; says which, or `None` when there is none of that kind.
    /// `pick` chooses among shards and objects.
    pub fn lab_corrupt(&self, damage: Damage, pick: u64) -> Option<Vec<u8>> {
        match damage {
            Damage::Segment => self.segments().write().lab_damage_mount(),
            Damage::Client => self.segments().write().lab_damage_client(),
            Damage::Missing
            | Damage::Extra
            | Damage::Field
            | Damage::InFlight
            | Damage::Order
            | Damage::FlippedBit => {
                let start = pick as usize % limits::SHARDS;
                let shards = (0..limits::SHARDS).map(|i| (start + i) % limits::SHARDS);
                shards.filter_map(HomeId::from_index).find_map(|home| self.damage_shard(home, damage, pick))
            }
        }
    }

    /// A shard forgets which of its objects are unfinished.
    #[cfg(test)]
    pub(crate) fn lab_unindex(&self, home: HomeId) {
        self.shard(home).write().lab_unindex();
    }

    fn damage_shard(&self, home: HomeId, damage: Damage, pick: u64) -> Option<Vec<u8>> {
        let (key, extra) = self.shard(home).write().damage(damage, pick)?;
        let Some(extra) = extra else { return Some(key) };
        let (name, draft) = extra;
        let hash = KeyHash::of(&name);
        self.shard(hash.home).write().objects.insert(hash.map, &name, draft);
        Some(name)
    }
}

impl Shard {
    /// Damages an object; an extra one is returned, because it belongs elsewhere.
    fn damage(&mut self, damage: Damage, pick: u64) -> Option<(Vec<u8>, Option<Named>)> {
        let fits = |o: &Object| match damage {
            Damage::InFlight => o.replicas().any(|r| r.status == ReplicaStatus::Processing),
            Damage::Order => o.replicas().len() > 1,
            _ => o.unfinished().is_none() && o.group().is_none(),
        };
        let mut keys: Vec<Box<[u8]>> = self.objects().filter(|o| fits(o)).map(|o| o.key().into()).collect();
        keys.sort_unstable();
        let key = keys.get((pick >> 16) as usize % keys.len().max(1))?;
        let (name, hash) = (key.to_vec(), KeyHash::of(key).map);
        let handle = self.objects.find(hash, key)?;
        let object = self.objects.get_mut(handle)?;
        let mut extra = None;
        match damage {
            Damage::Missing => self.objects.remove(hash, handle),
            Damage::Extra => extra = Some(twin(object)),
            Damage::Field => object.lab_resize(),
            Damage::FlippedBit => object.lab_flip_checksum(pick),
            Damage::InFlight => object.edit_replicas(|all| {
                let handed_out = all.iter_mut().find(|r| r.status == ReplicaStatus::Processing);
                handed_out.map(|r| r.region.offset ^= 1 << 20)
            })?,
            Damage::Order => object.edit_replicas(|all| all.reverse()),
            Damage::Segment | Damage::Client => return None,
        }
        Some((name, extra))
    }
}

/// The same object under a key that nobody wrote.
fn twin(o: &Object) -> Named {
    ([o.key(), b"~lab"].concat(), Draft { extras: None, ..o.draft() })
}

impl super::SegmentTable {
    fn lab_damage_mount(&mut self) -> Option<Vec<u8>> {
        let mount = self.lab_mount()?;
        Arc::make_mut(&mut mount.segment).te_endpoint.push('~');
        Some(mount.uid.0.to_string().into())
    }

    fn lab_damage_client(&mut self) -> Option<Vec<u8>> {
        let client = self.lab_client()?;
        client.host.push('~');
        Some(client.id.to_string().into())
    }
}
