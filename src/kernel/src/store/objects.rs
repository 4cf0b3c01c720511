//! The objects of one shard: slabs of slots with keys of similar length, and a
//! hash table of handles to them. Slots do not move, and nothing is stored twice.
//!
//! A slot that is given up is used again for the next key of its length; slabs
//! give memory back only when all their objects are gone.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::object::{Draft, Object};
use crate::types::limits;

/// Slot of an object: class, chunk of the class, place in the chunk.
pub(super) type Handle = u32;

const PLACE_BITS: u32 = 5;
const CLASS_SHIFT: u32 = 27;
/// Most slots of a chunk.
const CHUNK: usize = 1 << PLACE_BITS;
/// No slot.
const NONE: u32 = u32::MAX;

/// Slots of one length of key.
#[derive(Debug)]
struct Slab<const N: usize> {
    chunks: Vec<Vec<Object<[u8; N]>>>,
    /// First of the slots without an object; each names the next.
    vacant: u32,
    slots: u32,
    /// Slots that the chunks have room for.
    room: u32,
    live: u32,
}

impl<const N: usize> Slab<N> {
    const fn new() -> Self {
        Self { chunks: Vec::new(), vacant: NONE, slots: 0, room: 0, live: 0 }
    }

    /// Bytes that it has allocated.
    fn memory(&self) -> usize {
        self.chunks.capacity() * size_of::<Vec<Object<[u8; N]>>>()
            + self.room as usize * size_of::<Object<[u8; N]>>()
    }

    fn get(&self, at: u32) -> Option<&Object<[u8; N]>> {
        self.chunks.get((at >> PLACE_BITS) as usize)?.get(at as usize % CHUNK)
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Object<[u8; N]>> {
        self.chunks.get_mut((at >> PLACE_BITS) as usize)?.get_mut(at as usize % CHUNK)
    }

    fn insert(&mut self, key: &[u8], draft: Draft) -> u32 {
        self.live += 1;
        let object = Object::new(key, draft);
        let at = self.vacant;
        if let Some(slot) = self.get_mut(at) {
            let next = (slot as &Object).next_vacant().unwrap_or(NONE);
            *slot = object;
            self.vacant = next;
            return at;
        }
        self.slots += 1;
        if self.chunks.last().is_none_or(|c| c.len() == c.capacity()) {
            // A small slab wastes little, a large one has few chunks.
            let least = if N <= 256 { 4 } else { 1 };
            let room = (self.slots as usize / 8).clamp(least, CHUNK);
            self.room += room as u32;
            self.chunks.push(Vec::with_capacity(room));
        }
        let chunk = self.chunks.len() - 1;
        let slots = &mut self.chunks[chunk];
        slots.push(object);
        (chunk as u32) << PLACE_BITS | (slots.len() - 1) as u32
    }

    fn remove(&mut self, at: u32) {
        let next = self.vacant;
        if let Some(slot) = self.get_mut(at) {
            *slot = Object::vacant(next);
            self.vacant = at;
            self.live -= 1;
        }
        if self.live == 0 {
            *self = Self::new();
        }
    }
}

/// Slabs for these lengths of keys: each holds the keys that the one before does not.
macro_rules! slabs {
    ($($class:literal $name:ident $room:literal)*) => {
        /// One slab a class. A length ends with its slot at a multiple of eight.
        #[derive(Debug)]
        struct Slabs { $($name: Slab<$room>,)* }

        /// Longest key of each class.
        const ROOMS: &[usize] = &[$($room),*];

        impl Slabs {
            const fn new() -> Self {
                Self { $($name: Slab::new(),)* }
            }

            fn get(&self, handle: Handle) -> Option<&Object> {
                let at = handle & ((1 << CLASS_SHIFT) - 1);
                match handle >> CLASS_SHIFT {
                    $($class => self.$name.get(at).map(|o| o as &Object),)*
                    _ => None,
                }
            }

            fn get_mut(&mut self, handle: Handle) -> Option<&mut Object> {
                let at = handle & ((1 << CLASS_SHIFT) - 1);
                match handle >> CLASS_SHIFT {
                    $($class => self.$name.get_mut(at).map(|o| o as &mut Object),)*
                    _ => None,
                }
            }

            fn insert(&mut self, key: &[u8], draft: Draft) -> Handle {
                let class = class_of(key.len());
                let at = match class {
                    $($class => self.$name.insert(key, draft),)*
                    _ => NONE,
                };
                class << CLASS_SHIFT | at
            }

            fn remove(&mut self, handle: Handle) {
                let at = handle & ((1 << CLASS_SHIFT) - 1);
                match handle >> CLASS_SHIFT {
                    $($class => self.$name.remove(at),)*
                    _ => {}
                }
            }

            /// Bytes that they have allocated.
            fn memory(&self) -> usize {
                [$(self.$name.memory()),*].iter().sum()
            }

            /// Slots of one chunk; `None` behind the last of its class.
            fn chunk(&self, class: u32, chunk: u32) -> Option<usize> {
                match class {
                    $($class => self.$name.chunks.get(chunk as usize).map(Vec::len),)*
                    _ => None,
                }
            }
        }
    };
}

slabs! {
    0 k21 21 1 k29 29 2 k37 37 3 k45 45 4 k53 53 5 k61 61 6 k69 69 7 k77 77 8 k85 85 9 k93 93
    10 k101 101 11 k109 109 12 k117 117 13 k125 125 14 k133 133 15 k149 149 16 k165 165 17 k181 181
    18 k213 213 19 k245 245 20 k293 293 21 k357 357 22 k437 437 23 k533 533 24 k661 661 25 k821 821
    26 k1029 1029 27 k1541 1541 28 k2309 2309 29 k3077 3077 30 k4357 4357
}

const _: () = assert!(ROOMS[ROOMS.len() - 1] > limits::KEY_BYTES_MAX + limits::TENANT_BYTES_MAX);
const _: () = assert!(ROOMS.len() < 1 << (u32::BITS - CLASS_SHIFT), "the last class is that of no slot");

fn class_of(len: usize) -> u32 {
    ROOMS.partition_point(|room| *room < len) as u32
}

/// Where a walk over the objects is. Slots do not move, so it may be put down
/// while objects come and go: those that stay are met exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    class: u32,
    chunk: u32,
}

/// What the table holds of an object: with half of its hash, so that the table
/// grows, and passes over others, without a look at their slots.
#[derive(Debug, Clone, Copy)]
struct Entry {
    handle: Handle,
    half: u32,
}

/// The half of a key's hash that the table goes by.
fn half(hash: u64) -> u32 {
    hash as u32
}

/// That half at both ends: the table takes places from the low bits and its tags
/// from the high ones.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

/// Objects by key.
#[derive(Debug)]
pub(super) struct Objects {
    table: HashTable<Entry>,
    slabs: Slabs,
}

impl Objects {
    pub(super) const fn new() -> Self {
        Self { table: HashTable::new(), slabs: Slabs::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that slots and table have allocated. O(1): what single objects keep elsewhere is not in it.
    pub(super) fn memory(&self) -> usize {
        self.table.allocation_size() + self.slabs.memory()
    }

    /// The slot of the object with this key.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Handle> {
        let half = half(hash);
        let is_it = |e: &Entry| e.half == half && self.slabs.get(e.handle).is_some_and(|o| o.key() == key);
        self.table.find(spread(half), is_it).map(|e| e.handle)
    }

    /// A slot that may be this key's: the first with its bits of the hash. Does
    /// not look at the slot, so that several can be found before the first
    /// answer has come from memory.
    pub(super) fn likely(&self, hash: u64) -> Option<Handle> {
        self.handles(hash).next()
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Object> {
        self.slabs.get(handle)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Object> {
        self.slabs.get_mut(handle)
    }

    /// Adds an object; `None` when there is one with this key.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], draft: Draft) -> Option<&Object> {
        if self.find(hash, key).is_some() { None } else { self.add(hash, key, draft) }
    }

    /// The same, when it is known that there is none; `None` only for keys of impossible length.
    pub(super) fn add(&mut self, hash: u64, key: &[u8], draft: Draft) -> Option<&Object> {
        let handle = self.slabs.insert(key, draft);
        let half = half(hash);
        self.table.insert_unique(spread(half), Entry { handle, half }, |e| spread(e.half));
        self.slabs.get(handle)
    }

    pub(super) fn remove(&mut self, hash: u64, handle: Handle) {
        if let Ok(entry) = self.table.find_entry(spread(half(hash)), |e| e.handle == handle) {
            entry.remove();
            self.slabs.remove(handle);
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        }
    }

    /// The objects with this hash: one, as a rule.
    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Object> {
        self.with_bits(hash).filter(move |o| o.hash() == hash)
    }

    /// The objects that the table has under this hash: these, and now and then another.
    pub(super) fn with_bits(&self, hash: u64) -> impl Iterator<Item = &Object> {
        self.handles(hash).filter_map(|h| self.slabs.get(h))
    }

    fn handles(&self, hash: u64) -> impl Iterator<Item = Handle> {
        let half = half(hash);
        self.table.iter_hash(spread(half)).filter(move |e| e.half == half).map(|e| e.handle)
    }

    /// All objects, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        let mut at = Cursor::default();
        std::iter::from_fn(move || self.next_chunk(&mut at)).flatten()
    }

    /// The objects of the next chunk; `None` behind the last one.
    pub(super) fn next_chunk(&self, at: &mut Cursor) -> Option<impl Iterator<Item = &Object> + use<'_>> {
        let handles = self.next_handles(at)?;
        Some(handles.filter_map(|h| self.slabs.get(h)).filter(|o| o.next_vacant().is_none()))
    }

    fn next_handles(&self, at: &mut Cursor) -> Option<impl Iterator<Item = Handle> + use<>> {
        while (at.class as usize) < ROOMS.len() {
            let Cursor { class, chunk } = *at;
            if let Some(slots) = self.slabs.chunk(class, chunk) {
                at.chunk += 1;
                let first = class << CLASS_SHIFT | chunk << PLACE_BITS;
                return Some(first..first + slots as u32);
            }
            *at = Cursor { class: class + 1, chunk: 0 };
        }
        None
    }

    /// Shows every object to `change`, which may change it; takes out those for
    /// which it returns true.
    pub(super) fn sweep(&mut self, mut change: impl FnMut(&mut Object) -> bool) {
        let mut at = Cursor::default();
        while let Some(handles) = self.next_handles(&mut at) {
            for handle in handles {
                let Some(object) = self.slabs.get_mut(handle).filter(|o| o.next_vacant().is_none()) else {
                    continue;
                };
                if change(object) {
                    let hash = object.hash();
                    self.remove(hash, handle);
                }
            }
        }
    }

    /// Shows the objects with these hashes to `change`, which may change them; takes
    /// out those for which it returns true, with `last` words about each.
    pub(super) fn take_out(
        &mut self,
        hashes: &[u64],
        mut change: impl FnMut(&mut Object) -> bool,
        mut last: impl FnMut(&Object),
    ) {
        for hash in hashes {
            let is_it = |h: &Handle| self.slabs.get(*h).is_some_and(|o| o.hash() == *hash);
            let named: SmallVec<[Handle; 2]> = self.handles(*hash).filter(is_it).collect();
            for handle in named {
                let Some(object) = self.slabs.get_mut(handle) else { continue };
                if change(object) {
                    last(object);
                    self.remove(*hash, handle);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
