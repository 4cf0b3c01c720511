//! The files of the repository, read once for each rule.

use std::fmt;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1; 0 means the whole file.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A text file; `path` is relative to the root, with `/`.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Where generated code lives: no rule about style holds there.
const GENERATED: &str = "proto/src/generated/";

impl File {
    pub(crate) fn is_generated(&self) -> bool {
        self.path.starts_with(GENERATED)
    }

    pub(crate) fn is_own_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_generated()
    }

    /// Rust that ships: rooms and purity are about this.
    pub(crate) fn is_production(&self) -> bool {
        let ships = self.path.starts_with("src/") || self.path.starts_with("tui/src/");
        self.is_own_rust() && ships && !is_test(&self.path)
    }

    pub(crate) fn is_manifest(&self) -> bool {
        // fuzz/ is a workspace of its own, which cargo-fuzz lays out.
        self.path.ends_with("Cargo.toml") && !self.path.starts_with("fuzz/")
    }
}

/// Whether a path names tests. `source::test_modules` checks that such a module is compiled for tests only,
/// so that nothing that ships can hide behind the name.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| is_test_module(part.strip_suffix(".rs").unwrap_or(part)) || part == "benches")
}

/// Whether a module of this name holds tests.
pub(crate) fn is_test_module(name: &str) -> bool {
    matches!(name, "test" | "tests" | "testing") || name.ends_with("_test") || name.ends_with("_tests")
}

/// All text files except what git and cargo keep for themselves.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let entries = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_ours);
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.expect("the tree can be walked");
            if !entry.file_type().is_file() {
                continue;
            }
            // What is not UTF-8 (golden frames) has no rule.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                let path = entry.path().strip_prefix(root).expect("below the root");
                files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
        Self { files }
    }

    /// Whether a file or folder is there; binary files count.
    pub(crate) fn exists(&self, path: &str) -> bool {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
    }
}

fn is_ours(entry: &DirEntry) -> bool {
    entry.file_name() != ".git" && !(entry.file_type().is_dir() && entry.file_name() == "target")
}

#[test]
fn test_paths_are_told_from_production() {
    let production = |path: &str| File { path: path.to_owned(), text: String::new() }.is_production();
    assert!(production("src/kernel/src/store/shard.rs"));
    assert!(production("src/contest.rs"));
    assert!(production("tui/src/view/events.rs"));
    for path in [
        "src/shell/tests.rs",
        "src/kernel/src/store/shard_tests.rs",
        "src/wire/benches/x.rs",
        "tests/tidy.rs",
    ] {
        assert!(!production(path), "{path}");
    }
}
