//! One task for each node: keeps a stream of its status open and passes on what comes. And the calls that act.

use std::time::Duration;

use standfast_proto::access::{self, Channel, root_cause};
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::recorder_client::RecorderClient;
use standfast_proto::v1::status_client::StatusClient;
use standfast_proto::v1::{
    DetachRequest, GetTraceRequest, PromoteReply, PromoteRequest, Reason, Refusal, StatusUpdate,
    WatchStatusRequest, WriteTrace,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::{Response, Status};

use crate::act::{Confirmed, Deed};
use crate::backoff;
use crate::msg::{Msg, Outcome};

/// To open a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// For a promotion: the node waits out its last promise, which is seconds at most.
const ADMIN_LIMIT: Duration = Duration::from_secs(10);
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

async fn open(addr: &str) -> Result<Channel, String> {
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

fn sentence(status: &Status) -> String {
    if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    }
}

/// What a promotion of the node would do. Changes nothing.
///
/// # Errors
/// A sentence that says why nobody knows.
pub(crate) async fn plan(addr: &str, actor: &str, reason: &str) -> Result<PromoteReply, String> {
    let channel = open(addr).await?;
    let request = PromoteRequest {
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        dry_run: true,
        start_empty: false,
        accept_loss_entries: None,
    };
    let reply = within(AdminClient::new(channel).promote(request)).await;
    reply.map_err(|status| sentence(&status))
}

/// What the node's flight recorder knows of the write `seq`.
///
/// # Errors
/// A sentence that says why nobody knows.
pub(crate) async fn trace(addr: &str, seq: u64) -> Result<Box<WriteTrace>, String> {
    let channel = open(addr).await?;
    let answer = within(RecorderClient::new(channel).get_trace(GetTraceRequest { seq })).await;
    answer.map(Box::new).map_err(|status| sentence(&status))
}

/// Does what was confirmed, and says what became of it.
pub(crate) async fn act(confirmed: &Confirmed, actor: &str) -> Outcome {
    let channel = match open(confirmed.addr()).await {
        Ok(channel) => channel,
        // Nothing was sent.
        Err(why) => {
            let text = format!("{} cannot be reached: {why}", confirmed.addr());
            let cure = format!("standfast status --connect {}", confirmed.addr());
            return Outcome::Refused(vec![Reason { code: "unreachable".to_owned(), text, cure }]);
        }
    };
    let (actor, reason) = (actor.to_owned(), confirmed.reason().to_owned());
    let mut admin = AdminClient::new(channel);
    let done = match confirmed.deed() {
        Deed::Failover => {
            let request = PromoteRequest {
                actor,
                reason,
                dry_run: false,
                start_empty: false,
                accept_loss_entries: None,
            };
            within(admin.promote(request)).await.map(|reply| {
                if reply.accepted { Outcome::Promoted(reply) } else { Outcome::Refused(reply.reasons) }
            })
        }
        Deed::Detach => {
            let request = DetachRequest { node: confirmed.target().to_owned(), actor, reason };
            within(admin.detach(request)).await.map(|reply| {
                if reply.accepted { Outcome::Detached(reply) } else { Outcome::Refused(reply.reasons) }
            })
        }
    };
    done.unwrap_or_else(|status| of_failure(&status, confirmed.addr()))
}

/// Only a node's own word can state that nothing was done; a status of the transport leaves the outcome unknown.
fn of_failure(status: &Status, addr: &str) -> Outcome {
    match Refusal::from_status(status) {
        Some(refusal) if refusal.nothing_was_done() => {
            let code = refusal.code().as_str_name().trim_start_matches("REFUSAL_CODE_").to_lowercase();
            Outcome::Refused(vec![Reason { code, text: refusal.text, cure: refusal.cure }])
        }
        _ => Outcome::Unknown { why: sentence(status), cure: format!("standfast status --connect {addr}") },
    }
}

async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match timeout(ADMIN_LIMIT, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} ms", ADMIN_LIMIT.as_millis()))),
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::RefusalCode;

    use super::*;

    #[test]
    fn only_a_refusal_can_say_that_nothing_was_done() {
        let refused = of_failure(&Refusal::new(RefusalCode::NotPrimary, "no").into(), "h:1");
        assert!(
            matches!(&refused, Outcome::Refused(reasons) if reasons[0].code == "not_primary"),
            "{refused:?}"
        );
        for status in [
            Refusal::new(RefusalCode::OutcomeUnknown, "why").into(),
            Status::unavailable("reset"),
            Status::deadline_exceeded(""),
        ] {
            assert!(matches!(of_failure(&status, "h:1"), Outcome::Unknown { .. }), "{status}");
        }
    }
}
