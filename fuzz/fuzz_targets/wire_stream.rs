//! A stream of bytes, as a server would follow it: the first byte says how
//! large the pieces are in which the others arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standfast_wire::frame::{self, Header};
use standfast_wire::{Framer, Request, RequestHeader};

const MAX_PAYLOAD: u32 = 1 << 16;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, stream)) = input.split_first() else { return };
    let mut framer = Framer::<RequestHeader>::new(MAX_PAYLOAD);
    for bytes in stream.chunks(usize::from(piece) + 1) {
        framer.buffer().extend_from_slice(bytes);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => answer(frame.header.seq_num, frame.header.function_id, &frame.payload),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(framer.buffer().len() < RequestHeader::LEN + MAX_PAYLOAD as usize);
    }
});

/// A request that is not understood has an answer that says so.
fn answer(seq_num: u32, function_id: u32, payload: &[u8]) {
    if let Err(error) = Request::decode(function_id, payload) {
        let mut reply = Vec::new();
        frame::write_error(&mut reply, seq_num, &error.rpc_error()).expect("the text is short");
        assert!(!error.to_string().is_empty());
    }
}
