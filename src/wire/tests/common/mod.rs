//! The recorded traffic under `tests/wire/data`; its README says where it is from.
#![expect(dead_code, reason = "each test uses a part of it")]

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::Value;
use standfast_wire::frame::{Frame, Header};
use standfast_wire::{
    Form, Framer, Method, Request, RequestHeader, Response, ResponseHeader, RpcError, frame,
};

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// One frame as it was seen on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Says which frame it is when a test fails.
    pub(crate) origin: String,
    pub(crate) method: Method,
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
}

/// A golden frame, with what the reference codec makes of it.
pub(crate) struct Golden {
    pub(crate) frame: Recorded,
    /// Name of its file and index in there.
    pub(crate) place: (String, u64),
    pub(crate) decoded: Value,
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire/data").join(name)
}

pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a compressed file, each a JSON value.
pub(crate) fn json_lines(name: &str) -> Vec<Value> {
    let path = data(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    assert!(digits.len().is_multiple_of(2), "an odd number of hex digits");
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|error| panic!("{pair}: {error}"))).collect()
}

pub(crate) fn method(name: &str) -> Method {
    let found = Method::ALL.into_iter().find(|method| method.name() == name);
    found.unwrap_or_else(|| panic!("no call is named {name}"))
}

/// All golden frames: those selected per call, and two failover traces.
pub(crate) fn golden() -> Vec<Golden> {
    let mut paths: Vec<_> = std::fs::read_dir(data("frames"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .unwrap_or_else(|error| panic!("frames: {error}"))
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| golden_in(path)).collect()
}

fn golden_in(path: &Path) -> Vec<Golden> {
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if name == "_transport" {
        return Vec::new();
    }
    let file = json(path);
    let entries = file.get("events").unwrap_or(&file).as_array().cloned().unwrap_or_default();
    let frames = entries.into_iter().enumerate().filter(|(_, entry)| entry.get("hex").is_some());
    frames
        .map(|(index, entry)| Golden {
            frame: Recorded {
                origin: format!("{name}[{index}]"),
                method: method(entry["rpc"].as_str().unwrap_or_default()),
                direction: if entry["direction"] == "request" {
                    Direction::Request
                } else {
                    Direction::Response
                },
                bytes: hex(&entry["hex"]),
            },
            place: (name.clone(), index as u64),
            decoded: entry["decoded"].clone(),
        })
        .collect()
}

/// All captured frames.
pub(crate) fn captures() -> Vec<Recorded> {
    let lines = json_lines("captures.jsonl.gz");
    let frames = lines.iter().enumerate().flat_map(|(index, line)| {
        let method = method(line[0].as_str().unwrap_or_default());
        [(Direction::Request, &line[3]), (Direction::Response, &line[4])].map(|(direction, digits)| {
            Recorded { origin: format!("capture {index}"), method, direction, bytes: hex(digits) }
        })
    });
    frames.collect()
}

/// The only frame in some bytes, which have to end with it.
pub(crate) fn only_frame<H: Header>(bytes: &[u8]) -> Frame<H> {
    let mut framer = Framer::<H>::new(frame::DEFAULT_MAX_PAYLOAD);
    framer.buffer().extend_from_slice(bytes);
    let frame = framer.next_frame().unwrap_or_else(|error| panic!("{error}"));
    assert!(framer.buffer().is_empty(), "bytes are left behind the frame");
    frame.unwrap_or_else(|| panic!("the frame is not complete"))
}

/// The message in a payload, whichever direction it is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message<'a> {
    Request(Request<'a>),
    Response(Response<'a>),
}

impl<'a> Message<'a> {
    pub(crate) fn decode(
        method: Method,
        direction: Direction,
        payload: &'a [u8],
    ) -> Result<(Self, Form), standfast_wire::DecodeError> {
        match direction {
            Direction::Request => {
                Request::decode_as(method, payload).map(|(it, form)| (Self::Request(it), form))
            }
            Direction::Response => {
                Response::decode_as(method, payload).map(|(it, form)| (Self::Response(it), form))
            }
        }
    }

    pub(crate) fn encode(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Request(request) => request.encode(form, &mut out),
            Self::Response(response) => response.encode(form, &mut out),
        }
        out
    }
}

/// A recorded frame taken apart: the header's bytes and the payload.
pub(crate) struct Parts {
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Bytes,
    pub(crate) error: Option<RpcError>,
}

impl Recorded {
    pub(crate) fn parts(&self) -> Parts {
        match self.direction {
            Direction::Request => {
                let frame = only_frame::<RequestHeader>(&self.bytes);
                assert_eq!(
                    Method::from_function_id(frame.header.function_id),
                    Some(self.method),
                    "{}",
                    self.origin
                );
                Parts { header: frame.header.to_bytes().into(), payload: frame.payload, error: None }
            }
            Direction::Response => {
                let frame = only_frame::<ResponseHeader>(&self.bytes);
                let error = match frame.header.err_code {
                    0 => None,
                    code => {
                        Some(RpcError::decode(code, &frame.payload).unwrap_or_else(|error| panic!("{error}")))
                    }
                };
                Parts { header: frame.header.to_bytes().into(), payload: frame.payload, error }
            }
        }
    }
}
