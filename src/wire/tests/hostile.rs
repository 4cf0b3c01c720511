//! Hostile bytes: an error, never a panic, never memory beyond the frame.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;

use allocation_counter::measure;
use common::{Direction, Message, Recorded};
use standfast_wire::{Form, Framer, Method, Problem, Request, RequestHeader, ResponseHeader, Width, frame};

/// How many mutated captures to try; a full run sets a million.
fn mutations() -> u64 {
    match std::env::var("STANDFAST_WIRE_MUTATIONS") {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("STANDFAST_WIRE_MUTATIONS={text}: {error}")),
        Err(_) => 20_000,
    }
}

/// SplitMix64: small, and the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// Damages some bytes once.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
        return;
    }
    let at = random.below(bytes.len());
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = *random.one_of(&[0, 1, 2, 4, 0x7f, 0x80, 0xfe, 0xff]),
        2 => bytes[at] = random.next() as u8,
        3 => bytes[at..].iter_mut().take(1 << random.below(4)).for_each(|byte| *byte = 0xff),
        4 => bytes.truncate(at),
        5 => {
            bytes.remove(at);
        }
        6 => bytes.insert(at, random.next() as u8),
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
    }
}

/// Decodes a payload and, if that works, encodes and decodes the message
/// again. Returns whether it decoded.
fn try_payload(method: Method, direction: Direction, payload: &[u8], what: &str) -> bool {
    let mut decoded = None;
    let memory = measure(|| decoded = Message::decode(method, direction, payload).ok());
    assert_eq!(memory.bytes_max, 0, "{what}: decoding allocates");
    let Some((message, form)) = decoded else { return false };
    for form in [form, Form::SHORT] {
        let again = message.encode(form);
        let (second, _) = Message::decode(method, direction, &again)
            .unwrap_or_else(|error| panic!("{what}: what was encoded does not decode: {error}"));
        assert_eq!(second, message, "{what}");
    }
    true
}

/// Feeds a whole frame, header included, to the server's path or the client's.
fn try_frame(method: Method, direction: Direction, bytes: &[u8], what: &str) -> bool {
    let mut payload = None;
    let memory = measure(|| match direction {
        Direction::Request => {
            let mut framer = Framer::<RequestHeader>::new(frame::DEFAULT_MAX_PAYLOAD);
            framer.buffer().extend_from_slice(bytes);
            payload = framer.next_frame().ok().flatten().map(|frame| frame.payload);
        }
        Direction::Response => {
            let mut framer = Framer::<ResponseHeader>::new(frame::DEFAULT_MAX_PAYLOAD);
            framer.buffer().extend_from_slice(bytes);
            payload = framer.next_frame().ok().flatten().map(|frame| frame.payload);
        }
    });
    // The bytes themselves, and what shares them between frames.
    assert!(memory.bytes_max <= bytes.len() as u64 + 128, "{what}: {} bytes", memory.bytes_max);
    payload.is_some_and(|payload| try_payload(method, direction, &payload, what))
}

#[test]
fn mutated_captures_do_no_harm() {
    // Computed outside the measured parts.
    let _ = Method::Ping.contract();
    let mut by_kind: HashMap<_, Vec<Recorded>> = HashMap::new();
    for capture in
        common::captures().into_iter().chain(common::golden().into_iter().map(|golden| golden.frame))
    {
        by_kind.entry((capture.method.name(), capture.direction as u8)).or_default().push(capture);
    }
    let mut kinds: Vec<_> = by_kind.into_iter().collect();
    kinds.sort_by_key(|(kind, _)| *kind);
    assert_eq!(kinds.len(), 2 * 64);

    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for seed in 0..mutations() {
        let mut random = Random(seed);
        let [capture, other] = [(); 2].map(|()| {
            let (_, recorded) = random.one_of(&kinds);
            random.one_of(recorded)
        });
        let what = format!("mutation {seed} of {}", capture.origin);
        let whole_frame = random.below(4) == 0;
        let mut bytes = if whole_frame { capture.bytes.clone() } else { capture.parts().payload.to_vec() };
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &other.bytes, &mut random);
        }
        let decoded = if whole_frame {
            try_frame(capture.method, capture.direction, &bytes, &what)
        } else {
            try_payload(capture.method, capture.direction, &bytes, &what)
        };
        *(if decoded { &mut accepted } else { &mut refused }) += 1;
    }
    println!("{accepted} mutations decoded, {refused} were refused");
    assert!(
        accepted > mutations() / 100,
        "{accepted} mutations decoded: the mutations are too wild to mean much"
    );
    assert!(refused > mutations() / 10, "{refused} mutations were refused: they are too tame to mean much");
}

/// Small golden payloads, in a form that has no byte to spare.
fn small_payloads(form: Form) -> Vec<(Method, Direction, Vec<u8>, String)> {
    let golden = common::golden().into_iter().map(|golden| golden.frame);
    let small = golden.filter(|frame| frame.bytes.len() < 600);
    small
        .filter_map(|frame| {
            let payload = frame.parts().payload;
            let (message, _) = Message::decode(frame.method, frame.direction, &payload).ok()?;
            Some((frame.method, frame.direction, message.encode(form), frame.origin))
        })
        .filter(|(_, _, payload, _)| !payload.is_empty())
        .collect()
}

#[test]
fn no_payload_decodes_when_it_is_cut_short() {
    for form in [Form::SHORT, Form::LONG] {
        for (method, direction, payload, origin) in small_payloads(form) {
            for end in 0..payload.len() {
                let cut = Message::decode(method, direction, &payload[..end]);
                assert!(cut.is_err(), "{origin}: decodes from {end} of {} bytes", payload.len());
            }
        }
    }
}

/// Every bit in front of the values counts, but for those that choose the form.
#[test]
fn a_damaged_hash_or_literal_is_refused() {
    const HASH_FLAG: (usize, u8) = (0, 0);
    const METAINFO: usize = 4;
    for (method, direction, payload, origin) in small_payloads(Form::LONG) {
        let contract = method.contract();
        let schema = if direction == Direction::Request { &contract.request } else { &contract.response };
        for at in 0..METAINFO + 1 + schema.literal().len() + 1 {
            for bit in 0..8 {
                if (at, bit) == HASH_FLAG || (at == METAINFO && bit < 5) {
                    continue;
                }
                let mut damaged = payload.clone();
                damaged[at] ^= 1 << bit;
                let decoded = Message::decode(method, direction, &damaged);
                assert!(decoded.is_err(), "{origin}: decodes with bit {bit} of byte {at} flipped");
            }
        }
    }
}

#[test]
fn bytes_behind_the_value_are_ignored() {
    for (method, direction, mut payload, origin) in small_payloads(Form::SHORT) {
        let exact = payload.clone();
        payload.extend_from_slice(&[0xff; 9]);
        let decoded = Message::decode(method, direction, &payload);
        assert_eq!(decoded, Message::decode(method, direction, &exact), "{origin}");
        assert!(decoded.is_ok(), "{origin}");
    }
}

/// Whatever eight bytes hold, a huge number in their place asks for nothing:
/// with the widest length prefixes this reaches every length there is.
#[test]
fn a_huge_length_anywhere_costs_no_memory() {
    let _ = Method::Ping.contract();
    let form = Form { literal: false, width: Some(Width::Eight) };
    let mut refused = 0;
    for (method, direction, payload, origin) in small_payloads(form) {
        for at in 5..payload.len().saturating_sub(8) {
            for huge in [u64::MAX, i64::MAX as u64, 1 << 32, payload.len() as u64] {
                let mut hostile = payload.clone();
                hostile[at..at + 8].copy_from_slice(&huge.to_le_bytes());
                refused += u32::from(!try_payload(method, direction, &hostile, &origin));
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn a_connection_does_not_keep_the_memory_of_its_largest_frame() {
    let length = 1_u32 << 20;
    let header =
        RequestHeader { msg_type: 0, seq_num: 0, function_id: 1, length, attach_length: 0 }.to_bytes();
    let stream = [&header[..], &vec![7; length as usize], b"\x15\x00"].concat();
    let mut framer = Framer::<RequestHeader>::new(length);
    let memory = measure(|| {
        framer.buffer().extend_from_slice(&stream);
        assert!(framer.next_frame().is_ok_and(|frame| frame.is_some()));
    });
    assert_eq!(framer.buffer().as_ref(), b"\x15\x00");
    assert!(memory.bytes_max >= length.into());
    assert!(memory.bytes_current < 1000, "{} bytes are kept", memory.bytes_current);
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let claim =
        RequestHeader { msg_type: 0, seq_num: 0, function_id: 1, length: 1 << 27, attach_length: u32::MAX };
    let mut framer = Framer::<RequestHeader>::new(frame::DEFAULT_MAX_PAYLOAD);
    let memory = measure(|| {
        framer.buffer().extend_from_slice(&claim.to_bytes());
        assert_eq!(framer.next_frame(), Ok(None));
    });
    assert!(memory.bytes_max < 1000, "{} bytes", memory.bytes_max);
}

#[test]
fn decoding_a_large_batch_allocates_nothing() {
    let _ = Method::Ping.contract();
    let captures = common::captures();
    let largest =
        captures.iter().max_by_key(|capture| capture.bytes.len()).unwrap_or_else(|| panic!("no captures"));
    let payload = largest.parts().payload;
    let (mut count, mut sum) = (0, 0);
    let memory = measure(|| {
        if let Ok((Request::BatchExistKey(call), _)) = Request::decode_as(Method::BatchExistKey, &payload) {
            count = call.keys.len();
            sum = call.keys.iter().map(<[u8]>::len).sum();
        }
    });
    assert_eq!((count, sum), (66_000, 384_890), "keys and bytes of keys");
    assert_eq!(memory.count_total, 0);
}

/// An error says where, what was found and what was expected.
#[test]
fn errors_name_field_offset_and_expectation() {
    let refusal = |payload: &[u8]| match Request::decode_as(Method::Remove, payload) {
        Ok((request, _)) => panic!("{request:?}"),
        Err(error) => error,
    };
    let hash = Method::Remove.contract().request.hash().to_le_bytes();
    let with_hash = |values: &[u8]| refusal(&[&hash[..], values].concat());

    let error = with_hash(b"\x03ab");
    assert_eq!((error.field, error.offset), ("Remove.key", 4));
    assert_eq!(error.problem, Problem::LengthBeyondPayload { claimed: 3, remaining: 2 });
    assert_eq!(
        error.to_string(),
        "Remove.key at byte 4 of the payload: a length of 3 was found, but only 2 bytes follow"
    );

    let error = with_hash(b"\x01a\x00");
    assert_eq!((error.field, error.offset), ("Remove.tenant_id", 7));
    assert_eq!(error.problem, Problem::Truncated { needed: 1, remaining: 0 });

    let error = refusal(&[0; 8]);
    let expected = Method::Remove.contract().request.hash();
    assert_eq!((error.field, error.offset), ("type hash", 0));
    assert_eq!(error.problem, Problem::WrongHash { found: 0, expected });

    let with_metainfo =
        |metainfo: u8| refusal(&[&[hash[0] | 1][..], &hash[1..], &[metainfo], &[0; 40]].concat());
    assert_eq!(with_metainfo(0x20).problem, Problem::ReservedMetainfo { found: 0x20 });
    let error = with_metainfo(0x04);
    assert_eq!((error.field, error.offset), ("type literal", 5));
    assert_eq!(error.problem, Problem::WrongLiteral { expected_len: 7 });
}

#[test]
fn flags_and_alternatives_are_checked() {
    let response = |method: Method, values: &[u8]| {
        let hash = method.contract().response.hash().to_le_bytes();
        let payload = [&hash[..], values].concat();
        Message::decode(method, Direction::Response, &payload).map(|_| ()).map_err(|error| {
            assert!(!error.field.is_empty(), "{error}");
            error.problem
        })
    };
    assert_eq!(response(Method::PutEnd, &[2]), Err(Problem::NotAFlag { found: 2 }));
    assert_eq!(response(Method::PutEnd, &[1]), Ok(()));
    let replica = [&[1, 1][..], &[0; 8], &[5]].concat();
    assert_eq!(
        response(Method::PutStart, &replica),
        Err(Problem::UnknownAlternative { found: 5, alternatives: 5 })
    );
}
