//! Every named maximum, and the relations between them.

use std::time::Duration;

/// Shards of the object map (DESIGN 1). A power of two: the shard is the top bits of a hash.
pub const SHARDS: usize = 1024;
/// Homes: the shards and one segment table.
pub const HOMES: usize = SHARDS + 1;

/// Longest node, cluster, segment or endpoint name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest endpoint or protocol text of a segment, in bytes.
pub const ENDPOINT_BYTES_MAX: usize = 512;
/// Longest key, in bytes (SEMANTICS R18).
pub const KEY_BYTES_MAX: usize = 4096;
/// Longest tenant name, in bytes.
pub const TENANT_BYTES_MAX: usize = 255;
/// Longest group id, in bytes.
pub const GROUP_BYTES_MAX: usize = 4096;
/// Longest regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 4096;
/// Largest compiled regular expression and its cache, in bytes.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a regular expression.
pub const REGEX_NEST_MAX: u32 = 64;
/// Most keys that one read by regular expression may match.
pub const REGEX_MATCHES_MAX: usize = 100_000;
/// Most replicas of those keys' objects.
pub const REGEX_REPLICAS_MAX: usize = 1 << 18;
/// Most bytes of those keys.
pub const REGEX_KEY_BYTES_MAX: usize = 16 << 20;
/// Elements of a batch handled under one hold of the segment table's lock; whoever mounts waits that long.
pub const TABLE_SLICE: usize = 256;
/// Segments that one client lends, so many in one list.
pub const SEGMENTS_PER_CLIENT_MAX: usize = 1024;
/// Objects that a removal of many handles under one hold of their shard's lock.
pub const REMOVE_SLICE: usize = 64;
/// Most elements of one batch call.
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// Most replicas of one object. A replica id is `seq << 8 | index`.
pub const REPLICAS_MAX: usize = 64;

/// Largest entry, in bytes.
pub const ENTRY_BYTES_MAX: usize = 16 * 1024;
/// Entries are stored in chunks of this size, trimmed whole.
pub const LOG_CHUNK_BYTES: usize = 256 * 1024;
/// Default bound of the log in bytes.
pub const LOG_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Default bound of the log in entries.
pub const LOG_ENTRIES_MAX: u64 = 4_000_000;

/// Most entries of one replication batch.
pub const SHIP_ENTRIES_MAX: usize = 4096;
/// Most bytes of one replication batch.
pub const SHIP_BYTES_MAX: usize = 512 * 1024;
/// Most entries sent to a standby and not yet acknowledged.
pub const SHIP_WINDOW_ENTRIES: u64 = 65_536;

/// Most batches sent to a standby and not yet acknowledged. Entries that come
/// meanwhile are gathered into larger batches.
pub const SHIP_WINDOW_FRAMES: usize = 128;

/// Most bytes of records in one chunk of a copy of the state.
pub const COPY_CHUNK_BYTES: usize = 256 * 1024;
/// A copying whose standby does not come back for this long is given up.
pub const COPY_PATIENCE: Duration = Duration::from_secs(10);
/// Epochs of the log that a copy of the state is followed by.
pub const COPY_EPOCHS_MAX: usize = 65_536;

/// Default of what an in-sync standby may lack in async mode, in entries.
pub const LOSS_ENTRIES_MAX: u64 = 1_000_000;
/// The same as the age of the oldest of them.
pub const LOSS_AGE_MAX: Duration = Duration::from_secs(5);

/// Standbys that one primary serves.
pub const STANDBYS_MAX: usize = 16;
/// Happenings kept for display.
pub const EVENTS_MAX: usize = 256;
/// Shards that one maintenance step visits.
pub const MAINTAIN_SHARDS_PER_STEP: usize = 64;
/// Objects that one maintenance step looks at for replicas on dead mounts.
pub const PURGE_LOOKS_PER_STEP: usize = 32_768;
/// What an object that is purged weighs against looking at one.
pub const PURGE_WEIGHT: usize = 8;
/// Objects that a PURGE or CLEAR names at least, while there are more: one hold of a
/// shard's lock, some tens of microseconds. The last that are looked at may add a few.
pub const NAMED_SLICE: usize = 64;
/// Objects that a PURGE or CLEAR may name.
pub const NAMED_MAX: usize = 1024;
/// Entries of the segment table that one maintenance step appends.
pub const TABLE_OPS_PER_STEP: usize = 256;
/// Mounts, dead ones whose bytes still wait included.
pub const MOUNTS_MAX: usize = 65_536;
/// Clients on record.
pub const CLIENTS_MAX: usize = 65_536;
/// Segment names that one walk tries (SEMANTICS 3.1).
pub const PLACEMENT_TRIES_MAX: usize = 100;
/// Regions that one maintenance step frees.
pub const MAINTAIN_FREES_PER_STEP: usize = 512;

/// Objects that one maintenance step looks at for eviction.
pub const EVICT_VISITS_PER_STEP: usize = 32_768;
/// What an entry logged in an eviction step weighs against looking at an object.
pub const EVICT_WEIGHT: usize = 16;
/// Objects looked at under one hold of a shard's lock: some tens of microseconds.
pub const LOOKS_PER_HOLD: usize = 512;
/// Objects evicted under one hold of a shard's lock, and a few, which are as old.
pub const EVICT_SLICE: usize = 16;
/// Unfinished writes and transfers that one visit of a shard discards.
pub const DISCARDS_PER_VISIT: usize = 64;

/// Bytes of all segment names of one task.
pub const TASK_NAMES_BYTES_MAX: usize = 8 * 1024;
/// Longest message kept with an ended task, in bytes; the rest is cut off.
pub const TASK_MESSAGE_BYTES_MAX: usize = 1024;
/// Most tasks handed out by one fetch.
pub const TASK_FETCH_MAX: usize = 512;
/// Tasks that one maintenance step lets time out.
pub const TASK_EXPIRIES_PER_STEP: usize = 64;

/// Longest value of transfer metadata, in bytes: what a host with many network cards and buffers tells.
pub const METADATA_VALUE_BYTES_MAX: usize = 1 << 20;
/// Bytes of it that one entry carries.
pub const METADATA_PART_BYTES_MAX: usize = 8 * 1024;
/// Parts of the longest value.
pub const METADATA_PARTS_MAX: usize = METADATA_VALUE_BYTES_MAX / METADATA_PART_BYTES_MAX;
/// Keys of transfer metadata; a lender has two.
pub const METADATA_KEYS_MAX: usize = 2 * CLIENTS_MAX;
/// Bytes of all of it, keys included.
pub const METADATA_BYTES_MAX: usize = 64 << 20;

/// Longest pause between two dials of the primary.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// First pause between two dials of the primary.
pub const DIAL_BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Homes of one beacon frame.
pub const BEACONS_PER_FRAME: usize = 128;
/// Positions that beacons and answers may wait for on a standby.
pub const BEACONS_WAITING_MAX: usize = 8 * HOMES;
/// Differing keys of one answer to a sample.
pub const MISMATCHES_PER_ANSWER: usize = 100;
/// Items of an image that answers a question of verification.
pub const IMAGE_ITEMS_MAX: u64 = 8192;
/// Its bytes: a frame holds it.
pub const IMAGE_BYTES_MAX: usize = 1 << 20;
/// Differences kept for display.
pub const MISMATCHES_KEPT: usize = 64;

const _: () = assert!(SHARDS.is_power_of_two() && SHARDS <= 1 << 16);
const _: () =
    assert!(KEY_BYTES_MAX + TENANT_BYTES_MAX + GROUP_BYTES_MAX + REPLICAS_MAX * 40 + 256 <= ENTRY_BYTES_MAX);
const _: () = assert!(KEY_BYTES_MAX + TENANT_BYTES_MAX + REPLICAS_MAX * 40 + 256 <= ENTRY_BYTES_MAX);
const _: () = assert!(
    KEY_BYTES_MAX + TENANT_BYTES_MAX + TASK_NAMES_BYTES_MAX + REPLICAS_MAX * 2 + 256 <= ENTRY_BYTES_MAX
);
const _: () = assert!(NAMED_MAX * 8 + 256 <= ENTRY_BYTES_MAX && NAMED_SLICE * 2 <= NAMED_MAX);
const _: () = assert!(TASK_FETCH_MAX * 16 + 256 <= ENTRY_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX <= LOG_CHUNK_BYTES && ENTRY_BYTES_MAX <= SHIP_BYTES_MAX);
const _: () =
    assert!(SHIP_ENTRIES_MAX as u64 <= SHIP_WINDOW_ENTRIES && SHIP_WINDOW_ENTRIES < LOG_ENTRIES_MAX);
const _: () = assert!(KEY_BYTES_MAX + METADATA_PART_BYTES_MAX + 256 <= ENTRY_BYTES_MAX);
const _: () = assert!(METADATA_PARTS_MAX * METADATA_PART_BYTES_MAX == METADATA_VALUE_BYTES_MAX);
const _: () = assert!(REPLICAS_MAX < 256);
const _: () = assert!(ENTRY_BYTES_MAX * 4 <= COPY_CHUNK_BYTES);
