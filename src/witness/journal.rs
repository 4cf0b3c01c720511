//! The witness's file: a snapshot, then one entry a transaction, each on disk
//! before it is answered.
//!
//! ```text
//! magic (16 bytes), then entries:
//! length u32 LE | CRC-32 of the length | CRC-32 of the body | body (protobuf JournalEntry)
//! ```
//!
//! The length has its own checksum: a damaged one must not pass for an entry
//! that a crash cut off. Only what ends the file too early was cut off; it was
//! never answered, so it is dropped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;
use standfast_kernel::coordination::{Put, RecordStore, Revision, Txn, Versioned};
use standfast_proto::etcdserverpb as pb;
use standfast_proto::witness::{JournalEntry, Snapshot, TxnWrites, journal_entry::What};

/// Keys and values as the witness sees them.
pub(super) type Store = RecordStore<Bytes, Bytes>;

const MAGIC: &[u8; 16] = b"standfast-wit-1\n";
/// Bytes before an entry's body.
const HEAD: usize = 12;
/// Above this, and above twice its last snapshot, the file is written anew.
const REWRITE_BYTES: u64 = 4 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The system refuses.
    #[error("{}: {what}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another witness", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not what it was: nothing that it says can be trusted.
    #[error(
        "{} is damaged at byte {offset}: {what}. Restore it from a copy, or set it aside and begin a new one \
         with `--start-revision` above the highest epoch that any node has seen", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A new file was asked for, but there is one.
    #[error(
        "{} exists and is at revision {revision}: `--start-revision` begins a new file only", .path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
        /// Where it stands.
        revision: Revision,
    },
}

/// The open file, positioned at its end.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    rewrite_at: u64,
    /// Held for as long as the journal is open.
    _lock: File,
}

impl Journal {
    /// Opens the file and replays it, or begins a new one.
    pub(super) fn open(path: PathBuf, start: Option<Revision>) -> Result<(Self, Store), JournalFault> {
        let lock = lock(&path)?;
        let exists = path.try_exists().map_err(|e| io(&path, "cannot look for it", e))?;
        if !exists {
            let store = Store::restored(start.unwrap_or(Revision(1)), BTreeMap::new());
            let (file, bytes) = write_anew(&path, &store).map_err(|e| io(&path, "cannot begin it", e))?;
            return Ok((Self { path, file, bytes, rewrite_at: REWRITE_BYTES, _lock: lock }, store));
        }
        let opened = OpenOptions::new().read(true).append(true).open(&path);
        let mut file = opened.map_err(|e| io(&path, "cannot open it", e))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|e| io(&path, "cannot read it", e))?;
        let (store, sound) = replay(&path, &content)?;
        if start.is_some() {
            return Err(JournalFault::Exists { path, revision: store.revision() });
        }
        let bytes = sound as u64;
        if sound < content.len() {
            let dropped = content.len() - sound;
            tracing::warn!("{}: the last {dropped} bytes were cut off by a crash; dropped", path.display());
            file.set_len(bytes)
                .and_then(|()| file.sync_all())
                .map_err(|e| io(&path, "cannot shorten it", e))?;
        }
        Ok((Self { path, file, bytes, rewrite_at: REWRITE_BYTES.max(bytes * 2), _lock: lock }, store))
    }

    /// Writes what a transaction wrote; it is on disk when this returns.
    pub(super) fn append(
        &mut self,
        revision: Revision,
        writes: &[Put<Bytes, Bytes>],
    ) -> Result<(), JournalFault> {
        let what = What::Writes(TxnWrites { writes: writes.iter().map(write_op).collect() });
        let frame = frame(&JournalEntry { revision: revision.0 as i64, what: Some(what) });
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        written.map_err(|e| io(&self.path, "cannot write it", e))?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Whether it is time to [`rewrite`](Self::rewrite).
    pub(super) fn is_long(&self) -> bool {
        self.bytes >= self.rewrite_at
    }

    /// Replaces the file by one that begins with this store.
    pub(super) fn rewrite(&mut self, store: &Store) -> Result<(), JournalFault> {
        let anew = write_anew(&self.path, store).map_err(|e| io(&self.path, "cannot write it anew", e))?;
        (self.file, self.bytes) = anew;
        self.rewrite_at = REWRITE_BYTES.max(self.bytes * 2);
        Ok(())
    }
}

fn io(path: &Path, what: &'static str, source: std::io::Error) -> JournalFault {
    JournalFault::Io { path: path.to_owned(), what, source }
}

/// Beside the file, because the file itself is replaced now and then.
fn lock(path: &Path) -> Result<File, JournalFault> {
    let beside = with_suffix(path, "lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let lock = opened.map_err(|e| io(&beside, "cannot open the lock", e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalFault::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(e)) => Err(io(&beside, "cannot lock it", e)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// A file that holds this store and nothing else, in place of the former one:
/// at every moment one of both is there, whole.
fn write_anew(path: &Path, store: &Store) -> std::io::Result<(File, u64)> {
    let records = store.records().iter().map(|(key, r)| pb::KeyValue {
        key: key.clone(),
        value: r.value.clone(),
        create_revision: r.created.0 as i64,
        mod_revision: r.modified.0 as i64,
        ..Default::default()
    });
    let what = What::Snapshot(Snapshot { records: records.collect() });
    let entry = JournalEntry { revision: store.revision().0 as i64, what: Some(what) };
    let content = [&MAGIC[..], &frame(&entry)].concat();
    let draft = with_suffix(path, "new");
    let mut file = File::create(&draft)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok((file, content.len() as u64))
}

fn frame(entry: &JournalEntry) -> Vec<u8> {
    let body = entry.encode_to_vec();
    let length = (body.len() as u32).to_le_bytes();
    let mut frame = Vec::with_capacity(HEAD + body.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

fn write_op(put: &Put<Bytes, Bytes>) -> pb::RequestOp {
    use pb::request_op::Request;
    let request = match put {
        Put::Set(key, value) => Request::RequestPut(pb::PutRequest {
            key: key.clone(),
            value: value.clone(),
            ..Default::default()
        }),
        Put::Delete(key) => {
            Request::RequestDeleteRange(pb::DeleteRangeRequest { key: key.clone(), ..Default::default() })
        }
    };
    pb::RequestOp { request: Some(request) }
}

/// The store that the file describes, and how many of its bytes are sound. What
/// follows them was cut off.
fn replay(path: &Path, content: &[u8]) -> Result<(Store, usize), JournalFault> {
    let damaged = |offset: usize, what: String| JournalFault::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        what,
    };
    if !content.starts_with(MAGIC) {
        return Err(damaged(0, "it does not begin as a witness's file".to_owned()));
    }
    let mut at = MAGIC.len();
    let mut store = None;
    while let Some((body, next)) = next_frame(content, at).map_err(|what| damaged(at, what.to_owned()))? {
        let entry = JournalEntry::decode(body).map_err(|e| damaged(at, e.to_string()))?;
        store = Some(replay_entry(store, entry).map_err(|what| damaged(at, what))?);
        at = next;
    }
    // The snapshot is there, whole, before the file has its name.
    let store = store.ok_or_else(|| damaged(at, "its snapshot is missing".to_owned()))?;
    Ok((store, at))
}

/// The body at `at` and where the next entry begins; `None` where the file ends,
/// or ends too early.
fn next_frame(content: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, &'static str> {
    let Some(head) = content.get(at..at + HEAD) else { return Ok(None) };
    let word = |n: usize| u32::from_le_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]);
    if crc32fast::hash(&head[..4]) != word(4) {
        return Err("the checksum of an entry's length is wrong");
    }
    let next = at + HEAD + word(0) as usize;
    let Some(body) = content.get(at + HEAD..next) else { return Ok(None) };
    if crc32fast::hash(body) != word(8) {
        return Err("the checksum of an entry is wrong");
    }
    Ok(Some((body, next)))
}

fn replay_entry(store: Option<Store>, entry: JournalEntry) -> Result<Store, String> {
    let revision = Revision(u64::try_from(entry.revision).map_err(|_| "a negative revision".to_owned())?);
    match (store, entry.what) {
        (None, Some(What::Snapshot(snapshot))) => {
            let record = |kv: pb::KeyValue| {
                let (created, modified) =
                    (Revision(kv.create_revision as u64), Revision(kv.mod_revision as u64));
                (kv.key, Versioned { created, modified, value: kv.value })
            };
            Ok(Store::restored(revision, snapshot.records.into_iter().map(record).collect()))
        }
        (Some(mut store), Some(What::Writes(writes))) => {
            let then = writes.writes.into_iter().map(read_op).collect::<Result<_, _>>()?;
            let txn = Txn { compares: Vec::new(), then, or_else: Vec::new() };
            store.apply(&txn).map_err(|e| e.to_string())?;
            if store.revision() != revision {
                return Err(format!("an entry of revision {revision} leads to {}", store.revision()));
            }
            Ok(store)
        }
        (None, _) => Err("its first entry is no snapshot".to_owned()),
        (Some(_), Some(What::Snapshot(_)) | None) => Err("an entry that is no transaction".to_owned()),
    }
}

fn read_op(op: pb::RequestOp) -> Result<Put<Bytes, Bytes>, String> {
    use pb::request_op::Request;
    match op.request {
        Some(Request::RequestPut(put)) => Ok(Put::Set(put.key, put.value)),
        Some(Request::RequestDeleteRange(delete)) => Ok(Put::Delete(delete.key)),
        Some(Request::RequestRange(_)) | None => Err("an entry that writes nothing".to_owned()),
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
