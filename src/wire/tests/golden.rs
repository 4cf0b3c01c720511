//! Every recorded frame decodes, and encodes to the bytes it came in.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::{HashMap, HashSet};

use common::{Direction, Message, Recorded};
use standfast_wire::calls::ExistKey;
use standfast_wire::{Form, Method, Request, Width};

/// Takes a frame apart and puts it together again.
fn round_trip(frame: &Recorded) {
    let origin = &frame.origin;
    let parts = frame.parts();
    assert_eq!(parts.error, None, "{origin}");
    let (message, form) = Message::decode(frame.method, frame.direction, &parts.payload)
        .unwrap_or_else(|error| panic!("{origin}: {error}"));

    let again = [parts.header, message.encode(form)].concat();
    assert_eq!(again, frame.bytes, "{origin}: in the form it came in");
    // With the width left to the writer this also proves the rule for widths.
    assert_eq!(message.encode(Form::LONG), parts.payload, "{origin}: in the long form");
    let short = message.encode(Form::SHORT);
    assert_eq!(
        short,
        shortened(frame.method, frame.direction, &parts.payload),
        "{origin}: in the short form"
    );
    let (from_short, _) = Message::decode(frame.method, frame.direction, &short)
        .unwrap_or_else(|error| panic!("{origin}: short form: {error}"));
    assert_eq!(from_short, message, "{origin}: from the short form");
}

/// Makes the short form from the long form's bytes, knowing nothing of types:
/// takes out the literal, and the metainfo byte too when it says nothing else.
fn shortened(method: Method, direction: Direction, long: &[u8]) -> Vec<u8> {
    if long.is_empty() {
        assert_eq!(direction, Direction::Request, "{}: a result is never empty", method.name());
        return Vec::new();
    }
    let (hash, rest) = long.split_at(4);
    let metainfo = rest[0];
    let literal_end = rest.iter().position(|&byte| byte == 0).unwrap_or_else(|| panic!("no literal"));
    let mut short = hash.to_vec();
    match metainfo & !0b100 {
        0 => short[0] &= !1,
        width => short.push(width),
    }
    short.extend_from_slice(&rest[literal_end + 1..]);
    short
}

#[test]
fn every_golden_frame_survives_a_round_trip() {
    let golden = common::golden();
    assert_eq!(golden.len(), 516 + 223, "golden frames and failover traces");
    for golden in &golden {
        round_trip(&golden.frame);
    }
    let selected = golden.iter().filter(|golden| !golden.place.0.starts_with('_'));
    let seen: HashSet<_> =
        selected.map(|golden| (golden.frame.method, golden.frame.direction as u8)).collect();
    assert_eq!(seen.len(), 2 * 64, "a request and a response of each call");
}

#[test]
fn every_capture_survives_a_round_trip() {
    let captures = common::captures();
    assert_eq!(captures.len(), 16_208);
    for capture in &captures {
        round_trip(capture);
    }
}

#[test]
fn the_short_form_is_that_of_the_reference_codec() {
    let expected: HashMap<_, _> = common::json_lines("short_form.jsonl.gz")
        .iter()
        .map(|line| {
            ((line[0].as_str().unwrap_or_default().to_owned(), line[1].as_u64()), common::hex(&line[2]))
        })
        .collect();
    let golden = common::golden();
    assert_eq!(expected.len(), golden.len());
    for golden in golden {
        let frame = &golden.frame;
        let parts = frame.parts();
        let (message, _) = Message::decode(frame.method, frame.direction, &parts.payload)
            .unwrap_or_else(|error| panic!("{}: {error}", frame.origin));
        let key = (golden.place.0.clone(), Some(golden.place.1));
        assert_eq!(Some(&message.encode(Form::SHORT)), expected.get(&key), "{}", frame.origin);
    }
}

#[test]
fn every_stated_width_is_kept() {
    let exist = ExistKey { key: b"k", tenant_id: b"default" };
    for (width, length) in [(Width::One, 15), (Width::Two, 17), (Width::Four, 21), (Width::Eight, 29)] {
        for literal in [false, true] {
            let form = Form { literal, width: Some(width) };
            let payload = Message::Request(Request::ExistKey(exist)).encode(form);
            assert_eq!(payload.len(), length + if literal { 7 } else { 0 });
            let decoded = Message::decode(Method::ExistKey, Direction::Request, &payload);
            assert_eq!(decoded, Ok((Message::Request(Request::ExistKey(exist)), form)));
        }
    }
}

#[test]
fn a_stated_width_that_is_too_narrow_gives_way() {
    let key = [b'k'; 256];
    let exist = Request::ExistKey(ExistKey { key: &key, tenant_id: b"" });
    let payload = Message::Request(exist).encode(Form { literal: false, width: Some(Width::One) });
    let (decoded, form) = Request::decode_as(Method::ExistKey, &payload).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((decoded, form.width), (exist, Some(Width::Two)));
}

#[test]
fn the_tables_hold_what_is_computed() {
    let ids = common::json(&common::data("function_ids.json"));
    let hashes = common::json(&common::data("type_hashes.json"));
    assert_eq!(ids.as_object().map(serde_json::Map::len), Some(Method::ALL.len()));
    // The two further entries are payloads of errors, which belong to no call.
    assert_eq!(hashes.as_object().map(serde_json::Map::len), Some(Method::ALL.len() + 2));
    for method in Method::ALL {
        let contract = method.contract();
        assert_eq!(contract.method, method);
        assert_eq!(ids[method.name()]["id"], contract.function_id, "{}", method.name());
        assert_eq!(Method::from_function_id(contract.function_id), Some(method));
        for (side, schema) in [("request", &contract.request), ("response", &contract.response)] {
            let expected = &hashes[method.name()][side];
            let name = format!("{} of {}", side, method.name());
            assert_eq!(expected.is_null(), schema.is_empty(), "{name}");
            if schema.is_empty() {
                continue;
            }
            assert_eq!(expected["hash"], format!("{:#010x}", schema.hash()), "{name}");
            assert_eq!(common::hex(&expected["literal"]), schema.literal(), "{name}");
        }
    }
    assert_eq!(Method::from_function_id(0x1234_5678), None);
}
