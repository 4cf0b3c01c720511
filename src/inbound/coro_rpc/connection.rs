//! One client: frames in, answers out, in the order of the requests.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use standfast_wire::RequestHeader;
use standfast_wire::frame::{FrameError, Framer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::calls::{Answer, Calls, Unanswered};
use super::limits;
use super::replies::Room;
use crate::ports::Clock;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed it")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("an attachment of {0} bytes was announced, the limit is {max}", max = limits::FRAME_BYTES_MAX)]
    Attachment(u32),
    #[error("a frame was not complete after {} s", limits::FRAME_TIME.as_secs())]
    HalfAFrame,
    #[error("{} others were sending large frames", limits::LARGE_FRAMES_MAX)]
    Crowded,
    #[error("replies were not taken within {} s", limits::WRITE_TIME.as_secs())]
    SlowReader,
    #[error("a long reply was not taken within {} s while others waited", limits::PRESSED_TIME.as_secs())]
    InTheWay,
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What one client and we have to say to each other.
pub(super) struct Connection<C> {
    socket: TcpStream,
    calls: Arc<Calls<C>>,
    framer: Framer<RequestHeader>,
    /// Replies that are not sent yet.
    replies: Vec<u8>,
    /// When the frame that has begun must be complete.
    frame_due: Option<Instant>,
    large_frames: Arc<Semaphore>,
    /// The right to receive a large frame.
    large_frame: Option<OwnedSemaphorePermit>,
}

impl<C: Clock> Connection<C> {
    pub(super) fn new(socket: TcpStream, calls: Arc<Calls<C>>, large_frames: Arc<Semaphore>) -> Self {
        Self {
            socket,
            calls,
            framer: Framer::new(limits::FRAME_BYTES_MAX),
            replies: Vec::new(),
            frame_due: None,
            large_frames,
            large_frame: None,
        }
    }

    /// Answers until the connection ends.
    pub(super) async fn run(mut self) -> End {
        loop {
            if let Err(end) = self.round().await {
                return end;
            }
        }
    }

    /// Receives some bytes and answers the frames that they complete.
    async fn round(&mut self) -> Result<(), End> {
        self.receive().await?;
        let answered = self.answer_frames().await;
        // What came before a bad frame is answered even so (WIRE 6).
        self.send().await?;
        answered?;
        self.await_the_rest().await
    }

    async fn receive(&mut self) -> Result<(), End> {
        let read = read_some(&self.socket, self.framer.buffer());
        let read = match self.frame_due {
            Some(due) => timeout_at(due, read).await.map_err(|_| End::HalfAFrame)?,
            None => read.await,
        };
        if read? == 0 { Err(End::Closed) } else { Ok(()) }
    }

    async fn answer_frames(&mut self) -> Result<(), End> {
        while let Some(frame) = self.framer.next_frame()? {
            self.frame_due = None;
            let attached = frame.header.attach_length;
            if attached > limits::FRAME_BYTES_MAX {
                return Err(End::Attachment(attached));
            }
            let calls = Arc::clone(&self.calls);
            // Boxed, so that an idle connection keeps no room for a call.
            let mut call = Box::pin(calls.answer(&frame));
            let Answer { bytes, room } = match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
                Poll::Ready(reply) => reply?,
                Poll::Pending => {
                    // Earlier answers do not wait for this one.
                    self.send().await?;
                    call.await?
                }
            };
            self.gather(bytes);
            if self.replies.len() >= limits::CHUNK_BYTES {
                self.send_long(room).await?;
            }
        }
        Ok(())
    }

    fn gather(&mut self, reply: Vec<u8>) {
        if self.replies.is_empty() {
            self.replies = reply;
        } else {
            self.replies.extend_from_slice(&reply);
        }
    }

    async fn send(&mut self) -> Result<(), End> {
        if self.replies.is_empty() {
            return Ok(());
        }
        // Taken, so that an idle connection keeps no memory.
        let replies = std::mem::take(&mut self.replies);
        timeout(limits::WRITE_TIME, self.socket.write_all(&replies)).await.map_err(|_| End::SlowReader)??;
        Ok(())
    }

    /// Sends what may include a long reply, whose room is held until it is taken.
    async fn send_long(&mut self, room: Room) -> Result<(), End> {
        if !room.is_held() {
            return self.send().await;
        }
        let calls = Arc::clone(&self.calls);
        tokio::select! {
            biased;
            sent = self.send() => sent,
            () = calls.replies().overdue() => Err(End::InTheWay),
        }
    }

    /// Prepares for the rest of a frame that has begun, if one has.
    async fn await_the_rest(&mut self) -> Result<(), End> {
        let begun = self.framer.buffer().len();
        if begun < limits::CHUNK_BYTES {
            self.large_frame = None;
        }
        if begun == 0 {
            *self.framer.buffer() = BytesMut::new();
            return Ok(());
        }
        if begun >= limits::CHUNK_BYTES && self.large_frame.is_none() {
            let turn = Arc::clone(&self.large_frames).acquire_owned();
            // The semaphore is never closed.
            self.large_frame = timeout(limits::WRITE_TIME, turn).await.map_err(|_| End::Crowded)?.ok();
            self.frame_due = None;
        }
        self.frame_due.get_or_insert_with(|| Instant::now() + limits::FRAME_TIME);
        Ok(())
    }
}

/// Appends what has arrived. Memory is taken only once there is something.
async fn read_some(socket: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        buffer.reserve(limits::CHUNK_BYTES);
        match socket.try_read_buf(buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}
