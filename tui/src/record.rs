//! Recordings: a line that says what the file is, then what arrived, in order. Bounded: when a file reaches its limit,
//! the older half of it goes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::{Value, json};
use standfast_proto::v1::{Event, Role, StatusUpdate};

use crate::time::Time;

/// Version of the format.
const SCHEMA: u64 = 1;
const KIND: &str = "standfast console recording";
/// Size of a recording, unless said otherwise.
pub const BYTES_MAX: u64 = 256 << 20;
/// Larger files are not opened: they would have to fit the memory.
const READ_MAX: u64 = 1 << 30;
/// The first line is not longer.
const HEADER_MAX: u64 = 4096;

/// Something that arrived.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// On the console's clock, milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub at_ms: u64,
    /// The node that was asked.
    #[prost(string, tag = "2")]
    pub addr: String,
    /// What it sent.
    #[prost(message, optional, tag = "3")]
    pub update: Option<StatusUpdate>,
    /// Or why the connection ended.
    #[prost(string, optional, tag = "4")]
    pub lost: Option<String>,
    /// Or what the operator did, and what came of it.
    #[prost(message, optional, tag = "5")]
    pub acted: Option<Event>,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error("cannot read {path}: {error}")]
    Io {
        /// Of the file.
        path: String,
        /// What it says.
        error: io::Error,
    },
    /// It is something else.
    #[error("{path} is no recording of a console: {why}")]
    Format {
        /// Of the file.
        path: String,
        /// What was expected.
        why: String,
    },
}

/// A role change that a recording shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When the console saw the new primary.
    pub at: Time,
    /// The new epoch.
    pub epoch: u64,
    /// The new primary.
    pub node: String,
}

/// A whole recording, in memory.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Where it came from.
    pub path: String,
    /// In order of time.
    pub records: Vec<Record>,
    /// Failovers in it.
    pub marks: Vec<Mark>,
    /// The last record is cut off: the recorder was killed.
    pub torn: bool,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no recording of a known version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let shown = path.display().to_string();
        let io = |error| ReadError::Io { path: shown.clone(), error };
        let format = |why: String| ReadError::Format { path: shown.clone(), why };
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > READ_MAX {
            return Err(format(format!("it has {size} bytes, at most {READ_MAX} can be replayed")));
        }
        let mut reader = BufReader::new(file);
        let mut header = Vec::new();
        (&mut reader).take(HEADER_MAX).read_until(b'\n', &mut header).map_err(io)?;
        check_header(&header).map_err(format)?;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).map_err(io)?;
        let (records, torn) = decode(&rest).map_err(format)?;
        if records.is_empty() {
            return Err(format("nothing was recorded".to_owned()));
        }
        let marks = marks(&records);
        Ok(Self { path: shown, records, marks, torn })
    }

    /// Its first moment.
    #[must_use]
    pub fn begin(&self) -> Time {
        Time(self.records.first().map_or(0, |record| record.at_ms))
    }

    /// Its last moment.
    #[must_use]
    pub fn end(&self) -> Time {
        Time(self.records.last().map_or(0, |record| record.at_ms))
    }
}

fn check_header(line: &[u8]) -> Result<(), String> {
    let header: Value = serde_json::from_slice(line).map_err(|_| "its first line is no JSON".to_owned())?;
    if header["kind"] != KIND {
        return Err(format!("expected the kind `{KIND}`"));
    }
    match header["schema"].as_u64() {
        Some(SCHEMA) => Ok(()),
        Some(other) => Err(format!("its version is {other}, this console reads version {SCHEMA}")),
        None => Err("it names no version".to_owned()),
    }
}

fn decode(mut rest: &[u8]) -> Result<(Vec<Record>, bool), String> {
    let mut records: Vec<Record> = Vec::new();
    while !rest.is_empty() {
        let mut ahead = rest;
        let Ok(length) = prost::decode_length_delimiter(&mut ahead) else { return Ok((records, true)) };
        if ahead.len() < length {
            // The recorder ended in the middle of a record.
            return Ok((records, true));
        }
        let (body, next) = ahead.split_at(length);
        let nr = records.len() + 1;
        let record = Record::decode(body).map_err(|error| format!("record {nr} cannot be read: {error}"))?;
        if records.last().is_some_and(|last| last.at_ms > record.at_ms) {
            return Err(format!("record {nr} is older than the one before it"));
        }
        records.push(record);
        rest = next;
    }
    Ok((records, false))
}

/// Each moment at which a primary of a higher epoch is seen; the first primary is no change.
fn marks(records: &[Record]) -> Vec<Mark> {
    let mut highest = None;
    let mut marks = Vec::new();
    for record in records {
        let status = record.update.as_ref().and_then(|update| update.status.as_ref());
        let leads = status.and_then(|s| s.leadership.as_ref()).filter(|l| l.role() == Role::Primary);
        let Some(epoch) = leads.and_then(|leadership| leadership.epoch) else { continue };
        if highest.is_some_and(|highest| epoch > highest) {
            let node = status.and_then(|s| s.identity.as_ref()).map_or("?", |identity| &identity.node);
            marks.push(Mark { at: Time(record.at_ms), epoch, node: node.to_owned() });
        }
        highest = highest.max(Some(epoch));
    }
    marks
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Recorder {
    /// Begins a new file; one that exists is replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, started: Time, bytes_max: u64) -> io::Result<Self> {
        let header = json!({"schema": SCHEMA, "kind": KIND, "started": started.rfc3339(),
            "console": env!("CARGO_PKG_VERSION")});
        let mut file = File::create(path)?;
        let header = format!("{header}\n");
        file.write_all(header.as_bytes())?;
        Ok(Self { path: path.to_owned(), file, bytes: header.len() as u64, bytes_max })
    }

    /// Appends a record, and lets the older half go when the limit is reached.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let bytes = record.encode_length_delimited_to_vec();
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max { self.halve() } else { Ok(()) }
    }

    /// Size of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the newer half to a file beside this one, which then takes its place: a crash loses neither.
    fn halve(&mut self) -> io::Result<()> {
        let whole = std::fs::read(&self.path)?;
        let header = whole.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut from = header;
        while whole.len() - from > self.bytes_max as usize / 2 {
            let mut ahead = &whole[from..];
            let Ok(length) = prost::decode_length_delimiter(&mut ahead) else { break };
            from = (whole.len() - ahead.len()).saturating_add(length).min(whole.len());
        }
        let beside = self.path.with_extension("halved");
        let mut file = File::create(&beside)?;
        file.write_all(&whole[..header])?;
        file.write_all(&whole[from..])?;
        std::fs::rename(&beside, &self.path)?;
        self.file = file;
        self.bytes = (header + whole.len() - from) as u64;
        Ok(())
    }
}
