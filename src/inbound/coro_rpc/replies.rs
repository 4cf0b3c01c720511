//! Memory of long replies, which all connections share. A short request may
//! ask for a long reply, and its reader may take its time.

use std::sync::Arc;

use standfast_kernel::types::limits::{REGEX_KEY_BYTES_MAX, REPLICAS_MAX};
use standfast_wire::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::limits::{
    CHUNK_BYTES, PRESSED_TIME, REPLICA_BYTES, REPLIES_BYTES_MAX, REPLY_REPLICAS_MAX, WRITE_TIME,
};

/// Room for the long replies of all connections.
#[derive(Debug)]
pub(super) struct Replies {
    bytes: Arc<Semaphore>,
    /// Calls that wait for room.
    waiting: watch::Sender<usize>,
}

/// Room for one long reply, given back when it is dropped. A short one takes none.
#[derive(Debug)]
pub(super) struct Room(Option<OwnedSemaphorePermit>);

impl Replies {
    pub(super) fn new() -> Self {
        Self { bytes: Arc::new(Semaphore::new(REPLIES_BYTES_MAX)), waiting: watch::Sender::new(0) }
    }

    /// Waits for room for a reply of so many bytes; `None` when there is none in time.
    pub(super) async fn room(&self, bytes: usize) -> Option<Room> {
        if bytes < CHUNK_BYTES {
            return Some(Room(None));
        }
        let bytes = permits(bytes.min(REPLIES_BYTES_MAX));
        if let Ok(room) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) {
            return Some(Room(Some(room)));
        }
        let _waits = Waits::new(&self.waiting);
        let turn = Arc::clone(&self.bytes).acquire_many_owned(bytes);
        // The semaphore is never closed.
        timeout(WRITE_TIME, turn).await.ok()?.ok().map(|room| Room(Some(room)))
    }

    /// The room that a reply needs now that it is made: nearly always less than
    /// it was given. `None` when it is more and others have that.
    pub(super) fn fit(&self, room: Room, bytes: usize) -> Option<Room> {
        if bytes < CHUNK_BYTES {
            return Some(Room(None));
        }
        let mut room = room.0;
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        match bytes.checked_sub(held) {
            None => Some(Room(room.as_mut().and_then(|room| room.split(bytes)))),
            Some(0) => Some(Room(room)),
            Some(more) => {
                let more = Arc::clone(&self.bytes).try_acquire_many_owned(permits(more)).ok()?;
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
                Some(Room(room))
            }
        }
    }

    /// Ends when a long reply that is being sent must make room: sooner while others wait.
    pub(super) async fn overdue(&self) {
        let pressed = async {
            sleep(PRESSED_TIME).await;
            // The sender lives as long as this.
            let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
        };
        let _ = timeout(WRITE_TIME, pressed).await;
    }
}

impl Room {
    /// Whether it holds room that others may wait for.
    pub(super) fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// One more that waits.
struct Waits<'a>(&'a watch::Sender<usize>);

impl<'a> Waits<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|n| *n += 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The most bytes that a reply takes where lenders' endpoints are of usual
/// length; 0 for calls with short replies.
pub(super) fn expected(request: &Request<'_>) -> usize {
    let (replicas, keys) = match request {
        Request::GetReplicaListByRegex(_) => (REPLY_REPLICAS_MAX, REGEX_KEY_BYTES_MAX),
        Request::BatchGetReplicaList(r) => (r.keys.len().saturating_mul(REPLICAS_MAX), 0),
        Request::BatchPutStart(r) => (targets(r.keys.len(), r.config.replica_num), 0),
        Request::BatchUpsertStart(r) => (targets(r.keys.len(), r.config.replica_num), 0),
        _ => (0, 0),
    };
    replicas.min(REPLY_REPLICAS_MAX) * REPLICA_BYTES + keys
}

fn targets(keys: usize, replica_num: u64) -> usize {
    keys.saturating_mul(usize::try_from(replica_num).map_or(REPLICAS_MAX, |n| n.min(REPLICAS_MAX)))
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// What there is at once.
    async fn now<T>(what: impl Future<Output = T>) -> Option<T> {
        let mut what = pin!(what);
        poll_fn(|cx| match what.as_mut().poll(cx) {
            Poll::Ready(is) => Poll::Ready(Some(is)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_long_reply_waits_for_room_and_keeps_what_it_needs() {
        let replies = Replies::new();
        let all = replies.room(REPLIES_BYTES_MAX).await.expect("all of it");
        let short = replies.room(CHUNK_BYTES - 1).await.expect("a short reply needs none");
        assert!(!short.is_held());
        assert!(now(replies.room(CHUNK_BYTES)).await.is_none(), "it waits");
        let mut rest = replies.fit(all, REPLIES_BYTES_MAX - CHUNK_BYTES).expect("less than before");
        let one = now(replies.room(CHUNK_BYTES)).await.flatten().expect("what was given back");
        assert!(replies.fit(short, CHUNK_BYTES).is_none(), "others have it");
        drop(one);
        rest = replies.fit(rest, REPLIES_BYTES_MAX).expect("the rest is free");
        assert_eq!(replies.bytes.available_permits(), 0);
        assert!(!replies.fit(rest, 10).expect("short").is_held());
        assert_eq!(replies.bytes.available_permits(), REPLIES_BYTES_MAX);
        assert_eq!(*replies.waiting.borrow(), 0, "who gave up waits no more");
    }

    #[tokio::test]
    async fn a_reply_makes_room_while_others_wait() {
        let replies = Replies::new();
        let _all = replies.room(REPLIES_BYTES_MAX).await.expect("all of it");
        tokio::select! {
            _ = replies.room(CHUNK_BYTES) => unreachable!("there is no room for longer than that"),
            () = replies.overdue() => {}
        }
    }
}
