//! Links in Markdown that lead into the repository.

use crate::tree::Finding;

/// Every relative link of a document whose target `exists` denies.
pub(crate) fn check(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (nr, line) in (1..).zip(text.lines()) {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let wanted = beside(path, file);
            if !wanted.as_deref().is_some_and(exists) {
                findings.push(Finding::new(path, nr, format!("the link `{target}` leads to no file")));
            }
        }
    }
    findings
}

/// What stands in `](...)` and in `[name]: ...`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference = line.starts_with('[').then(|| line.split_once("]: ")).flatten();
    inline.chain(reference.and_then(|(_, rest)| rest.split_whitespace().next())).collect()
}

/// `target` as seen from `path`'s folder; `None` when it leaves the repository.
fn beside(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
fn broken(text: &str) -> usize {
    check("docs/a.md", text, &|path| matches!(path, "README.md" | "docs/b.md")).len()
}

#[test]
fn dead_links_are_found() {
    for text in
        ["[x](c.md)", "see [x](../b.md) now", "[x](../../README.md)", "![x](i.png \"t\")", "[x]: gone.md"]
    {
        assert_eq!(broken(text), 1, "{text}");
    }
    assert_eq!(broken("[x](gone.md) and [y](lost.md#part)"), 2);
}

#[test]
fn good_links_and_addresses_pass() {
    for text in [
        "[x](b.md#part), [y](../README.md)",
        "[x](#here)",
        "[x](https://a.org/b)",
        "```\n[x](gone.md)\n```",
        "[b]: ./b.md",
    ] {
        assert_eq!(broken(text), 0, "{text}");
    }
}
