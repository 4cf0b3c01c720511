//! One task for each node: keeps a stream of its status open and passes on what comes.

use std::time::Duration;

use standfast_proto::access::{self, Channel, root_cause};
use standfast_proto::v1::status_client::StatusClient;
use standfast_proto::v1::{StatusUpdate, WatchStatusRequest};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::backoff;
use crate::msg::Msg;

/// To open a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// A stream that is silent for so many intervals is opened anew, but not before [`SILENCE_MIN`].
const SILENT_INTERVALS: u64 = 4;
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// A status with many segments is larger than tonic's default allows.
const STATUS_BYTES_MAX: usize = 64 << 20;

/// Watches `addr` until the console ends. Each failure is told, then the next attempt waits.
pub(crate) async fn keep_watching(addr: String, mut rate: watch::Receiver<u64>, out: mpsc::Sender<Msg>) {
    let mut attempts = 0;
    loop {
        let why = match follow(&addr, &mut rate, &out, &mut attempts).await {
            Ended::Because(why) => why,
            Ended::Rate => continue,
            Ended::Closed => return,
        };
        attempts = attempts.saturating_add(1);
        let retry_in_ms = backoff::delay_ms(attempts);
        let lost = Msg::Lost { addr: addr.clone(), why, attempts, retry_in_ms };
        if out.send(lost).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(retry_in_ms)).await;
    }
}

/// Why a stream has ended.
enum Ended {
    Because(String),
    /// The interval has changed: the stream is opened anew.
    Rate,
    /// The console is gone.
    Closed,
}

async fn follow(
    addr: &str,
    rate: &mut watch::Receiver<u64>,
    out: &mpsc::Sender<Msg>,
    attempts: &mut u32,
) -> Ended {
    let interval_ms = *rate.borrow_and_update();
    let channel = match open(addr).await {
        Ok(channel) => channel,
        Err(why) => return Ended::Because(why),
    };
    let mut client = StatusClient::new(channel).max_decoding_message_size(STATUS_BYTES_MAX);
    let interval = u32::try_from(interval_ms).unwrap_or(u32::MAX);
    let request = WatchStatusRequest { interval_ms: interval, events_after: None };
    let mut updates = match timeout(CONNECT_LIMIT, client.watch_status(request)).await {
        Ok(Ok(stream)) => stream.into_inner(),
        Ok(Err(status)) => return Ended::Because(sentence(&status)),
        Err(_) => return Ended::Because(silence(CONNECT_LIMIT)),
    };
    loop {
        let patience = Duration::from_millis(interval_ms.saturating_mul(SILENT_INTERVALS)).max(SILENCE_MIN);
        let update: Result<Option<StatusUpdate>, Status> = tokio::select! {
            changed = rate.changed() => return if changed.is_ok() { Ended::Rate } else { Ended::Closed },
            answer = timeout(patience, updates.message()) => match answer {
                Ok(answer) => answer,
                Err(_) => return Ended::Because(silence(patience)),
            },
        };
        match update {
            Ok(Some(update)) => {
                *attempts = 0;
                let said = Msg::Said { addr: addr.to_owned(), update: Box::new(update) };
                // A full inbox holds this task back, and through it the node's stream.
                if out.send(said).await.is_err() {
                    return Ended::Closed;
                }
            }
            Ok(None) => return Ended::Because("the node ended the stream".to_owned()),
            Err(status) => return Ended::Because(sentence(&status)),
        }
    }
}

pub(crate) async fn open(addr: &str) -> Result<Channel, String> {
    let endpoint = access::own().endpoint(addr)?;
    match timeout(CONNECT_LIMIT, endpoint.tcp_nodelay(true).connect()).await {
        Ok(Ok(channel)) => Ok(access::own().sign(channel)),
        Ok(Err(error)) => Err(root_cause(&error)),
        Err(_) => Err(format!("no connection within {} ms", CONNECT_LIMIT.as_millis())),
    }
}

fn silence(after: Duration) -> String {
    format!("nothing came for {} ms", after.as_millis())
}

pub(crate) fn sentence(status: &Status) -> String {
    if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    }
}
