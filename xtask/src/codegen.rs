//! `cargo xtask codegen`: the Rust code of `proto/*.proto` and `docs/oplog.md`, which are checked in.
//!
//! protox parses the files, so that nobody needs protoc. prost formats what it
//! generates by itself; rustfmt never sees it, because the crate includes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use protox::prost::Message;

/// All of the contract.
const FILES: [&str; 10] = [
    "telemetry.proto",
    "state.proto",
    "promotion.proto",
    "status.proto",
    "master.proto",
    "replication.proto",
    "admin.proto",
    "etcd.proto",
    "witness.proto",
    "trace.proto",
];

const OPLOG_TABLE: &str = "docs/oplog.md";

/// The descriptor set, for reflection and for the test that freezes `status.proto`.
const DESCRIPTOR: &str = "descriptor.bin";

/// Writes `proto/src/generated` and the table of the log, or with `check` compares it with what would be written.
///
/// # Errors
/// When a proto file is wrong, a file cannot be read or written, or `check` finds a difference; that error
/// names each file that differs.
pub(crate) fn run(check: bool) -> Result<()> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("proto");
    let target = proto.join("src/generated");
    let fresh = generate(&proto)?;
    table(&proto.with_file_name(OPLOG_TABLE), check)?;
    if check { compare(&fresh, &read_dir(&target)?) } else { write(&target, &fresh) }
}

/// What each request logs and what each entry changes.
fn table(path: &Path, check: bool) -> Result<()> {
    let fresh = standfast_kernel::master::oplog_table();
    if !check {
        return fs::write(path, fresh).with_context(|| format!("writing {}", path.display()));
    }
    let present = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    if present != fresh {
        bail!("{OPLOG_TABLE} is not what the kernel says; run `cargo xtask codegen`");
    }
    Ok(())
}

type Files = BTreeMap<OsString, Vec<u8>>;

fn generate(proto: &Path) -> Result<Files> {
    let descriptors = protox::compile(FILES, [proto]).context("parsing the proto files")?;
    let out = tempfile::tempdir()?;
    fs::write(out.path().join(DESCRIPTOR), without_source_info(descriptors.clone()).encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(out.path())
        // Keys and batches are taken out of the receive buffer without a copy.
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .context("generating the Rust code")?;
    read_dir(out.path())
}

/// Comments and line numbers only bloat the descriptor set, and would change it with each edit.
fn without_source_info(
    mut descriptors: tonic_prost_build::FileDescriptorSet,
) -> tonic_prost_build::FileDescriptorSet {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors
}

fn read_dir(dir: &Path) -> Result<Files> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), fs::read(entry.path())?))
        })
        .collect()
}

fn compare(fresh: &Files, present: &Files) -> Result<()> {
    let names: BTreeSet<_> = fresh.keys().chain(present.keys()).collect();
    let differing: Vec<_> = names
        .into_iter()
        .filter(|name| fresh.get(*name) != present.get(*name))
        .map(|name| PathBuf::from("proto/src/generated").join(name).display().to_string())
        .collect();
    if !differing.is_empty() {
        bail!("not what the proto files say: {}; run `cargo xtask codegen`", differing.join(", "));
    }
    Ok(())
}

fn write(target: &Path, fresh: &Files) -> Result<()> {
    fs::create_dir_all(target)?;
    for name in read_dir(target)?.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(target.join(name))?;
    }
    for (name, content) in fresh {
        fs::write(target.join(name), content).with_context(|| format!("writing {}", name.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_code_is_what_the_proto_files_say() {
        run(true).expect("no drift");
    }

    #[test]
    fn a_drift_is_named_and_cured() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter().map(|(name, text)| (name.into(), text.as_bytes().to_vec())).collect()
        };
        let fresh = files(&[("same.rs", "a"), ("edited.rs", "b"), ("missing.rs", "c")]);
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, content) in files(&[("same.rs", "a"), ("edited.rs", "x"), ("left_over.rs", "d")]) {
            fs::write(dir.path().join(name), content).expect("a file");
        }

        let present = read_dir(dir.path()).expect("readable");
        let error = compare(&fresh, &present).expect_err("three files differ").to_string();
        for name in ["edited.rs", "left_over.rs", "missing.rs"] {
            assert!(error.contains(&format!("proto/src/generated/{name}")), "{error}");
        }
        assert!(!error.contains("same.rs"), "{error}");

        write(dir.path(), &fresh).expect("writable");
        compare(&fresh, &read_dir(dir.path()).expect("readable")).expect("cured");
    }
}
