//! File sizes: a file has one subject, and one that has outgrown it says so.

use std::io::Write;

use crate::tree::{Finding, Tree, is_test};

const WARN_LINES: usize = 500;
const FAIL_LINES: usize = 800;

/// Files over the limit and their size. It may only shrink: no file is added, none may grow, and one that
/// is no longer too long must leave.
const OVERSIZE: &[(&str, usize)] = &[];

/// What the sizes of the tree come to.
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn of(tree: &Tree) -> Self {
        let rust = || tree.files.iter().filter(|file| file.path.ends_with(".rs"));
        let own: Vec<(&str, usize)> =
            rust().filter(|file| !file.is_generated()).map(|file| (&*file.path, count(&file.text))).collect();
        let mut notes = warnings(&own);
        let generated: Vec<usize> =
            rust().filter(|file| file.is_generated()).map(|file| count(&file.text)).collect();
        let unwarned = own.iter().filter(|(path, _)| is_exempt_from_warning(path)).count();
        notes.push(format!(
            "sizes: {} files measured, {unwarned} of them tests (no warning, same limit); not measured: \
             {} generated files with {} lines",
            own.len(),
            generated.len(),
            generated.iter().sum::<usize>(),
        ));
        Self { findings: check(&own, OVERSIZE), notes }
    }

    /// Past libtest's capture, so that a warning is seen while the test passes.
    pub(crate) fn print(&self) {
        let mut stderr = std::io::stderr().lock();
        for note in &self.notes {
            // A closed stderr loses a note, not a finding.
            let _ = writeln!(stderr, "{note}");
        }
    }
}

fn count(text: &str) -> usize {
    text.lines().count()
}

fn is_exempt_from_warning(path: &str) -> bool {
    is_test(path)
}

fn warnings(files: &[(&str, usize)]) -> Vec<String> {
    let long = files.iter().filter(|(path, lines)| *lines > WARN_LINES && !is_exempt_from_warning(path));
    long.map(|(path, lines)| {
        format!("warning: {path} has {lines} lines, more than {WARN_LINES}: has it one subject?")
    })
    .collect()
}

fn check(files: &[(&str, usize)], listed: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &(path, lines) in files.iter().filter(|(_, lines)| *lines > FAIL_LINES) {
        match listed.iter().find(|(name, _)| *name == path) {
            None => findings.push(Finding::new(
                path,
                0,
                format!("has {lines} lines, at most {FAIL_LINES} are allowed"),
            )),
            Some((_, ceiling)) if lines > *ceiling => {
                findings.push(Finding::new(path, 0, format!("has grown from {ceiling} to {lines} lines")));
            }
            Some(_) => {}
        }
    }
    for (name, _) in listed {
        if !files.iter().any(|(path, lines)| path == name && *lines > FAIL_LINES) {
            findings.push(Finding::new(name, 0, "is no longer too long: take it off the list"));
        }
    }
    findings
}

#[test]
fn long_files_are_found() {
    assert_eq!(check(&[("a.rs", 800)], &[]), []);
    assert_eq!(check(&[("a.rs", 801)], &[]).len(), 1);
    assert_eq!(warnings(&[("src/a.rs", 500)]).len(), 0);
    assert_eq!(warnings(&[("src/a.rs", 501)]).len(), 1);
    assert_eq!(warnings(&[("src/a_tests.rs", 700)]).len(), 0);
}

#[test]
fn the_list_may_only_shrink() {
    let listed = [("a.rs", 900)];
    assert_eq!(check(&[("a.rs", 900)], &listed), []);
    assert_eq!(check(&[("a.rs", 901)], &listed).len(), 1);
    assert_eq!(check(&[("a.rs", 800)], &listed).len(), 1);
    assert_eq!(check(&[], &listed).len(), 1);
}
