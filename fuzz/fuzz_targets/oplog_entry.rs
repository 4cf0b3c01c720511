//! An entry of the log, as a standby gets it. The first byte says whether the
//! length and the checksum are set right, so that what is between them is
//! reached, too. What decodes says the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standfast_kernel::oplog::codec::{Prepared, decode};
use standfast_kernel::oplog::split_entries;
use standfast_kernel::types::Seq;

fuzz_target!(|input: &[u8]| {
    let Some((&how, bytes)) = input.split_first() else { return };
    let mut entry = bytes.to_vec();
    if how & 1 == 1 && entry.len() >= 8 {
        let (length, summed) = (entry.len() as u32, entry.len() - 4);
        entry[..4].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&entry[..summed]);
        entry[summed..].copy_from_slice(&crc.to_le_bytes());
    }
    for piece in split_entries(&entry).map_while(Result::ok) {
        let _ = decode(piece);
    }
    let Ok(decoded) = decode(&entry) else { return };
    let place = decoded.op.place().within(decoded.home);
    let mut again = Vec::new();
    Prepared::new(decoded.pos.epoch, decoded.wall, place, &decoded.op)
        .finish(Seq(decoded.pos.seq), &mut again);
    assert_eq!(decode(&again).expect("what was encoded decodes"), decoded);
});
