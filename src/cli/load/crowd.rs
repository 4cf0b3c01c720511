//! `standfast lab crowd`: very many clients in one process, each with a small segment that nobody has, over few
//! connections. After a failover all of them come back at once. SIGUSR1 makes them take back what they lend, and leave;
//! SIGUSR2 lets them forget what failed or was slow until then.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use standfast_proto::access::Channel;
use standfast_proto::v1::master_client::MasterClient;
use standfast_proto::v1::{
    ClientStatus, ErrorCode, ExistKeyRequest, MountSegmentRequest, PingRequest, PutEndItem, PutEndRequest,
    PutStartItem, PutStartRequest, ReMountSegmentRequest, ReplicateConfig, Segment, UnmountSegmentRequest,
    Uuid,
};
use tokio::signal::unix::SignalKind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Response, Status};

use super::super::ClientArgs;
use super::super::exit::{Exit, Failure};
use super::process::{asked_to_end, listen, say};
use super::route::{Answer, Caller, Route};
use super::workload::code;

/// As Mooncake's clients do.
const PING_EVERY: Duration = Duration::from_secs(1);
/// After a call that did not go through.
const PAUSE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two calls of the one client whose answers are timed.
const PROBE_EVERY: Duration = Duration::from_millis(1);
/// Segments lie at this distance from each other.
const STRIDE: u64 = 1 << 32;
const BASE: u64 = 1 << 50;
/// Names that clients of the first crowd and their segments have by number. A crowd has two of them: its fillers have their own.
const CLIENTS: u64 = 5_000;
/// Objects put with one call, and how many calls are on their way.
const FILL_BATCH: u64 = 512;
const FILLERS: u64 = 8;
const OBJECT_BYTES: u64 = 64;
/// For a call that changes something, which may be late beside everything else, and how often one of which nothing was
/// done is made again.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(30);
const CHANGE_TRIES: u32 = 500;
/// Timings kept of one failover.
const TIMES_MAX: usize = 200_000;

/// Flags of `standfast lab crowd`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CrowdArgs {
    /// How many clients, each with a segment of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Which crowd this is, where there are several: it names its clients, segments and keys
    #[arg(long, value_name = "N", default_value_t = 0)]
    crowd: u16,
    /// How many connections they share
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Bytes of each segment
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1024..=1 << 32))]
    segment_bytes: u64,
    /// How many objects are put into these segments once all clients are there
    #[arg(long, value_name = "N", default_value_t = 0)]
    objects: u64,
    /// One more client calls all the time, and is timed after a failover
    #[arg(long)]
    probe: bool,
}

/// What all clients share.
struct Crowd {
    route: Arc<Route>,
    nr: u16,
    segment_bytes: u64,
    /// The epoch in which each client was last told that all is well; 0 = never.
    told: Vec<AtomicU64>,
    remounts: AtomicU64,
    trouble: Mutex<Trouble>,
}

/// What became of calls since the first one that failed.
#[derive(Default)]
struct Trouble {
    began: Option<Instant>,
    failed: u64,
    /// Good answers to the timed client, in microseconds.
    took_us: Vec<u64>,
}

impl Crowd {
    fn new(route: Arc<Route>, args: &CrowdArgs) -> Self {
        let told = (0..args.clients).map(|_| AtomicU64::new(0)).collect();
        let (nr, segment_bytes) = (args.crowd, args.segment_bytes);
        Self { route, nr, segment_bytes, told, remounts: AtomicU64::new(0), trouble: Mutex::default() }
    }

    fn client(&self, nr: usize) -> Uuid {
        Uuid { first: CLIENTS + 2 * u64::from(self.nr), second: nr as u64 }
    }

    fn failed(&self, sent: Instant) {
        let mut trouble = self.trouble.lock();
        trouble.began.get_or_insert(sent);
        trouble.failed += 1;
    }

    fn timed(&self, sent: Instant) {
        let mut trouble = self.trouble.lock();
        if trouble.began.is_some() && trouble.took_us.len() < TIMES_MAX {
            trouble.took_us.push(sent.elapsed().as_micros() as u64);
        }
    }

    fn segment(&self, nr: usize) -> Segment {
        let name = segment_name(self.nr, nr);
        Segment {
            id: Some(self.client(nr)),
            name: name.clone(),
            base: BASE + nr as u64 * STRIDE,
            size: self.segment_bytes,
            te_endpoint: name,
            protocol: "tcp".to_owned(),
            host_id: String::new(),
        }
    }

    /// One client says that it lives, and what it lends if that is asked for, until it is told that all is well.
    async fn attach(&self, caller: &mut Caller, nr: usize) {
        let client = Some(self.client(nr));
        loop {
            let sent = Instant::now();
            let ping = PingRequest { client };
            let Answer::Reply(pong) = caller.call(|mut master| async move { master.ping(ping).await }).await
            else {
                self.failed(sent);
                sleep(PAUSE).await;
                continue;
            };
            if pong.status() == ClientStatus::NeedRemount {
                if !self.lend(caller, nr, client).await {
                    self.failed(sent);
                    sleep(PAUSE).await;
                    continue;
                }
                self.remounts.fetch_add(1, Ordering::Relaxed);
            }
            self.told[nr].store(pong.view_version, Ordering::Relaxed);
            return;
        }
    }

    /// Says what a client lends. Memory that comes back may hold bytes of a state that was lost, and waits before it is used;
    /// new memory is mounted as such first.
    async fn lend(&self, caller: &mut Caller, nr: usize, client: Option<Uuid>) -> bool {
        let segment = self.segment(nr);
        if self.told[nr].load(Ordering::Relaxed) == 0 {
            let mount = MountSegmentRequest { client, segment: Some(segment.clone()) };
            match caller.call(|mut master| async move { master.mount_segment(mount).await }).await {
                Answer::Reply(reply) if code(reply.error.as_ref()) == ErrorCode::Ok => {}
                _ => return false,
            }
        }
        let again = ReMountSegmentRequest { client, segments: vec![segment] };
        let answer = caller.call(|mut master| async move { master.re_mount_segment(again).await }).await;
        matches!(answer, Answer::Reply(reply) if code(reply.error.as_ref()) == ErrorCode::Ok)
    }

    /// Takes back what a client lends.
    async fn unmount(&self, caller: &mut Caller, nr: usize) -> Result<(), String> {
        let client = Some(self.client(nr));
        let unmount = UnmountSegmentRequest { client, segment: client };
        let reply =
            answered(
                caller,
                &unmount,
                |mut master, unmount| async move { master.unmount_segment(unmount).await },
            );
        let reply = reply.await.ok_or("no answer")?;
        all_ok("unmount", [code(reply.error.as_ref())].into_iter())
    }

    /// The newest epoch that any client knows, if all know it.
    fn common_epoch(&self) -> Option<u64> {
        let mut told = self.told.iter().map(|epoch| epoch.load(Ordering::Relaxed));
        let first = told.next().filter(|epoch| *epoch > 0)?;
        told.all(|epoch| epoch == first).then_some(first)
    }

    /// All are there in this epoch: what that took since the first call that failed. Unknown is null.
    fn attached(&self, epoch: u64) -> Value {
        let trouble = std::mem::take(&mut *self.trouble.lock());
        json!({
            "schema": 1, "event": "attached", "epoch": epoch, "clients": self.told.len(),
            "after_ms": trouble.began.map(|began| began.elapsed().as_secs_f64() * 1e3),
            "failed_calls": trouble.failed, "remounts": self.remounts.swap(0, Ordering::Relaxed),
            "call_ms": percentiles(&trouble.took_us), "calls": trouble.took_us.len(),
        })
    }
}

/// Lends and puts, and says each time that all clients are attached to a new primary, until it is asked to end.
pub(crate) async fn run(client: &ClientArgs, args: &CrowdArgs) -> Result<Exit, Failure> {
    let route = Arc::new(Route::new(client.connect.clone()));
    let crowd = Arc::new(Crowd::new(route, args));
    let mut tasks = JoinSet::new();
    let (clients, workers) = (args.clients as usize, args.connections.min(args.clients) as usize);
    for nr in 0..workers {
        tasks.spawn(live(Arc::clone(&crowd), nr * clients / workers..(nr + 1) * clients / workers));
    }
    if args.probe {
        tasks.spawn(probe(Arc::clone(&crowd)));
    }
    let mut leave = listen(SignalKind::user_defined1())?;
    tasks.spawn(forget(Arc::clone(&crowd), listen(SignalKind::user_defined2())?));
    let leaves = tokio::select! {
        () = tell(&crowd, args.objects) => false,
        asked = asked_to_end() => asked.map(|()| false)?,
        asked = leave.recv() => asked.is_some(),
    };
    tasks.shutdown().await;
    if leaves {
        say(&unmount_all(&crowd).await);
    }
    Ok(Exit::Ok)
}

/// From here on counts what a failover takes, and nothing before it.
async fn forget(crowd: Arc<Crowd>, mut asked: tokio::signal::unix::Signal) {
    while asked.recv().await.is_some() {
        *crowd.trouble.lock() = Trouble::default();
    }
}

async fn unmount_all(crowd: &Crowd) -> Value {
    let mut caller = Caller::with_limit(Arc::clone(&crowd.route), CHANGE_LIMIT);
    let (mut unmounted, mut refused) = (0_u64, None);
    for nr in 0..crowd.told.len() {
        match crowd.unmount(&mut caller, nr).await {
            Ok(()) => unmounted += 1,
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    json!({"schema": 1, "event": "unmounted", "segments": unmounted, "refused": refused})
}

/// Some of the clients, over one connection.
async fn live(crowd: Arc<Crowd>, clients: Range<usize>) {
    let mut caller = Caller::new(Arc::clone(&crowd.route));
    loop {
        let next = Instant::now() + PING_EVERY;
        for nr in clients.clone() {
            crowd.attach(&mut caller, nr).await;
        }
        sleep_until(next).await;
    }
}

/// A client that wants something else meanwhile.
async fn probe(crowd: Arc<Crowd>) {
    let mut caller = Caller::new(Arc::clone(&crowd.route));
    loop {
        let exist = ExistKeyRequest { keys: vec![key(crowd.nr, 0)], tenant: String::new() };
        let sent = Instant::now();
        match caller.call(|mut master| async move { master.exist_key(exist).await }).await {
            Answer::Reply(_) => crowd.timed(sent),
            Answer::Refused | Answer::Unknown => crowd.failed(sent),
        }
        sleep(PROBE_EVERY).await;
    }
}

async fn tell(crowd: &Arc<Crowd>, objects: u64) {
    let mut last = 0;
    loop {
        if let Some(epoch) = crowd.common_epoch().filter(|epoch| *epoch != last) {
            say(&crowd.attached(epoch));
            if last == 0 && objects > 0 {
                let began = Instant::now();
                let (put, refused) = fill(crowd, objects).await;
                let seconds = began.elapsed().as_secs_f64();
                say(
                    &json!({"schema": 1, "event": "filled", "objects": put, "seconds": seconds, "refused": refused}),
                );
            }
            last = epoch;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What so many of a hundred did not exceed, in milliseconds; null where there is nothing.
pub(super) fn percentiles(took_us: &[u64]) -> Value {
    let mut took = took_us.to_vec();
    took.sort_unstable();
    let at = |percent: usize| {
        let rank = (took.len() * percent).div_ceil(100).checked_sub(1)?;
        took.get(rank).map(|us| *us as f64 / 1e3)
    };
    json!({"p50": at(50), "p99": at(99), "max": at(100)})
}

/// Keys of a crowd by number.
pub(super) fn key(crowd: u16, nr: u64) -> bytes::Bytes {
    format!("crowd-{crowd}/{nr:012}").into_bytes().into()
}

/// Clients that put a crowd's objects and lend nothing.
pub(super) fn filler(crowd: u16, nr: u64) -> Uuid {
    Uuid { first: CLIENTS + 2 * u64::from(crowd) + 1, second: nr }
}

/// What a client of a crowd lends.
pub(super) fn segment_name(crowd: u16, client: usize) -> String {
    format!("crowd-{crowd}-{client}.invalid:1")
}

/// Puts so many objects; returns how many were acknowledged, and why the first of the others was not.
async fn fill(crowd: &Arc<Crowd>, objects: u64) -> (u64, Option<String>) {
    let mut fillers = JoinSet::new();
    for filler in 0..FILLERS {
        let crowd = Arc::clone(crowd);
        let (from, to) = (filler * objects / FILLERS, (filler + 1) * objects / FILLERS);
        fillers.spawn(async move {
            let mut caller = Caller::with_limit(Arc::clone(&crowd.route), CHANGE_LIMIT);
            let (mut put, mut refused) = (0, None);
            for first in (from..to).step_by(FILL_BATCH as usize) {
                match crowd.put_batch(&mut caller, filler, first..to.min(first + FILL_BATCH)).await {
                    Ok(()) => put += to.min(first + FILL_BATCH) - first,
                    Err(why) => refused = refused.or(Some(why)),
                }
            }
            (put, refused)
        });
    }
    let all = fillers.join_all().await.into_iter();
    all.reduce(|(put, refused), (more, why)| (put + more, refused.or(why))).unwrap_or_default()
}

impl Crowd {
    /// Puts these objects into the segment whose turn it is. A batch counts if all of it was acknowledged.
    async fn put_batch(&self, caller: &mut Caller, writer: u64, objects: Range<u64>) -> Result<(), String> {
        let turn = (objects.start / FILL_BATCH) as usize % self.told.len();
        let segment = segment_name(self.nr, turn);
        put(caller, filler(self.nr, writer), segment, objects.map(|nr| key(self.nr, nr)).collect()).await
    }
}

/// Puts objects whose bytes nobody writes, into that segment while it has room.
pub(super) async fn put(
    caller: &mut Caller,
    client: Uuid,
    segment: String,
    keys: Vec<bytes::Bytes>,
) -> Result<(), String> {
    let client = Some(client);
    let items = keys.iter().map(|key| PutStartItem { key: key.clone(), size: OBJECT_BYTES }).collect();
    let config =
        ReplicateConfig { replica_num: 1, preferred_segments: vec![segment], ..ReplicateConfig::default() };
    let start = PutStartRequest { client, config: Some(config), items, tenant: String::new() };
    let begun = answered(caller, &start, |mut master, start| async move { master.put_start(start).await });
    let begun = begun.await.ok_or("no answer to a start")?;
    all_ok("start of a put", begun.results.iter().map(|result| code(result.error.as_ref())))?;
    let items = keys.into_iter().map(|key| PutEndItem { key, checksum: None }).collect();
    let end = PutEndRequest { client, items, tenant: String::new() };
    let ended = answered(caller, &end, |mut master, end| async move { master.put_end(end).await });
    let ended = ended.await.ok_or("no answer to an end")?;
    all_ok("end of a put", ended.results.iter().map(|result| code(result.error.as_ref())))
}

/// Calls again where nothing was done; `None` where nobody knows, or for too long.
async fn answered<R: Clone, T, F>(
    caller: &mut Caller,
    request: &R,
    call: impl Fn(MasterClient<Channel>, R) -> F,
) -> Option<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    for _ in 0..CHANGE_TRIES {
        match caller.call(|master| call(master, request.clone())).await {
            Answer::Reply(reply) => return Some(reply),
            Answer::Refused => sleep(PAUSE).await,
            Answer::Unknown => return None,
        }
    }
    None
}

fn all_ok(what: &str, mut codes: impl Iterator<Item = ErrorCode>) -> Result<(), String> {
    let bad = codes.find(|code| *code != ErrorCode::Ok);
    bad.map_or(Ok(()), |code| Err(format!("the {what} is answered with {}", code.as_str_name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(told: &[u64]) -> Crowd {
        numbered(0, told)
    }

    fn numbered(nr: u16, told: &[u64]) -> Crowd {
        let args = CrowdArgs {
            clients: told.len() as u32,
            crowd: nr,
            connections: 1,
            segment_bytes: 1 << 20,
            objects: 0,
            probe: false,
        };
        let crowd = Crowd::new(Arc::new(Route::new(vec!["127.0.0.1:1".into()])), &args);
        crowd.told.iter().zip(told).for_each(|(at, epoch)| at.store(*epoch, Ordering::Relaxed));
        crowd
    }

    #[test]
    fn all_are_attached_when_all_know_one_epoch() {
        assert_eq!(crowd(&[3, 3, 3]).common_epoch(), Some(3));
        assert_eq!(crowd(&[3, 4, 4]).common_epoch(), None);
        assert_eq!(crowd(&[0, 0]).common_epoch(), None, "nobody is there yet");
    }

    #[test]
    fn what_a_failover_took_is_told_once_and_unknown_is_null() {
        let crowd = crowd(&[1, 1]);
        let sent = Instant::now();
        crowd.timed(sent);
        let calm = crowd.attached(1);
        assert!(calm["after_ms"].is_null() && calm["call_ms"]["p99"].is_null(), "{calm}");
        crowd.failed(sent);
        crowd.timed(sent);
        let told = crowd.attached(2);
        assert!(told["after_ms"].is_number() && told["call_ms"]["p99"].is_number(), "{told}");
        assert_eq!((&told["failed_calls"], &crowd.attached(3)["failed_calls"]), (&json!(1), &json!(0)));
    }

    #[test]
    fn segments_do_not_overlap() {
        let crowd = crowd(&[0, 0]);
        let (a, b) = (crowd.segment(0), crowd.segment(1));
        assert!(a.base + a.size <= b.base && a.name != b.name && a.id != b.id);
    }

    #[test]
    fn crowds_share_no_name() {
        let (first, second) = (numbered(0, &[0]), numbered(1, &[0]));
        let names = |crowd: &Crowd| (crowd.segment(0).name, crowd.segment(0).id, key(crowd.nr, 0));
        let (a, b) = (names(&first), names(&second));
        assert!(a.0 != b.0 && a.1 != b.1 && a.2 != b.2);
        assert!(Some(filler(0, 0)) != b.1 && filler(0, 0) != filler(1, 0));
    }
}
