//! How two versions of a home differ: items by name, fields by both values.

use std::collections::BTreeMap;

use super::buckets::{Content, HomeImage, in_buckets, may_be_at};
use super::{
    Attempt, Client, Departed, Granted, Limbo, MetadataStore, Mount, Object, SegmentTable, Shard, Task,
};
use crate::types::{KeyHash, Region, Seq};

/// One item that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is: `object`, `limbo`, `abandoned write`, `mount`, `grant`, `dead mount`, `client`, `task`, `metadata`.
    pub what: &'static str,
    /// Its name: a scoped key, or what the table knows it by.
    pub name: Vec<u8>,
    /// How it differs.
    pub kind: DifferenceKind,
    /// The fields that do, with both values.
    pub fields: Vec<FieldDifference>,
}

/// How an item differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    /// The primary has it, this copy does not.
    Missing,
    /// This copy has it, the primary does not.
    Extra,
    /// Both have it, with other content.
    Field,
}

impl DifferenceKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Extra, Self::Field];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Field => "field",
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name.
    pub field: &'static str,
    /// Its value here.
    pub ours: String,
    /// Its value on the primary.
    pub theirs: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ", self.what, self.name.escape_ascii())?;
        match self.kind {
            DifferenceKind::Missing => write!(f, "is missing here"),
            DifferenceKind::Extra => write!(f, "is not on the primary"),
            DifferenceKind::Field => {
                write!(f, "differs:")?;
                for d in &self.fields {
                    write!(f, " {} is {} here and {} on the primary;", d.field, d.ours, d.theirs)?;
                }
                Ok(())
            }
        }
    }
}

type Fields = Vec<(&'static str, String)>;
/// An item by kind and name: its digest term, and how to list its fields.
type Items<'a> = BTreeMap<(&'static str, Vec<u8>), (u128, Box<dyn Fn() -> Fields + 'a>)>;

impl MetadataStore {
    /// How what is stored here differs from an image; `None` when the home has
    /// moved on, for then nothing can be said.
    #[must_use]
    pub fn differences(&self, image: &HomeImage) -> Option<Vec<Difference>> {
        match &image.content {
            Content::Shard(theirs) => {
                let ours = self.shard(image.home).read();
                let here = may_be_at(ours.mark(), image.mark.last);
                here.then(|| diff(&ours.items(image.buckets), &theirs.items(image.buckets)))
            }
            Content::Table(theirs) => {
                let ours = self.segments().read();
                may_be_at(ours.mark(), image.mark.last).then(|| diff(&ours.items(), &theirs.items()))
            }
        }
    }
}

fn diff(ours: &Items<'_>, theirs: &Items<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    for ((what, name), (term, fields)) in ours {
        let (kind, fields) = match theirs.get(&(*what, name.clone())) {
            Some((other, _)) if other == term => continue,
            Some((_, other)) => (DifferenceKind::Field, unequal(fields(), other())),
            None => (DifferenceKind::Extra, Vec::new()),
        };
        found.push(Difference { what, name: name.clone(), kind, fields });
    }
    for (what, name) in theirs.keys().filter(|id| !ours.contains_key(*id)) {
        let kind = DifferenceKind::Missing;
        found.push(Difference { what, name: name.clone(), kind, fields: Vec::new() });
    }
    found
}

fn unequal(ours: Fields, theirs: Fields) -> Vec<FieldDifference> {
    let pairs = ours.into_iter().zip(theirs);
    pairs
        .filter(|((_, a), (_, b))| a != b)
        .map(|((field, ours), (_, theirs))| FieldDifference { field, ours, theirs })
        .collect()
}

impl Shard {
    fn items(&self, buckets: u64) -> Items<'_> {
        let mut items: Items<'_> = BTreeMap::new();
        let d = self.digester;
        for o in self.objects().filter(|o| in_buckets(buckets, o.hash())) {
            items.insert(("object", o.key().to_vec()), (d.object(o), Box::new(move || object(o))));
        }
        let asked = |since: Seq| in_buckets(buckets, KeyHash::of(&since.0.to_le_bytes()).map);
        for (since, i, l) in self.limbo().filter(|(since, _, _)| asked(*since)) {
            let name = format!("{since}/{i}").into_bytes();
            items.insert(("limbo", name), (d.limbo(since, i, l), Box::new(move || limbo(l))));
        }
        for (since, a) in self.attempts().iter().filter(|(since, _)| asked(*since)) {
            let name = since.to_string().into_bytes();
            items.insert(("abandoned write", name), (d.attempt(since, a), Box::new(move || attempt(a))));
        }
        items
    }
}

impl SegmentTable {
    fn items(&self) -> Items<'_> {
        let mut items: Items<'_> = BTreeMap::new();
        let d = self.digester();
        for m in self.mounts() {
            items.insert(("mount", m.uid.0.to_string().into()), (d.mount(m), Box::new(move || mount(m))));
        }
        for (uid, g) in self.grants().all() {
            let term = d.granted(uid, g);
            items.insert(("grant", uid.0.to_string().into()), (term, Box::new(move || granted(g))));
        }
        for dead in self.departed() {
            let name = dead.uid.0.to_string().into();
            items.insert(("dead mount", name), (d.departed(dead), Box::new(move || departed(dead))));
        }
        for c in self.clients() {
            items.insert(("client", c.id.to_string().into()), (d.client(c), Box::new(move || client(c))));
        }
        for t in self.tasks().all() {
            items.insert(("task", t.id.to_string().into()), (d.task(t), Box::new(move || task(t))));
        }
        for part @ (stage, key, index, bytes) in self.metadata().parts() {
            let name = [key, format!(" {stage:?} {index}").as_bytes()].concat();
            let fields = move || vec![("bytes", bytes.escape_ascii().to_string())];
            items.insert(("metadata", name), (d.metadata(part), Box::new(fields)));
        }
        items
    }
}

fn region(r: &Region) -> String {
    format!("{}+{}@{}", r.offset, r.reserved, r.mount.0)
}

fn object(o: &Object) -> Fields {
    let replicas: Vec<String> =
        o.replicas().map(|r| format!("{:x} {:?} {}", r.id, r.status, region(&r.region))).collect();
    vec![
        ("writer", o.writer.to_string()),
        ("size", o.size.to_string()),
        ("started", o.started().to_string()),
        ("checksum", format!("{:x?}", o.checksum())),
        ("replicas", format!("[{}]", replicas.join(", "))),
        ("data_type", o.data_type.0.to_string()),
        ("hard_pin", o.hard_pin().to_string()),
        ("soft_pin", o.soft_pin().to_string()),
        ("pending_pin", format!("{:?}", o.pending_pin())),
        ("group", o.group().map_or_else(|| "none".into(), |g| g.escape_ascii().to_string())),
        ("transfer", format!("{:?}", o.transfer())),
    ]
}

fn limbo(l: &Limbo) -> Fields {
    vec![("kind", format!("{:?}", l.kind)), ("region", region(&l.region))]
}

fn attempt(a: &Attempt) -> Fields {
    vec![("key", a.key.escape_ascii().to_string()), ("client", a.client.to_string())]
}

fn mount(m: &Mount) -> Fields {
    vec![
        ("client", m.client.to_string()),
        ("segment", format!("{:?}", m.segment)),
        ("held", m.held.to_string()),
        ("grace_ms", format!("{:?}", m.grace_ms)),
    ]
}

fn granted(g: &Granted) -> Fields {
    vec![
        ("at", g.at.to_string()),
        ("open", format!("{:?}", g.open)),
        ("quarantined", format!("{:?}", g.quarantined)),
    ]
}

fn departed(d: &Departed) -> Fields {
    vec![("segment", format!("{:?}", d.segment))]
}

fn client(c: &Client) -> Fields {
    vec![("since", c.since.to_string()), ("ok", c.ok.to_string()), ("host", c.host.clone())]
}

fn task(t: &Task) -> Fields {
    vec![
        ("kind", format!("{:?}", t.kind)),
        ("status", format!("{:?}", t.status)),
        ("client", t.client.to_string()),
        ("key", t.key.escape_ascii().to_string()),
        ("source", t.source.to_string()),
        ("targets", format!("{:?}", t.targets)),
        ("times", format!("{:?} {:?}", t.created, t.updated)),
        ("changed", t.changed.to_string()),
        ("message", t.message.to_string()),
    ]
}

#[cfg(test)]
#[path = "differ_tests.rs"]
mod tests;
