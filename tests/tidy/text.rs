//! Rules over plain text, whatever the file.

use crate::tree::Finding;

/// Taken apart, so that this file does not breach its own rule.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Marks for unfinished work: they belong into an issue.
pub(crate) fn unfinished_marks(path: &str, text: &str) -> Vec<Finding> {
    find(path, text, |line| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words
            .into_iter()
            .find(|word| MARKS.contains(word))
            .map(|mark| format!("`{mark}`: do it, or open an issue"))
    })
}

/// Absolute paths that are true on one machine only.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    find(path, text, |line| {
        let found = MACHINE_PATHS.iter().find(|part| {
            // Inside a longer path (`docs/home/`) or an address it is not absolute.
            line.match_indices(**part)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c)))
        });
        found.map(|part| format!("`{part}` is a path of one machine: make it relative"))
    })
}

fn find(path: &str, text: &str, judge: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    (1..)
        .zip(text.lines())
        .filter_map(|(nr, line)| judge(line).map(|message| Finding::new(path, nr, message)))
        .collect()
}

#[test]
fn marks_are_found_as_words() {
    for mark in MARKS {
        assert_eq!(unfinished_marks("x", &format!("a\n// {mark}: later"))[0].line, 2);
        assert_eq!(unfinished_marks("x", &format!("mktemp -d demo.{mark}{mark}")), []);
    }
}

#[test]
fn machine_paths_are_found_where_they_are_absolute() {
    for part in MACHINE_PATHS {
        assert_eq!(machine_paths("x", &format!("cd \"{part}repo\"")).len(), 1);
        assert_eq!(machine_paths("x", &format!("see docs{part}index.md and https://a.org{part}b")), []);
    }
}
