use super::*;
use crate::types::ClusterId;

const RAM: &[u8] = b"mooncake%2Fram%2Fhost-1";

struct Table {
    metadata: TransferMetadata,
    digester: Digester,
    digest: u128,
}

impl Table {
    fn new() -> Self {
        let cluster: ClusterId = "test".parse().expect("a name");
        Self { metadata: TransferMetadata::default(), digester: Digester::new(&cluster), digest: 0 }
    }

    fn part(&mut self, key: &[u8], index: u16, last: bool, bytes: &[u8]) -> Result<(), ApplyError> {
        let done = self.metadata.part((key, index, last), bytes, self.digester, &mut self.digest);
        self.sound();
        done
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let parts: Vec<&[u8]> = metadata_parts(value).collect();
        for (i, part) in parts.iter().enumerate() {
            self.part(key, i as u16, i + 1 == parts.len(), part).expect("fits");
        }
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), ApplyError> {
        let done = self.metadata.remove(key, self.digester, &mut self.digest);
        self.sound();
        done
    }

    fn sound(&self) {
        assert_eq!(self.digest, self.metadata.recount(self.digester), "kept along equals counted");
        assert!(self.metadata.derived_agrees());
    }
}

/// A value that no two parts of are alike.
fn value(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i / 7 + i % 251) as u8).collect()
}

#[test]
fn a_value_of_any_length_is_put_together_from_its_parts() {
    const PART: usize = limits::METADATA_PART_BYTES_MAX;
    for bytes in [0, 1, PART - 1, PART, PART + 1, 3 * PART, limits::METADATA_VALUE_BYTES_MAX] {
        let mut table = Table::new();
        let value = value(bytes);
        assert!(metadata_parts(&value).len() <= limits::METADATA_PARTS_MAX);
        table.put(RAM, &value);
        assert_eq!(table.metadata.get(RAM).as_ref(), Some(&value), "{bytes}");
        assert!(table.metadata.holds(RAM, &value) && !table.metadata.holds(RAM, b"another"));
        assert_eq!(table.metadata.bytes(), RAM.len() + bytes);
        table.remove(RAM).expect("there");
        assert_eq!((table.digest, table.metadata.bytes()), (0, 0));
        assert_eq!(table.remove(RAM), Err(ApplyError::NoMetadata));
    }
}

#[test]
fn a_value_is_seen_whole_or_as_it_was() {
    let mut table = Table::new();
    table.put(RAM, b"old");
    table.part(RAM, 0, false, b"ne").expect("a first part");
    assert_eq!(table.metadata.get(RAM).expect("there"), b"old");
    let begun = table.digest;
    for (key, index) in [(RAM, 2), (b"other", 1)] {
        assert_eq!(table.part(key, index, true, b"x"), Err(ApplyError::MetadataPart(index)));
        assert_eq!(table.digest, begun, "nothing is changed then");
    }
    // Another primary begins anew.
    table.part(b"other", 0, true, b"o").expect("a first part");
    assert_eq!(table.part(RAM, 1, true, b"w"), Err(ApplyError::MetadataPart(1)));
    table.part(RAM, 0, false, b"n").expect("a first part");
    table.part(RAM, 1, true, b"ew").expect("the next");
    assert_eq!(table.metadata.get(RAM).expect("there"), b"new");
    assert_eq!(table.metadata.keys().collect::<Vec<_>>(), [RAM, b"other"]);
}

#[test]
fn a_copy_made_in_the_middle_goes_on_alike() {
    let mut table = Table::new();
    table.put(RAM, &value(20_000));
    table.part(b"other", 0, false, b"ne").expect("a first part");
    let mut copy = Table::new();
    for (stage, key, index, bytes) in table.metadata.parts() {
        assert!(copy.metadata.restore(stage, key, index as u16, bytes));
    }
    copy.digest = copy.metadata.recount(copy.digester);
    assert_eq!(copy.digest, table.digest);
    for table in [&mut table, &mut copy] {
        table.part(b"other", 1, true, b"w").expect("the next");
    }
    assert_eq!(copy.digest, table.digest);
    assert_eq!(copy.metadata.get(b"other").expect("there"), b"new");
    for (stage, key, index) in
        [(Stage::Value, RAM, 7), (Stage::Draft, RAM, 1), (Stage::Value, &b"other"[..], 0)]
    {
        assert!(!copy.metadata.restore(stage, key, index, b"x"), "{stage:?} {index}");
    }
}
