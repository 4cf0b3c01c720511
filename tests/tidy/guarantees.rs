//! docs/guarantees.md names tests: each name must be in the file that it links to.

use crate::tree::Finding;

/// A line such as ``[`name`](../tests/it/x.rs)`` is kept when `text_of` that file has a test `name`, or the words as
/// they stand where they are no name.
pub(crate) fn check(path: &str, text: &str, text_of: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (nr, line) in (1..).zip(text.lines()) {
        for (name, target) in named(line) {
            let file = target.trim_start_matches("../");
            let wanted = if is_test_name(name) { format!("fn {name}(") } else { name.to_owned() };
            if !text_of(file).is_some_and(|text| text.contains(&wanted)) {
                findings.push(Finding::new(path, nr, format!("{file} has no `{wanted}`")));
            }
        }
    }
    findings
}

/// Names of tests begin with a small letter; cases and invariants are searched for as they stand.
fn is_test_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The pairs of a line that link words in code to a Rust file.
pub(crate) fn named(line: &str) -> Vec<(&str, &str)> {
    let starts = line.split("[`").skip(1);
    let pairs = starts.filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split_once(')')?.0))
    });
    pairs.filter(|(_, target)| target.ends_with(".rs")).collect()
}

#[test]
fn a_test_that_is_gone_is_found() {
    let text_of =
        |file: &str| (file == "tests/it/x.rs").then(|| "async fn it_lives() {} \"kill -9\"".to_owned());
    let of = |line: &str| check("docs/guarantees.md", line, &text_of).len();
    assert_eq!(of("| all | [`it_lives`](../tests/it/x.rs), [`\"kill -9\"`](../tests/it/x.rs) |"), 0);
    assert_eq!(of("| all | [`it_live`](../tests/it/x.rs) |"), 1, "a part of a name is none");
    assert_eq!(of("| all | [`\"freeze\"`](../tests/it/x.rs), [`it_lives`](../tests/it/y.rs) |"), 2);
    assert_eq!(of("| all | [`a page`](../README.md) |"), 0);
}
