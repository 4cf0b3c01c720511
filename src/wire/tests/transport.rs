//! Streams and headers: what is followed, what is refused, and in which words.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::borrow::Cow;

use common::Direction;
use serde_json::Value;
use standfast_wire::frame::{self, FrameError};
use standfast_wire::{Form, Framer, Method, Request, RequestHeader, ResponseHeader, RpcError};

const LIMIT: u32 = 1 << 20;

fn framer(bytes: &[u8]) -> Framer<RequestHeader> {
    let mut framer = Framer::new(LIMIT);
    framer.buffer().extend_from_slice(bytes);
    framer
}

/// What a server made of this crate answers to one recorded exchange: `Err`
/// where it would carry the call out, and whether the connection stays open.
fn reactions(sent: &[u8]) -> (Vec<Result<Vec<u8>, u32>>, bool) {
    let mut framer = framer(sent);
    let mut answers = Vec::new();
    loop {
        let frame = match framer.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return (answers, framer.buffer().is_empty()),
            Err(_) => return (answers, false),
        };
        answers.push(match Request::decode(frame.header.function_id, &frame.payload) {
            Ok(_) => Err(frame.header.seq_num),
            Err(error) => {
                let mut reply = Vec::new();
                let written = frame::write_error(&mut reply, frame.header.seq_num, &error.rpc_error());
                assert_eq!(written, Ok(()), "{error}");
                Ok(reply)
            }
        });
    }
}

#[test]
fn malformed_input_gets_the_reference_masters_reaction() {
    let cases = common::json(&common::data("frames/_transport.json"));
    let cases = cases.as_array().cloned().unwrap_or_default();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let name = &case["name"];
        let (answers, open) = reactions(&common::hex(&case["sent_hex"]));
        assert_eq!(open, case["connection_after"] == "open", "{name}: connection");
        let received: Vec<_> =
            case["received_hex"].as_array().into_iter().flatten().map(common::hex).collect();
        assert_eq!(answers.len(), received.len(), "{name}: number of answers");
        for (answer, received) in answers.iter().zip(&received) {
            let header = common::only_frame::<ResponseHeader>(received).header;
            match answer {
                Ok(error) => assert_eq!(error, received, "{name}: error frame"),
                Err(seq_num) => {
                    assert_eq!((header.err_code, header.seq_num), (0, *seq_num), "{name}: accepted");
                }
            }
        }
    }
}

#[test]
fn recorded_errors_are_read() {
    let cases = common::json(&common::data("frames/_transport.json"));
    let mut read = 0;
    for case in cases.as_array().into_iter().flatten() {
        for (decoded, received) in case["decoded"].as_array().into_iter().flatten().zip(errors_of(case)) {
            let frame = common::only_frame::<ResponseHeader>(&received);
            let error = RpcError::decode(frame.header.err_code, &frame.payload);
            let code = decoded["rpc_error"]["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            let message = decoded["rpc_error"]["msg"].as_str().unwrap_or_default().as_bytes().to_vec();
            assert_eq!(error.as_ref().ok().map(|error| error.code), code);
            assert_eq!(error.map(|error| error.message), Ok(Cow::Owned(message)));
            read += 1;
        }
    }
    assert_eq!(read, 9, "error answers in the recording");
}

fn errors_of(case: &Value) -> impl Iterator<Item = Vec<u8>> {
    let received = case["received_hex"].as_array().into_iter().flatten().map(common::hex);
    received.filter(|bytes| bytes[2] != 0)
}

#[test]
fn an_error_beyond_one_byte_travels_as_code_and_text() {
    let error = RpcError { code: 300, message: Cow::Borrowed(b"no") };
    let mut bytes = Vec::new();
    assert_eq!(frame::write_error(&mut bytes, 9, &error), Ok(()));
    let frame = common::only_frame::<ResponseHeader>(&bytes);
    assert_eq!((frame.header.err_code, frame.header.seq_num), (255, 9));
    assert_eq!(frame.payload.as_ref(), b"\x4d\xe6\x2b\x37\x04\xfd\x08\x80\x0c\xff\x00\x2c\x01\x02no");
    assert_eq!(RpcError::decode(255, &frame.payload), Ok(error));
    // 255 itself cannot be told by the header alone.
    let error = RpcError { code: 255, message: Cow::Borrowed(b"") };
    bytes.clear();
    assert_eq!(frame::write_error(&mut bytes, 9, &error), Ok(()));
    let frame = common::only_frame::<ResponseHeader>(&bytes);
    assert_eq!(RpcError::decode(frame.header.err_code, &frame.payload), Ok(error));
}

#[test]
fn foreign_bytes_are_refused_as_soon_as_they_show() {
    let refused = |bytes: &[u8]| framer(bytes).next_frame().map(|frame| frame.is_some());
    assert_eq!(refused(b"G"), Err(FrameError::WrongMagic { found: b'G' }));
    assert_eq!(refused(&[0x15, 1]), Err(FrameError::UnknownVersion { found: 1 }));
    assert_eq!(refused(&[0x15, 0, 2]), Err(FrameError::UnknownSerialization { found: 2 }));
    assert_eq!(refused(&[]), Ok(false));
    assert_eq!(refused(&[0x15, 0, 0]), Ok(false));
}

#[test]
fn an_error_stays_the_answer() {
    let mut framer = framer(b"G");
    for _ in 0..2 {
        framer.buffer().extend_from_slice(&[0x15; 40]);
        assert_eq!(framer.next_frame(), Err(FrameError::WrongMagic { found: b'G' }));
    }
}

#[test]
fn the_limit_counts_to_the_byte_and_needs_only_the_header() {
    let header = |length| {
        RequestHeader { msg_type: 0, seq_num: 0, function_id: 1, length, attach_length: 0 }.to_bytes()
    };
    assert_eq!(framer(&header(LIMIT)).next_frame(), Ok(None));
    let too_large = FrameError::PayloadTooLarge { claimed: LIMIT + 1, limit: LIMIT };
    assert_eq!(framer(&header(LIMIT + 1)).next_frame(), Err(too_large));
    assert_eq!(framer(&header(LIMIT + 1)[..19]).next_frame(), Ok(None));
}

#[test]
fn attachments_are_dropped_as_they_arrive() {
    let header =
        |attach_length| RequestHeader { msg_type: 0, seq_num: 5, function_id: 1, length: 2, attach_length };
    let mut framer = framer(&[&header(1_000_000).to_bytes()[..], b"ab", &[7; 10]].concat());
    let frame = framer.next_frame().ok().flatten();
    assert_eq!(frame.as_ref().map(|frame| frame.payload.as_ref()), Some(&b"ab"[..]));
    assert_eq!(framer.next_frame(), Ok(None));
    for _ in 0..9 {
        framer.buffer().extend_from_slice(&[7; 100_000]);
        assert_eq!(framer.next_frame(), Ok(None));
        assert!(framer.buffer().is_empty(), "the attachment is kept");
    }
    framer.buffer().extend_from_slice(&[7; 99_990]);
    framer.buffer().extend_from_slice(&header(0).to_bytes());
    framer.buffer().extend_from_slice(b"cd");
    let frame = framer.next_frame().ok().flatten();
    assert_eq!(frame.map(|frame| frame.payload), Some(b"cd"[..].into()));
}

#[test]
fn frames_are_found_however_the_stream_is_cut() {
    let captures: Vec<_> = common::captures()
        .into_iter()
        .filter(|capture| capture.direction == Direction::Request && capture.bytes.len() < 2000)
        .take(300)
        .collect();
    let stream: Vec<u8> = captures.iter().flat_map(|capture| capture.bytes.clone()).collect();
    for piece in [1, 5, 19, 20, 21, 1000, stream.len()] {
        let mut framer = Framer::<RequestHeader>::new(LIMIT);
        let mut found = Vec::new();
        for bytes in stream.chunks(piece) {
            framer.buffer().extend_from_slice(bytes);
            while let Some(frame) = framer.next_frame().unwrap_or_else(|error| panic!("{error}")) {
                found.push([&frame.header.to_bytes()[..], &frame.payload].concat());
            }
        }
        assert!(found.iter().eq(captures.iter().map(|capture| &capture.bytes)), "in pieces of {piece}");
    }
}

#[test]
fn frames_are_written_as_they_were_recorded() {
    let golden = common::golden();
    let recorded = |method, direction| {
        let mut frames = golden.iter().map(|golden| &golden.frame);
        let found = frames.find(|frame| frame.method == method && frame.direction == direction);
        found.unwrap_or_else(|| panic!("no frame of this kind"))
    };

    let request = recorded(Method::Ping, Direction::Request);
    let frame = common::only_frame::<RequestHeader>(&request.bytes);
    let Ok((Request::Ping(ping), _)) = Request::decode(frame.header.function_id, &frame.payload) else {
        panic!("not a Ping")
    };
    let mut written = b"before".to_vec();
    assert_eq!(frame::write_request(&mut written, frame.header.seq_num, &ping, Form::LONG), Ok(()));
    assert_eq!(written, [b"before", &request.bytes[..]].concat());

    let response = recorded(Method::ServiceReady, Direction::Response);
    let seq_num = common::only_frame::<ResponseHeader>(&response.bytes).header.seq_num;
    written.clear();
    let result = frame::write_response::<standfast_wire::calls::ServiceReady>(
        &mut written,
        seq_num,
        &Ok(b"2.0.0"),
        Form::LONG,
    );
    assert_eq!((result, &written), (Ok(()), &response.bytes));
}
