//! The arguments of any call: the first byte picks the call and says
//! whether a metainfo byte follows the right hash; the others are what comes
//! behind. What decodes says the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standfast_wire::{Form, Method, Request};

fuzz_target!(|input: &[u8]| {
    let Some((&number, values)) = input.split_first() else { return };
    let method = Method::ALL[usize::from(number) % Method::ALL.len()];
    let hash = method.contract().request.hash() | u32::from(number >> 7);
    let payload = [&hash.to_le_bytes()[..], values].concat();
    let Ok((decoded, form)) = Request::decode_as(method, &payload) else { return };
    for form in [form, Form::LONG] {
        let mut again = Vec::new();
        decoded.encode(form, &mut again);
        let (second, _) = Request::decode_as(method, &again).expect("what was encoded decodes");
        assert_eq!(second, decoded);
    }
});
