//! A collector of spans that reads and forgets them, so that what the exporter costs is measured and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// Takes spans over HTTP as long as this process lives.
pub(super) struct Sink {
    /// As `--otlp` takes it.
    pub(super) url: String,
    taken: Arc<AtomicU64>,
}

impl Sink {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen for spans")?;
        let url = format!("http://{}/v1/traces", listener.local_addr()?);
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                // Whoever sends has ended its connection, in one way or another.
                thread::spawn(move || drop(take(stream, &counted)));
            }
        });
        Ok(Self { url, taken })
    }

    /// Bytes of spans so far.
    pub(super) fn bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Reads request after request of one connection.
fn take(stream: TcpStream, counted: &AtomicU64) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut answers = stream;
    loop {
        let mut length = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            length = line.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().ok());
        }
        let Some(length) = length else { bail!("a request without a length") };
        let read = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        counted.fetch_add(read, Ordering::Relaxed);
        answers.write_all(ANSWER)?;
    }
}

#[test]
fn requests_of_one_connection_are_taken_and_counted() {
    let sink = Sink::start().expect("a port");
    let address =
        sink.url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    for _ in 0..2 {
        write!(stream, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").expect("sent");
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(answer, ANSWER);
    }
    assert_eq!(sink.bytes(), 6);
}
