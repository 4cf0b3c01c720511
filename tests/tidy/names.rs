//! Names that must be there: the plan's types and calls, and the documents.

use crate::tree::Finding;

/// The plan's names that exist so far; each slice adds its own.
const TYPES_SO_FAR: &[&str] = &[
    "OpLogEntry",
    "OpLogManager",
    "MasterService",
    "MetadataStore",
    "OpLogApplier",
    "ReplicationService",
    "HotStandbyService",
];
const RPCS_SO_FAR: &[&str] = &["SyncOpLog", "GetStatus"];
const DOCUMENTS_SO_FAR: &[&str] =
    &["README.md", "ARCHITECTURE.md", "STYLE.md", "TRACK-RECORD.md", "LICENSE", "docs/console.md"];

/// The plan's names that no Rust file defines, and the calls that no .proto file declares.
pub(crate) fn missing_plan_names(rust: &[&str], proto: &[&str]) -> Vec<Finding> {
    let defined = |name: &&&str| {
        ["struct", "enum", "trait", "type"]
            .iter()
            .any(|word| rust.iter().any(|text| declares(text, word, name)))
    };
    let declared = |name: &&&str| proto.iter().any(|text| declares(text, "rpc", name));
    let types =
        TYPES_SO_FAR.iter().filter(|name| !defined(name)).map(|name| format!("no type is named `{name}`"));
    let rpcs =
        RPCS_SO_FAR.iter().filter(|name| !declared(name)).map(|name| format!("no rpc is named `{name}`"));
    types.chain(rpcs).map(|message| Finding::new("plan names", 0, message)).collect()
}

/// The documents that are not there.
pub(crate) fn missing_documents(exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    DOCUMENTS_SO_FAR
        .iter()
        .filter(|path| !exists(path))
        .map(|path| Finding::new(path, 0, "is missing"))
        .collect()
}

/// Whether a line of `text` declares `name` with `keyword`, behind `pub` or the like and not in a comment.
fn declares(text: &str, keyword: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let mut words =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        !line.trim_start().starts_with("//")
            && words.any(|word| word == keyword)
            && words.next() == Some(name)
    })
}

#[test]
fn a_missing_plan_name_is_found() {
    let rust: String =
        TYPES_SO_FAR.iter().map(|name| format!("pub(crate) struct {name}<'a> {{}}\n")).collect();
    let proto: String =
        RPCS_SO_FAR.iter().map(|name| format!("  rpc {name}(stream A) returns (B);\n")).collect();
    assert_eq!(missing_plan_names(&[&rust], &[&proto]), []);

    let renamed = rust.replace("OpLogApplier<", "OpLogApplierV2<");
    assert_eq!(missing_plan_names(&[&renamed], &[&proto]).len(), 1);
    let commented = proto.replace("  rpc GetStatus", "  // rpc GetStatus");
    assert_eq!(missing_plan_names(&[&rust], &[&commented]).len(), 1);
    assert_eq!(missing_plan_names(&[], &[]).len(), TYPES_SO_FAR.len() + RPCS_SO_FAR.len());
}

#[test]
fn a_missing_document_is_found() {
    assert_eq!(missing_documents(&|path| path != "STYLE.md").len(), 1);
    assert_eq!(missing_documents(&|_| true), []);
}
