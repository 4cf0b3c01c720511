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

/// Under the feature `shuttle` these are others: only `sync.rs` knows which.
const LOCKS: &[&str] = &[
    "std::sync::atomic",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "parking_lot",
    "shuttle",
];

/// The file that chooses them, and the switch of the simulation, which is no state of the kernel.
const LOCKS_NAMED_IN: &[&str] = &["src/kernel/src/sync.rs", "src/kernel/src/mutants.rs"];

fn is_in(shown: &str, list: &[&str]) -> bool {
    list.iter()
        .any(|ban| shown.strip_prefix(ban).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

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
            let wide = named.from_use && TOO_WIDE.contains(&shown.as_str());
            let why = if is_in(&shown, BANNED) || wide {
                format!("the kernel is pure: no `{shown}`")
            } else if is_in(&shown, LOCKS) && !LOCKS_NAMED_IN.contains(&path) {
                format!("`{shown}` is named in `sync.rs` only: use `crate::sync`")
            } else {
                return None;
            };
            Some(Finding::new(path, named.line, why))
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
fn locks_and_atomics_come_from_one_file() {
    for text in
        ["use std::sync::atomic::AtomicU64;", "use std::sync::{Arc, Mutex};", "use parking_lot::RwLock;"]
    {
        assert!(!check("src/kernel/src/store/x.rs", text).is_empty(), "{text}");
        assert_eq!(check("src/kernel/src/sync.rs", text), [], "{text}");
    }
}

#[test]
fn values_are_pure() {
    let text = "use std::time::Duration; use std::threads::X; use std::{fmt, sync::Arc}; fn f() { thread_local!(); }";
    assert_eq!(check("src/kernel/src/x.rs", text), []);
}
