//! Frames: a header, a payload, and an attachment that nobody needs.

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::calls::Call;
use crate::error::RpcError;
use crate::struct_pack::{self, Form};

/// First byte of every frame.
pub const MAGIC: u8 = 0x15;
/// The only protocol version.
pub const VERSION: u8 = 0;
/// The number of struct_pack, the only serialization.
pub const STRUCT_PACK: u8 = 0;
/// A generous limit for a payload: the largest request seen in the field, with
/// 66,000 keys, stays below 1 MiB.
pub const DEFAULT_MAX_PAYLOAD: u32 = 256 << 20;

/// Frames larger than this take the receive buffer's memory with them, in bytes.
const LARGE: usize = 64 << 10;

/// Why a byte stream cannot be followed any further. The reference master
/// closes the connection without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("byte {found:#04x} begins a frame, expected {MAGIC:#04x}: the peer speaks another protocol")]
    WrongMagic { found: u8 },
    #[error("protocol version {found}, expected {VERSION}")]
    UnknownVersion { found: u8 },
    #[error("serialization {found}, expected {STRUCT_PACK}, which is struct_pack")]
    UnknownSerialization { found: u8 },
    #[error("a payload of {claimed} bytes was announced, the limit is {limit}")]
    PayloadTooLarge { claimed: u32, limit: u32 },
}

/// A message that no frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a payload of {length} bytes does not fit a frame, which holds up to {}", u32::MAX)]
pub struct MessageTooLarge {
    pub length: usize,
}

/// The header of one direction.
pub trait Header: Sized {
    /// Bytes of the header.
    const LEN: usize;

    /// Rejects a header by the bytes of it that have arrived.
    ///
    /// # Errors
    /// They cannot become a header of this protocol.
    fn check(prefix: &[u8]) -> Result<(), FrameError>;

    /// Reads a header that passed [`Header::check`]; `None` if it is not complete.
    fn parse(bytes: &[u8]) -> Option<Self>;

    /// Bytes of the payload that follows.
    fn payload_length(&self) -> u32;

    /// Bytes of the attachment behind the payload.
    fn attachment_length(&self) -> u32;
}

/// What comes before the arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Ignored by the reference master.
    pub msg_type: u8,
    /// Chosen by the client, repeated in the response.
    pub seq_num: u32,
    pub function_id: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// Bytes of the attachment.
    pub attach_length: u32,
}

/// What comes before the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// 0, or that of an [`RpcError`] in the payload.
    pub err_code: u8,
    pub msg_type: u8,
    pub seq_num: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// Bytes of the attachment.
    pub attach_length: u32,
}

impl Header for RequestHeader {
    const LEN: usize = 20;

    fn check(prefix: &[u8]) -> Result<(), FrameError> {
        check_magic_and_version(prefix)?;
        match prefix.get(2) {
            Some(&found) if found != STRUCT_PACK => Err(FrameError::UnknownSerialization { found }),
            _ => Ok(()),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let ([_, _, _, msg_type], [seq_num, function_id, length, attach_length]) = split_header(bytes)?;
        Some(Self { msg_type, seq_num, function_id, length, attach_length })
    }

    fn payload_length(&self) -> u32 {
        self.length
    }

    fn attachment_length(&self) -> u32 {
        self.attach_length
    }
}

impl RequestHeader {
    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; 20] {
        join_header(
            [MAGIC, VERSION, STRUCT_PACK, self.msg_type],
            [self.seq_num, self.function_id, self.length, self.attach_length],
        )
    }
}

impl Header for ResponseHeader {
    const LEN: usize = 16;

    fn check(prefix: &[u8]) -> Result<(), FrameError> {
        check_magic_and_version(prefix)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let ([_, _, err_code, msg_type], [seq_num, length, attach_length]) = split_header(bytes)?;
        Some(Self { err_code, msg_type, seq_num, length, attach_length })
    }

    fn payload_length(&self) -> u32 {
        self.length
    }

    fn attachment_length(&self) -> u32 {
        self.attach_length
    }
}

impl ResponseHeader {
    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; 16] {
        join_header(
            [MAGIC, VERSION, self.err_code, self.msg_type],
            [self.seq_num, self.length, self.attach_length],
        )
    }
}

fn check_magic_and_version(prefix: &[u8]) -> Result<(), FrameError> {
    match *prefix {
        [found, ..] if found != MAGIC => Err(FrameError::WrongMagic { found }),
        [_, found, ..] if found != VERSION => Err(FrameError::UnknownVersion { found }),
        _ => Ok(()),
    }
}

/// Four single bytes and `N` little-endian words, if they are all there.
fn split_header<const N: usize>(bytes: &[u8]) -> Option<([u8; 4], [u32; N])> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    let (words, _) = rest.as_chunks::<4>();
    let words = words.first_chunk::<N>()?;
    Some((*first, words.map(u32::from_le_bytes)))
}

/// The reverse of [`split_header`]; `LEN` is `4 + 4 * N`.
fn join_header<const N: usize, const LEN: usize>(first: [u8; 4], words: [u32; N]) -> [u8; LEN] {
    const { assert!(LEN == 4 + 4 * N) };
    let mut bytes = [0; LEN];
    let (chunks, _) = bytes.as_chunks_mut::<4>();
    for (chunk, word) in chunks.iter_mut().zip([first].into_iter().chain(words.map(u32::to_le_bytes))) {
        *chunk = word;
    }
    bytes
}

/// One message of a stream, without its attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<H> {
    pub header: H,
    pub payload: Bytes,
}

/// Cuts a stream of received bytes into frames, however they are fragmented.
///
/// Its buffer grows with the bytes that have arrived of one frame; a length
/// that is only claimed reserves no memory. Attachments are dropped as they
/// come in. After an error the stream has lost its place and the connection
/// is to be closed; the error stays the answer.
#[derive(Debug)]
pub struct Framer<H> {
    buffer: BytesMut,
    /// Bytes of an attachment still to be dropped.
    skip: usize,
    max_payload: u32,
    header: PhantomData<H>,
}

impl<H: Header> Framer<H> {
    /// A framer at the start of a stream that refuses payloads of more than
    /// `max_payload` bytes.
    pub fn new(max_payload: u32) -> Self {
        Self { buffer: BytesMut::new(), skip: 0, max_payload, header: PhantomData }
    }

    /// Where received bytes are to be appended. Take all frames out before
    /// appending more, or the buffer grows with what it holds.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next complete frame; `None` until more bytes have arrived.
    ///
    /// # Errors
    /// The bytes are not this protocol, or a payload is larger than allowed.
    pub fn next_frame(&mut self) -> Result<Option<Frame<H>>, FrameError> {
        self.drop_attachment();
        H::check(&self.buffer)?;
        let Some(header) = H::parse(&self.buffer) else { return Ok(None) };
        let claimed = header.payload_length();
        if claimed > self.max_payload {
            return Err(FrameError::PayloadTooLarge { claimed, limit: self.max_payload });
        }
        let length = claimed as usize;
        if self.buffer.len() - H::LEN < length {
            return Ok(None);
        }
        self.buffer.advance(H::LEN);
        let payload = self.buffer.split_to(length).freeze();
        if length > LARGE && self.buffer.len() < H::LEN {
            // Else an idle connection would keep the memory of its largest frame.
            // More than the beginning of a header is not copied: it shares the
            // memory until it is read, which is at once.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.skip = header.attachment_length() as usize;
        Ok(Some(Frame { header, payload }))
    }

    fn drop_attachment(&mut self) {
        let dropped = self.skip.min(self.buffer.len());
        self.buffer.advance(dropped);
        self.skip -= dropped;
    }
}

/// Appends the request frame of a call.
///
/// # Errors
/// The payload would exceed what a frame can hold; nothing is appended then.
pub fn write_request<'a, C: Call<'a>>(
    out: &mut Vec<u8>,
    seq_num: u32,
    call: &C,
    form: Form,
) -> Result<(), MessageTooLarge> {
    let contract = C::METHOD.contract();
    let function_id = contract.function_id;
    write_frame(
        out,
        |out| struct_pack::encode(&contract.request, form, call, out),
        |(), length| RequestHeader { msg_type: 0, seq_num, function_id, length, attach_length: 0 }.to_bytes(),
    )
}

/// Appends the response frame of a call that has been carried out, whether
/// the application succeeded or not.
///
/// # Errors
/// The payload would exceed what a frame can hold; nothing is appended then.
pub fn write_response<'a, C: Call<'a>>(
    out: &mut Vec<u8>,
    seq_num: u32,
    response: &C::Response,
    form: Form,
) -> Result<(), MessageTooLarge> {
    write_frame(
        out,
        |out| struct_pack::encode(&C::METHOD.contract().response, form, response, out),
        |(), length| {
            ResponseHeader { err_code: 0, msg_type: 0, seq_num, length, attach_length: 0 }.to_bytes()
        },
    )
}

/// Appends the response frame of a call that has not been carried out.
///
/// # Errors
/// The text would exceed what a frame can hold; nothing is appended then.
pub fn write_error(out: &mut Vec<u8>, seq_num: u32, error: &RpcError) -> Result<(), MessageTooLarge> {
    write_frame(
        out,
        |out| error.encode(out),
        |err_code, length| {
            ResponseHeader { err_code, msg_type: 0, seq_num, length, attach_length: 0 }.to_bytes()
        },
    )
}

/// Appends a frame. The payload comes first: the header, whose place is kept
/// free, needs its length and whatever else `payload` returns.
fn write_frame<T, const LEN: usize>(
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>) -> T,
    header: impl FnOnce(T, u32) -> [u8; LEN],
) -> Result<(), MessageTooLarge> {
    let start = out.len();
    out.extend_from_slice(&[0; LEN]);
    let about = payload(out);
    match length_field(out.len() - start - LEN) {
        Ok(length) => {
            out[start..start + LEN].copy_from_slice(&header(about, length));
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn length_field(length: usize) -> Result<u32, MessageTooLarge> {
    u32::try_from(length).map_err(|_| MessageTooLarge { length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_no_frame_can_hold_is_refused() {
        assert_eq!(length_field(0xffff_ffff), Ok(u32::MAX));
        assert_eq!(length_field(0x1_0000_0000), Err(MessageTooLarge { length: 0x1_0000_0000 }));
    }
}
