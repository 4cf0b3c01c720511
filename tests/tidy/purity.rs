//! The kernel names no clock, thread, socket, file, environment or process.

use crate::paths;
use crate::tree::Finding;

/// What may not be named, with or without more behind it.
const BANNED: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::thread",
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::os",
];

/// Importing one of these whole would let the banned ones be named in short.
const TOO_WIDE: &[&str] = &["std", "std::*", "std::time", "std::time::*"];

/// Every banned path in a file of the kernel.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let named = match paths::named(text) {
        Ok(named) => named,
        Err(message) => return vec![Finding::new(path, 0, message)],
    };
    named
        .iter()
        .filter_map(|named| {
            let shown = named.segments.join("::");
            let banned = BANNED.iter().any(|ban| {
                shown.strip_prefix(ban).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            });
            let wide = named.from_use && TOO_WIDE.contains(&shown.as_str());
            (banned || wide)
                .then(|| Finding::new(path, named.line, format!("the kernel is pure: no `{shown}`")))
        })
        .collect()
}

#[test]
fn impure_paths_are_found() {
    for text in [
        "use std::time::Instant;",
        "use std::{fmt, time::{Duration, SystemTime}};",
        "fn f() { std::thread::spawn(|| ()); }",
        "use std::net::*;",
        "use std::fs;",
        "fn f() { log!(std::env::var(\"X\")) }",
        "use std::time;",
        "use std::time::*;",
        "use std::process::Command as C;",
    ] {
        assert!(!check("src/kernel/src/x.rs", text).is_empty(), "{text}");
    }
}

#[test]
fn values_are_pure() {
    let text = "use std::time::Duration; use std::threads::X; use std::{fmt, sync::Arc}; fn f() { thread_local!(); }";
    assert_eq!(check("src/kernel/src/x.rs", text), []);
}
