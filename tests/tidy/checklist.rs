//! The checklist of SEMANTICS 8.1 to 8.9: each line is a test, or a rule strikes it out.

use std::collections::BTreeSet;

use crate::tree::Finding;

/// The last line of 8.9; what follows is about disks, HTTP, other people's HA and processes.
const LAST: u32 = 90;

/// Traps of NEEDS 6.
const TRAPS: u32 = 10;

/// Lines without a test, and why there is none.
const STRUCK_OUT: &[(u32, &str)] = &[
    (58, "SEMANTICS 10: offload to disks is answered as the disabled feature"),
    (86, "SEMANTICS 10: drain jobs may be left out; they are no calls but HTTP"),
    (90, "SEMANTICS 10: quotas come with multi-tenancy, which is off"),
];

/// Lines of the checklist that no test of `sources` is named after, and lines
/// that are struck out although there is one.
pub(crate) fn missing(sources: &[&str]) -> Vec<Finding> {
    let named: BTreeSet<u32> = sources.iter().flat_map(|text| lines_named(text)).collect();
    let finding = |line: u32, message: String| Finding::new("SEMANTICS 8", line as usize, message);
    let lines = (1..=LAST).filter_map(|line| {
        let why = STRUCK_OUT.iter().find(|(struck, _)| *struck == line);
        match (named.contains(&line), why) {
            (false, None) => Some(finding(line, format!("no test is named `s8_{line:02}_...`"))),
            (true, Some((_, why))) => Some(finding(line, format!("has a test, but is struck out: {why}"))),
            (true, None) | (false, Some(_)) => None,
        }
    });
    let beyond = named.iter().filter(|line| **line > LAST || **line == 0);
    let beyond = beyond.map(|line| finding(*line, "is no line of 8.1 to 8.9".to_owned()));
    lines.chain(beyond).collect()
}

/// The traps of NEEDS 6, outcomes that look right and are not, that no test of `sources` is named after.
pub(crate) fn traps_missing(sources: &[&str]) -> Vec<Finding> {
    let named: BTreeSet<u32> = sources.iter().flat_map(|text| numbers(text, "fn trap_")).collect();
    let missing = (1..=TRAPS).filter(|trap| !named.contains(trap));
    missing
        .map(|n| Finding::new("NEEDS 6", n as usize, format!("no test is named `trap_{n:02}_...`")))
        .collect()
}

/// The lines that functions of this text are named after: `fn s8_07_...`.
fn lines_named(text: &str) -> Vec<u32> {
    numbers(text, "fn s8_")
}

/// The numbers behind `prefix` in the names of functions.
fn numbers(text: &str, prefix: &str) -> Vec<u32> {
    let number = |line: &str| {
        let (_, name) = line.split_once(prefix)?;
        name.split_once('_')?.0.parse().ok()
    };
    text.lines().filter_map(number).collect()
}

#[test]
fn a_trap_without_a_test_is_found() {
    let tests: String = (1..=TRAPS).map(|n| format!("async fn trap_{n:02}_something() {{}}\n")).collect();
    assert_eq!(traps_missing(&[&tests]), []);
    assert_eq!(traps_missing(&[&tests.replace("trap_05_", "trap_")]).len(), 1);
}

#[test]
fn a_line_without_a_test_is_found() {
    let tests: String = (1..=LAST)
        .filter(|line| STRUCK_OUT.iter().all(|(struck, _)| struck != line))
        .map(|line| format!("#[test]\nasync fn s8_{line:02}_something() {{}}\n"))
        .collect();
    assert_eq!(missing(&[&tests]), []);
    assert_eq!(missing(&[&tests.replace("s8_29_", "s_29_")]).len(), 1);
    assert_eq!(missing(&[&tests, "fn s8_58_offload() {}"]).len(), 1);
    assert_eq!(missing(&[&tests, "fn s8_91_a_disk() {}"]).len(), 1);
}
