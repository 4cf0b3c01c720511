//! Every limit of this door. The reference master has none of them.

use std::time::Duration;

/// Longest payload of a request. The largest seen in the field, 66,000 keys
/// in one call, is below 1 MiB; a client that sends more is cut off.
pub(super) const FRAME_BYTES_MAX: u32 = 8 << 20;

/// Connections at one time. A client keeps up to 100 (WIRE 7).
pub(super) const CONNECTIONS_MAX: usize = 10_000;

/// Most elements of one call: half as many again as the largest call seen. The
/// hall gets them in batches of its own limit.
pub(super) const ELEMENTS_MAX: usize = 100_000;

/// Most replicas that one reply names, about 20 MiB of it. What matches an
/// expression is bounded by the kernel, to as many and their keys.
pub(super) const REPLY_REPLICAS_MAX: usize = standfast_kernel::types::limits::REGEX_REPLICAS_MAX;

/// What a replica takes in a reply, in bytes, where its lender's endpoint is an address.
pub(super) const REPLICA_BYTES: usize = 80;

/// Bytes of the replies longer than [`CHUNK_BYTES`] that are in the making or
/// are being sent at one time; further calls wait for their turn. Bounds the
/// memory of all connections together: every other one has one chunk of replies.
pub(super) const REPLIES_BYTES_MAX: usize = 256 << 20;

/// While calls wait for that room, a long reply must have been taken after this.
pub(super) const PRESSED_TIME: Duration = Duration::from_secs(2);

/// A frame that has begun must be complete after this.
pub(super) const FRAME_TIME: Duration = Duration::from_secs(10);

/// A reply must have been taken after this: the client has given up the call
/// by then (WIRE 6.1).
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);

/// A peer that is silent for this long is probed, so that connections whose
/// other end has vanished do not stay.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(60);

/// Bytes read at once, and bytes of gathered replies after which they are sent.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Frames longer than [`CHUNK_BYTES`] that are held at one time; others wait
/// for their turn. Bounds the memory of all connections together: these frames
/// take 512 MiB, and every other connection one chunk.
pub(super) const LARGE_FRAMES_MAX: usize = 64;

const _: () = assert!(4 * REPLY_REPLICAS_MAX * REPLICA_BYTES <= REPLIES_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX as usize * LARGE_FRAMES_MAX <= 512 << 20);
