//! A quick measurement of the Mooncake door: `wire_load HOST:PORT PID [SECONDS]`.
//!
//! Each connection has one request outstanding, as the released client does,
//! and writes the short form. PID is the server's process, whose CPU time is
//! read from /proc. Every answer is checked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use standfast_wire::calls::{self as w, Call};
use standfast_wire::frame::{self, Framer};
use standfast_wire::types::{
    ObjectDataType, ObjectMeta, ReplicaType, ReplicateConfig, Segment, SoftPinAction, Uuid,
};
use standfast_wire::{Form, List, Response, ResponseHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const BATCH: usize = 128;
const VALUE_BYTES: u64 = 4096;
const TENANT: &[u8] = b"default";
const CLIENT: Uuid = Uuid { first: 1, second: 1 };
/// Clock ticks a second in /proc, on every Linux of today.
const TICKS: f64 = 100.0;

/// One connection.
struct Connection {
    socket: TcpStream,
    framer: Framer<ResponseHeader>,
    request: Vec<u8>,
    seq: u32,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
        socket.set_nodelay(true)?;
        let framer = Framer::new(frame::DEFAULT_MAX_PAYLOAD);
        Ok(Self { socket, framer, request: Vec::new(), seq: 0 })
    }

    /// Calls, and hands the result to `check`.
    async fn call<'a, C: Call<'a>>(&mut self, call: &C, check: fn(&Response<'_>) -> bool) -> Result<()> {
        self.request.clear();
        self.seq = self.seq.wrapping_add(1);
        frame::write_request(&mut self.request, self.seq, call, Form::SHORT)?;
        self.socket.write_all(&self.request).await?;
        let frame = loop {
            if let Some(frame) = self.framer.next_frame()? {
                break frame;
            }
            ensure!(
                self.socket.read_buf(self.framer.buffer()).await? > 0,
                "the server closed the connection"
            );
        };
        let name = C::METHOD.name();
        ensure!(frame.header.err_code == 0, "{name}: transport error {}", frame.header.err_code);
        ensure!(frame.header.seq_num == self.seq, "{name}: an answer out of order");
        let (response, _) = Response::decode_as(C::METHOD, &frame.payload)?;
        ensure!(check(&response), "{name}: a refused element");
        Ok(())
    }
}

fn all_ok(response: &Response<'_>) -> bool {
    match response {
        Response::MountSegment(mounted) => mounted.is_ok(),
        Response::BatchPutStart(r) => r.len() == BATCH && r.iter().all(|r| r.is_ok_and(|l| l.len() == 1)),
        Response::BatchPutEnd(r) => r.len() == BATCH && r.iter().all(|r| r.is_ok()),
        Response::BatchExistKey(r) => r.len() == BATCH && r.iter().all(|r| r == Ok(true)),
        _ => false,
    }
}

fn config() -> ReplicateConfig<'static> {
    ReplicateConfig {
        replica_num: 1,
        nof_replica_num: 0,
        dfs_replica_num: 0,
        soft_pin_action: SoftPinAction::PRESERVE,
        soft_pin_ttl_ms: None,
        with_hard_pin: false,
        preferred_segments: List::default(),
        preferred_segment: b"",
        preferred_nof_segments: List::default(),
        prefer_alloc_in_same_node: false,
        data_type: ObjectDataType::KVCACHE,
        host_id: b"",
        group_ids: None,
    }
}

async fn mount(address: &str) -> Result<()> {
    let segment = Segment {
        id: Uuid { first: 1, second: 0 },
        name: b"load:1",
        base: 1 << 44,
        size: 1 << 44,
        te_endpoint: b"10.0.0.1:17000",
        protocol: b"tcp",
        host_id: b"",
    };
    Connection::open(address).await?.call(&w::MountSegment { segment, client_id: CLIENT }, all_ok).await
}

fn keys(prefix: &str, batch: usize) -> Vec<String> {
    (0..BATCH).map(|i| format!("{prefix}-{:012}", batch * BATCH + i)).collect()
}

/// Writes new objects until `until`; the number of batches.
async fn puts(address: String, prefix: String, until: Instant) -> Result<usize> {
    let mut connection = Connection::open(&address).await?;
    let mut batches = 0;
    while Instant::now() < until {
        let names = keys(&prefix, batches);
        let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let start = w::BatchPutStart {
            client_id: CLIENT,
            keys: List::new(&keys),
            slice_lengths: List::new(&[VALUE_BYTES; BATCH]),
            config: config(),
            tenant_id: TENANT,
        };
        connection.call(&start, all_ok).await?;
        let metas: Vec<_> = keys.iter().map(|key| ObjectMeta { key, object_checksum: None }).collect();
        let object_metas = List::new(&metas);
        let end = w::BatchPutEnd {
            client_id: CLIENT,
            object_metas,
            replica_type: ReplicaType::ALL,
            tenant_id: TENANT,
        };
        connection.call(&end, all_ok).await?;
        batches += 1;
    }
    Ok(batches)
}

/// Asks for objects that are there until `until`; the number of batches.
async fn exists(address: String, prefix: String, written: usize, until: Instant) -> Result<usize> {
    let mut connection = Connection::open(&address).await?;
    let mut batches = 0;
    while Instant::now() < until {
        let names = keys(&prefix, batches % written);
        let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        connection.call(&w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT }, all_ok).await?;
        batches += 1;
    }
    Ok(batches)
}

/// CPU seconds that the process has used.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let after_name = stat.rsplit_once(')').context("the process's name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |i: usize| -> Result<f64> { Ok(fields.get(i).context("a short stat line")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

fn report(what: &str, connections: usize, elements: usize, seconds: f64, cpu: f64) {
    let each = cpu * 1e6 / elements as f64;
    println!(
        "{what} {connections} connection(s), batches of {BATCH}: {:.0} a second, server CPU {each:.2} us each, \
         {:.0} % of one core",
        elements as f64 / seconds,
        100.0 * cpu / seconds
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, pid, rest @ ..] = &args[..] else {
        anyhow::bail!("usage: wire_load HOST:PORT PID [SECONDS]")
    };
    let pid: u32 = pid.parse().with_context(|| format!("PID is `{pid}`: expected a number"))?;
    let seconds = rest.first().map_or(Ok(3), |s| s.parse()).context("SECONDS: expected a number")?;
    mount(address).await?;
    for connections in [1, 2] {
        let prefix = |i: usize| format!("load-{connections}-{i}");
        let (cpu, begun) = (cpu_seconds(pid)?, Instant::now());
        let until = begun + Duration::from_secs(seconds);
        let tasks: Vec<_> =
            (0..connections).map(|i| tokio::spawn(puts(address.clone(), prefix(i), until))).collect();
        let mut written = Vec::new();
        for task in tasks {
            written.push(task.await??);
        }
        let (took, used) = (begun.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu);
        report("puts  ", connections, written.iter().sum::<usize>() * BATCH, took, used);

        let (cpu, begun) = (cpu_seconds(pid)?, Instant::now());
        let until = begun + Duration::from_secs(seconds);
        let tasks: Vec<_> = written
            .iter()
            .enumerate()
            .map(|(i, written)| tokio::spawn(exists(address.clone(), prefix(i), *written, until)))
            .collect();
        let mut asked = 0;
        for task in tasks {
            asked += task.await??;
        }
        report("exists", connections, asked * BATCH, begun.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu);
    }
    Ok(())
}
