use proptest::prelude::*;

use super::*;

fn row(id: &str, revision: u64, started: i64) -> v1::RoleChange {
    v1::RoleChange {
        id: id.to_owned(),
        revision,
        epoch: 7,
        reason: "a is silent \u{2014} \"why\"\n".to_owned(),
        started_unix_us: started,
        lost: Some(v1::Loss { entries: Some(0), ..v1::Loss::default() }),
        ..v1::RoleChange::default()
    }
}

fn some(revisions: &[u64]) -> Vec<v1::RoleChange> {
    revisions.iter().zip(0..).map(|(revision, n)| row(&format!("r{n}"), *revision, n)).collect()
}

fn bytes(rows: &[v1::RoleChange]) -> Vec<u8> {
    rows.iter().map(|row| line(row).expect("JSON")).collect::<String>().into_bytes()
}

/// A file in a folder of its own.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history");
    (folder, path)
}

#[test]
fn rows_are_there_when_it_is_opened_again() {
    let (_folder, path) = place();
    let mut keeper = Keeper::open(path.clone()).expect("begun");
    keeper.write([row("a", 1, 1), row("b", 1, 2), row("a", 2, 1)].into_iter()).expect("written");
    drop(keeper);
    let keeper = Keeper::open(path).expect("opened");
    assert_eq!(keeper.rows.into_values().collect::<Vec<_>>(), [row("a", 2, 1), row("b", 1, 2)]);
}

#[test]
fn only_one_process_has_it() {
    let (_folder, path) = place();
    let _first = Keeper::open(path.clone()).expect("begun");
    let refused = Keeper::open(path).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused.contains("in use by another node"), "{refused}");
}

#[test]
fn it_does_not_grow_without_end() {
    let (_folder, path) = place();
    let mut keeper = Keeper::open(path.clone()).expect("begun");
    for revision in 1..=(3 * LINES_MAX as u64) {
        keeper.write(std::iter::once(row("a", revision, 1))).expect("written");
    }
    for n in 0..2 * ROWS_MAX as i64 {
        keeper.write(std::iter::once(row(&format!("{n}"), 1, n))).expect("written");
    }
    let content = std::fs::read(&path).expect("it is there");
    assert!(content.split(|b| *b == b'\n').count() <= LINES_MAX + 1);
    let (rows, left_out) = read(&content);
    assert_eq!((rows.len(), left_out), (ROWS_MAX, 0));
    assert!(rows.values().all(|row| row.started_unix_us >= ROWS_MAX as i64), "the newest stay");
}

proptest! {
    /// A crash leaves any part of the last write; a new start goes on behind the whole lines.
    #[test]
    fn a_torn_tail_costs_the_torn_line_only(revisions in prop::collection::vec(1_u64..9, 1..12), cut in 0_usize..4_000) {
        let rows = some(&revisions);
        let content = bytes(&rows);
        let cut = cut.min(content.len());
        let whole = content[..cut].iter().filter(|byte| **byte == b'\n').count();
        let (_folder, path) = place();
        std::fs::write(&path, &content[..cut]).expect("written");
        let mut keeper = Keeper::open(path.clone()).expect("opened");
        // The last line may lack nothing but its end.
        prop_assert!((whole..=whole + 1).contains(&keeper.rows.len()));
        keeper.write(std::iter::once(row("next", 1, 99))).expect("written");
        let known = keeper.rows.len();
        drop(keeper);
        let again = Keeper::open(path).expect("opened");
        prop_assert_eq!(again.rows.len(), known);
        prop_assert!(again.rows.contains_key("next"));
    }

    /// A byte that was changed on the disk is noticed: what is read was written.
    #[test]
    fn no_damaged_row_is_believed(revisions in prop::collection::vec(1_u64..9, 1..6), at in 0_usize..4_000, flip in 1_u8..255) {
        let rows = some(&revisions);
        let mut content = bytes(&rows);
        let at = at % content.len();
        content[at] ^= flip;
        let (read, _) = read(&content);
        prop_assert!(read.values().all(|row| rows.contains(row)), "{:?}", read);
        prop_assert!(read.len() + 2 >= rows.len(), "a damaged end of line costs two rows, anything else one");
    }
}

/// A full disk may have taken half a line; what was not written is owed.
#[test]
fn what_a_disk_refused_is_written_whole_once_it_takes_it() {
    let (_folder, path) = place();
    let mut keeper = Keeper::open(path.clone()).expect("begun");
    keeper.write(std::iter::once(row("a", 1, 1))).expect("written");
    let mut half = OpenOptions::new().append(true).open(&path).expect("opened");
    half.write_all(b"12345678 {\"id\": \"b").expect("written");
    keeper.file = File::open(&path).expect("opened, and takes nothing");
    keeper.write(std::iter::once(row("b", 1, 2))).expect_err("refused");
    keeper.write(std::iter::once(row("c", 1, 3))).expect("there is room again");
    let (rows, left_out) = read(&std::fs::read(&path).expect("it is there"));
    assert_eq!(
        (rows.into_keys().collect::<Vec<_>>(), left_out),
        (vec!["a".into(), "b".into(), "c".into()], 0)
    );
}

#[test]
fn no_row_is_dropped_however_slow_the_disk_is() {
    let (wake, _woken) = mpsc::sync_channel(1);
    let file = HistoryFile { waiting: Arc::default(), wake };
    for revision in 1..=1_000 {
        file.keep(row(&format!("r{}", revision % 9), revision, 1));
    }
    let newest: Vec<u64> = file.waiting.lock().values().map(|row| row.revision).collect();
    assert_eq!(newest.len(), 9);
    assert!(newest.iter().all(|revision| *revision > 991), "{newest:?}");
}
