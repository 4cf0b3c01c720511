use std::fs;

use super::*;

fn put(journal: &mut Journal, store: &mut Store, key: &'static str, value: &[u8]) {
    let then = vec![Put::Set(Bytes::from_static(key.as_bytes()), Bytes::copy_from_slice(value))];
    let txn = Txn { compares: Vec::new(), then, or_else: Vec::new() };
    store.apply(&txn).expect("one key");
    journal.append(store.revision(), &txn.then).expect("room on the disk");
}

/// A file with a snapshot and three entries, and the store that it describes.
fn sample(dir: &Path) -> (PathBuf, Store) {
    let path = dir.join("witness");
    let (mut journal, mut store) = Journal::open(path.clone(), None).expect("new");
    put(&mut journal, &mut store, "a", b"1");
    put(&mut journal, &mut store, "b", b"2");
    put(&mut journal, &mut store, "a", b"3");
    (path, store)
}

fn reopened(path: &Path) -> Result<Store, JournalFault> {
    Journal::open(path.to_owned(), None).map(|(_, store)| store)
}

#[test]
fn what_was_written_is_there_after_a_restart_with_its_revisions() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, store) = sample(dir.path());
    let again = reopened(&path).expect("sound");
    assert_eq!(again.records(), store.records());
    assert_eq!(again.revision(), store.revision());
}

#[test]
fn wherever_a_crash_cuts_it_off_the_whole_entries_before_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, _) = sample(dir.path());
    let whole = fs::read(&path).expect("readable");
    let (first, _) = whole_entries(&whole)[0];
    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).expect("writable");
        let expected = whole_entries(&whole).iter().rev().find(|(end, _)| *end <= cut).map(|(_, r)| *r);
        let store = reopened(&path).expect("cut off, not damaged");
        assert_eq!(Some(store.revision()), expected, "cut at {cut}");
        // And it goes on from there.
        let (mut journal, mut store) = Journal::open(path.clone(), None).expect("sound");
        put(&mut journal, &mut store, "c", b"4");
        drop(journal);
        assert_eq!(reopened(&path).expect("sound").records(), store.records());
    }
}

/// Where each entry ends, and the revision after it.
fn whole_entries(content: &[u8]) -> Vec<(usize, Revision)> {
    let (mut at, mut found) = (MAGIC.len(), Vec::new());
    while let Some((body, next)) = next_frame(content, at).expect("sound") {
        found.push((next, Revision(JournalEntry::decode(body).expect("an entry").revision as u64)));
        at = next;
    }
    found
}

#[test]
fn any_flipped_bit_is_refused_by_name_and_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, _) = sample(dir.path());
    let whole = fs::read(&path).expect("readable");
    let ends: Vec<usize> = whole_entries(&whole).iter().map(|(end, _)| *end).collect();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bad = whole.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, &bad).expect("writable");
            let fault = reopened(&path).expect_err("damaged");
            let begins = ends.iter().rev().find(|end| **end <= at).copied();
            let begins = begins.unwrap_or(if at < MAGIC.len() { 0 } else { MAGIC.len() });
            let text = fault.to_string();
            assert!(text.contains(&format!("witness is damaged at byte {begins}:")), "byte {at}: {text}");
        }
    }
}

#[test]
fn an_emptied_file_is_not_a_new_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, _) = sample(dir.path());
    fs::write(&path, b"").expect("writable");
    let text = reopened(&path).expect_err("not a witness's file").to_string();
    assert!(text.contains("damaged at byte 0") && text.contains("--start-revision"), "{text}");
    fs::write(&path, MAGIC).expect("writable");
    assert!(reopened(&path).expect_err("no snapshot").to_string().contains("its snapshot is missing"));
}

#[test]
fn a_new_file_may_begin_above_what_nodes_have_seen_and_only_a_new_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("witness");
    let (journal, store) = Journal::open(path.clone(), Some(Revision(900))).expect("new");
    assert_eq!(store.revision(), Revision(900));
    drop(journal);
    assert_eq!(reopened(&path).expect("sound").revision(), Revision(900));
    let fault = Journal::open(path, Some(Revision(1000))).expect_err("exists");
    assert!(fault.to_string().contains("is at revision 900"), "{fault}");
}

#[test]
fn one_file_has_one_witness() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("witness");
    let first = Journal::open(path.clone(), None).expect("new");
    assert!(matches!(Journal::open(path.clone(), None), Err(JournalFault::InUse { .. })));
    drop(first);
    assert!(Journal::open(path, None).is_ok());
}

#[test]
fn a_file_written_anew_says_the_same_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("witness");
    let (mut journal, mut store) = Journal::open(path.clone(), None).expect("new");
    let value = vec![7; 64 << 10];
    let mut rewritten = 0;
    for _ in 0..200 {
        put(&mut journal, &mut store, "a", &value);
        if journal.is_long() {
            journal.rewrite(&store).expect("room on the disk");
            rewritten += 1;
        }
    }
    assert!(rewritten > 0, "12 MiB were written");
    drop(journal);
    let again = reopened(&path).expect("sound");
    assert_eq!((again.records(), again.revision()), (store.records(), store.revision()));
}
