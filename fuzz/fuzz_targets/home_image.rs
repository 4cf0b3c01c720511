//! A chunk of a home's image, as a standby gets it in a full sync. The first
//! byte says whether the length and the checksum are set right, so that the
//! records are reached, too. An image that cannot be is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standfast_kernel::store::{Chunk, MetadataStore};

fuzz_target!(|input: &[u8]| {
    let Some((&how, bytes)) = input.split_first() else { return };
    let mut chunk = bytes.to_vec();
    if how & 1 == 1 && chunk.len() >= 8 {
        let (length, summed) = (chunk.len() as u32, chunk.len() - 4);
        chunk[..4].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&chunk[..summed]);
        chunk[summed..].copy_from_slice(&crc.to_le_bytes());
    }
    let Ok(chunk) = Chunk::decode(&chunk) else { return };
    let store = MetadataStore::new(&"fuzz".parse().expect("a name"));
    let _ = store.load(&chunk);
});
