//! The watch: read everything, then hear of each change; whenever in doubt,
//! read everything again (PROTOCOL C3).

use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::coordination::{Key, Records, Revision, prefix};
use standfast_proto::etcdserverpb as pb;
use standfast_proto::etcdserverpb::watch_client::WatchClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::endpoints::Session;
use super::etcd::Shared;
use super::txn;
use crate::ports::{CoordinatorFault, News};

/// How often the watch is asked whether it lives.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A watch that says nothing for so long is taken for dead (PROTOCOL C3).
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// First and longest pause before it is begun anew.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Requests on their way: two watches, then one question at a time.
const REQUESTS_MAX: usize = 8;

/// Tells `news` until nobody listens.
pub(super) async fn follow(shared: Arc<Shared>, news: mpsc::Sender<News>) {
    let mut seen = Revision::NONE;
    let mut pause = PAUSE_MIN;
    loop {
        let heard_since = seen;
        let Err(fault) = watch(&shared, &news, &mut seen).await else { return };
        if news.send(News::Lost(fault)).await.is_err() {
            return;
        }
        // Progress earns a fresh start; a coordinator that only refuses is not hammered.
        pause = if seen > heard_since { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = news.closed() => return,
        }
    }
}

/// One reading and one watch; ends with why it broke, or `Ok` when nobody
/// listens any more.
async fn watch(
    shared: &Shared,
    news: &mpsc::Sender<News>,
    seen: &mut Revision,
) -> Result<(), CoordinatorFault> {
    let read = shared.read().await?;
    if read.at < *seen {
        return Err(CoordinatorFault::MovedBack { had: *seen, now: read.at });
    }
    let from = read.at.next();
    *seen = read.at;
    if news.send(News::Seen(read)).await.is_err() {
        return Ok(());
    }
    let session = shared.endpoints.session().await?;
    let watched = listen(shared, &session, from, news, seen).await;
    if watched.is_err() {
        shared.endpoints.leave(&session);
    }
    watched
}

async fn listen(
    shared: &Shared,
    session: &Session,
    from: Revision,
    news: &mpsc::Sender<News>,
    seen: &mut Revision,
) -> Result<(), CoordinatorFault> {
    let (ask, requests) = mpsc::channel(REQUESTS_MAX);
    for create in creations(shared, from) {
        // Room is there: the channel is new.
        let _ = ask.send(create).await;
    }
    let opening = async {
        let request = session.request(ReceiverStream::new(requests));
        WatchClient::new(session.channel.clone()).watch(request).await
    };
    let opened = tokio::time::timeout(SILENCE_MAX, opening).await;
    let opened = opened.map_err(|_| session.no_answer("the watch does not open"))?;
    let mut answers = opened.map_err(|status| session.fault(&status))?.into_inner();
    let silent = tokio::time::sleep(SILENCE_MAX);
    tokio::pin!(silent);
    let mut alarm = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            answer = answers.message() => {
                let answer = answer.map_err(|status| session.fault(&status))?;
                let answer = answer.ok_or_else(|| session.no_answer("the watch ended"))?;
                silent.as_mut().reset(tokio::time::Instant::now() + SILENCE_MAX);
                if answer.canceled {
                    return Err(session.no_answer(why_cancelled(&answer)));
                }
                for records in changes(shared, &answer)? {
                    *seen = (*seen).max(records.at);
                    if news.send(News::Seen(records)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            _ = alarm.tick() => {
                let progress = pb::watch_request::RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
                // Full: it has been asked often enough.
                let _ = ask.try_send(pb::WatchRequest { request_union: Some(progress) });
            }
            () = &mut silent => return Err(session.no_answer("the watch fell silent")),
            () = news.closed() => return Ok(()),
        }
    }
}

/// Our records, and the client key beside them.
fn creations(shared: &Shared, from: Revision) -> [pb::WatchRequest; 2] {
    let ours = txn::range_of(&prefix(&shared.cluster));
    let view = txn::range(&Key::MasterView, &shared.cluster);
    [ours, view].map(|range| {
        let create = pb::WatchCreateRequest {
            key: range.key,
            range_end: range.range_end,
            start_revision: txn::to_i64(from),
            progress_notify: true,
        };
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) }
    })
}

fn why_cancelled(answer: &pb::WatchResponse) -> String {
    if answer.compact_revision > 0 {
        return format!("changes before revision {} are compacted away", answer.compact_revision);
    }
    format!("the watch was cancelled: {}", answer.cancel_reason)
}

/// The changes of one answer: one reading for each revision.
fn changes(shared: &Shared, answer: &pb::WatchResponse) -> Result<Vec<Records>, CoordinatorFault> {
    let mut readings: Vec<Records> = Vec::new();
    for event in &answer.events {
        let Some(kv) = &event.kv else { continue };
        let Some(key) = std::str::from_utf8(&kv.key).ok().and_then(|k| Key::parse(k, &shared.cluster)) else {
            continue;
        };
        let at = txn::revision(kv.mod_revision);
        let record = match event.r#type() {
            pb::event::EventType::Delete => None,
            pb::event::EventType::Put => match txn::record(&key, kv) {
                Ok(record) => Some(record),
                Err(fault) if matters(&key) => return Err(fault),
                Err(fault) => {
                    tracing::warn!("ignored: {fault}");
                    continue;
                }
            },
        };
        match readings.last_mut() {
            Some(last) if last.at == at => last.records.push((key, record)),
            _ => readings.push(Records { at, records: vec![(key, record)] }),
        }
    }
    Ok(readings)
}

/// Whether anything is decided by this record.
fn matters(key: &Key) -> bool {
    match key {
        Key::Epoch | Key::Isr | Key::Alive | Key::Automation | Key::MasterView => true,
        Key::History(_) | Key::Rehearsal(_) => false,
    }
}
