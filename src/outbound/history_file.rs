//! The history of role changes on disk: a line a row, `CRC-32 JSON`, so that
//! people can read it when no node runs. A row that is known better is written
//! again; the highest revision counts. A line that a crash cut off, or that is
//! damaged, is left out and said; the others stand.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use standfast_proto::v1;

use crate::ports::Archive;
use crate::telemetry;

/// Pause before what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Rows kept; the newest.
const ROWS_MAX: usize = 256;
/// Lines from which on the file is written anew, with one line a row.
const LINES_MAX: usize = 4 * ROWS_MAX;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFault {
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
    #[error("{} is in use by another node: each node keeps a file of its own", .0.display())]
    InUse(PathBuf),
}

/// The way to the file. A thread of its own writes, so that nobody waits for the disk.
#[derive(Debug)]
pub struct HistoryFile {
    /// Rows that wait to be written: of each the newest, and no more than are kept.
    waiting: Arc<Mutex<BTreeMap<String, v1::RoleChange>>>,
    wake: mpsc::SyncSender<()>,
}

impl Archive for HistoryFile {
    fn keep(&self, row: v1::RoleChange) {
        insert(&mut self.waiting.lock(), row);
        // Full: it is to be woken already.
        if let Err(mpsc::TrySendError::Disconnected(())) = self.wake.try_send(()) {
            tracing::error!("a row of the history is not kept: the thread that writes has ended");
        }
    }
}

impl HistoryFile {
    /// Opens the file, or begins it. Returns what it has kept.
    ///
    /// # Errors
    /// When it cannot be read or written, or when another process has it.
    pub fn open(path: &Path) -> Result<(Self, Vec<v1::RoleChange>), HistoryFault> {
        let keeper = Keeper::open(path.to_owned())?;
        let rows = keeper.rows.values().cloned().collect();
        let waiting = Arc::default();
        let ((wake, woken), taken) = (mpsc::sync_channel(1), Arc::clone(&waiting));
        let spawned =
            thread::Builder::new().name("history".to_owned()).spawn(move || keeper.run(&woken, &taken));
        spawned.map_err(|e| io(path, "cannot start its thread", e))?;
        Ok((Self { waiting, wake }, rows))
    }
}

/// The open file, and what is in it.
struct Keeper {
    path: PathBuf,
    file: File,
    rows: BTreeMap<String, v1::RoleChange>,
    lines: usize,
    /// Not all of the rows are in the file, or there is more in it than rows.
    torn: bool,
    /// Held for as long as the file is open.
    _lock: File,
}

impl Keeper {
    fn open(path: PathBuf) -> Result<Self, HistoryFault> {
        let lock = lock(&path)?;
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(io(&path, "cannot read it", e)),
        };
        let (rows, left_out) = read(&content);
        if left_out > 0 {
            tracing::warn!("{}: {left_out} lines were cut off or damaged; left out", path.display());
        }
        // So that it begins without damage, and no larger than it has to be.
        let file = write_anew(&path, &rows).map_err(|e| io(&path, "cannot write it", e))?;
        Ok(Self { lines: rows.len(), path, file, rows, torn: false, _lock: lock })
    }

    fn run(mut self, woken: &mpsc::Receiver<()>, waiting: &Mutex<BTreeMap<String, v1::RoleChange>>) {
        loop {
            let pause = if self.torn { AGAIN } else { Duration::MAX };
            let ended = woken.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Disconnected);
            let rows = std::mem::take(&mut *waiting.lock());
            if let Err(e) = self.write(rows.into_values()) {
                tracing::error!("{}: the history is not kept yet: {e}", self.path.display());
            }
            if ended {
                return;
            }
        }
    }

    /// Writes rows; they are on disk when this returns.
    fn write(&mut self, rows: impl Iterator<Item = v1::RoleChange>) -> std::io::Result<()> {
        let mut text = String::new();
        for row in rows {
            text += &line(&row)?;
            self.lines += 1;
            insert(&mut self.rows, row);
        }
        // Until it is done: a disk that is full may have taken half a line.
        let torn = std::mem::replace(&mut self.torn, true);
        if torn || self.lines > LINES_MAX {
            self.file = write_anew(&self.path, &self.rows)?;
            self.lines = self.rows.len();
        } else {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()?;
        }
        self.torn = false;
        Ok(())
    }
}

fn io(path: &Path, what: &'static str, source: std::io::Error) -> HistoryFault {
    HistoryFault::Io { path: path.to_owned(), what, source }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Beside the file, because the file itself is replaced now and then.
fn lock(path: &Path) -> Result<File, HistoryFault> {
    let beside = with_suffix(path, "lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let lock = opened.map_err(|e| io(&beside, "cannot open the lock", e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(HistoryFault::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(io(&beside, "cannot lock it", e)),
    }
}

/// A file with one line a row, in place of the former one: at every moment one of both is there, whole.
fn write_anew(path: &Path, rows: &BTreeMap<String, v1::RoleChange>) -> std::io::Result<File> {
    let draft = with_suffix(path, "new");
    let mut file = File::create(&draft)?;
    for row in rows.values() {
        file.write_all(line(row)?.as_bytes())?;
    }
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn line(row: &v1::RoleChange) -> std::io::Result<String> {
    let json = telemetry::role_change_to_json(row).map_err(std::io::Error::other)?.to_string();
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

/// The rows of a file, and how many lines are none.
fn read(content: &[u8]) -> (BTreeMap<String, v1::RoleChange>, usize) {
    let (mut rows, mut left_out) = (BTreeMap::new(), 0);
    for text in content.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
        match parse(text) {
            Some(row) => insert(&mut rows, row),
            None => left_out += 1,
        }
    }
    (rows, left_out)
}

fn parse(text: &[u8]) -> Option<v1::RoleChange> {
    let (crc, json) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    if crc32fast::hash(json.as_bytes()) != crc {
        return None;
    }
    telemetry::role_change_from_json(json).ok()
}

fn insert(rows: &mut BTreeMap<String, v1::RoleChange>, row: v1::RoleChange) {
    if rows.get(&row.id).is_some_and(|known| known.revision >= row.revision) {
        return;
    }
    rows.insert(row.id.clone(), row);
    if rows.len() > ROWS_MAX {
        let oldest = rows.values().min_by_key(|row| row.started_unix_us).map(|row| row.id.clone());
        oldest.and_then(|id| rows.remove(&id));
    }
}

#[cfg(test)]
#[path = "history_file_tests.rs"]
mod tests;
