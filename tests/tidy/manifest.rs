//! Rules over Cargo.toml, line by line: each dependency stands on its own line, which is a rule too.

use crate::tree::Finding;

/// What a crate takes from `[workspace.package]`.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Crates that bring a runtime, a wire, logs, chance or I/O into the kernel.
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "prost",
    "tracing",
    "log",
    "metrics",
    "rand",
    "getrandom",
    "fastrand",
    "mio",
    "nix",
    "libc",
];

/// A line of a manifest and the section it stands in.
struct Line<'a> {
    nr: usize,
    section: &'a str,
    text: &'a str,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut section = "";
    let mut lines = Vec::new();
    for (nr, line) in (1..).zip(text.lines()) {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = header.trim_matches(['[', ']']).trim();
            lines.push(Line { nr, section, text: "" });
        } else if !line.is_empty() && !line.starts_with('#') {
            lines.push(Line { nr, section, text: line });
        }
    }
    lines
}

fn is_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or(section);
    matches!(last, "dependencies" | "dev-dependencies" | "build-dependencies")
        && section != "workspace.dependencies"
}

/// A package takes its lints and its fields from the workspace.
pub(crate) fn inherits(path: &str, text: &str) -> Vec<Finding> {
    let lines = lines(text);
    if !lines.iter().any(|line| line.section == "package") {
        return Vec::new();
    }
    let has = |section: &str, wanted: &str| {
        lines.iter().any(|line| line.section == section && line.text.replace(' ', "") == wanted)
    };
    let mut findings = Vec::new();
    if !has("lints", "workspace=true") {
        findings.push(Finding::new(path, 0, "has no `[lints] workspace = true`"));
    }
    for field in INHERITED {
        if !has("package", &format!("{field}.workspace=true")) {
            findings.push(Finding::new(path, 0, format!("has no `{field}.workspace = true`")));
        }
    }
    findings
}

/// A dependency's version stands in `[workspace.dependencies]` and nowhere else.
pub(crate) fn versions(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in lines(text) {
        let parent = line.section.rsplit_once('.').map_or("", |(parent, _)| parent);
        if is_dependencies(parent) || parent == "workspace.dependencies" {
            findings.push(Finding::new(
                path,
                line.nr,
                "a dependency stands on one line, not in a section of its own",
            ));
        } else if is_dependencies(line.section)
            && !line.text.is_empty()
            && !line.text.replace(' ', "").contains("workspace=true")
        {
            let message =
                format!("`{}`: take the version from the workspace (`workspace = true`)", line.text);
            findings.push(Finding::new(path, line.nr, message));
        }
    }
    findings
}

/// The kernel's dependencies, its tests' included: a test that needs a runtime belongs to another crate.
/// Its benches read the clock of processor time, which takes `nix`.
pub(crate) fn kernel_dependencies(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in lines(text) {
        let name = line.text.split(['.', '=', ' ']).next().unwrap_or_default();
        let family = name.split(['-', '_']).next().unwrap_or_default();
        let of_benches = line.section == "dev-dependencies" && name == "nix";
        if is_dependencies(line.section) && IMPURE.contains(&family) && !of_benches {
            findings.push(Finding::new(path, line.nr, format!("the kernel is pure: no `{name}`")));
        }
    }
    findings
}

/// The console reads the contract and nothing of the server, so that it can never show what a node did not say.
pub(crate) fn console_dependencies(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in lines(text) {
        let name = line.text.split(['.', '=', ' ']).next().unwrap_or_default();
        if is_dependencies(line.section) && name.starts_with("standfast") && name != "standfast-proto" {
            findings.push(Finding::new(
                path,
                line.nr,
                format!("the console knows the contract only: no `{name}`"),
            ));
        }
    }
    findings
}

#[cfg(test)]
const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
    rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
    [dependencies]\n# why\nbytes.workspace = true\nserde = { workspace = true, features = [\"rc\"] }\n\
    [lints]\nworkspace = true\n";

#[test]
fn a_good_manifest_passes() {
    for rule in [inherits, versions, kernel_dependencies, console_dependencies] {
        assert_eq!(rule("Cargo.toml", GOOD), []);
    }
    assert_eq!(inherits("Cargo.toml", "[workspace]\nmembers = []"), []);
    assert_eq!(versions("Cargo.toml", "[workspace.dependencies]\nbytes = \"1\""), []);
}

#[test]
fn a_crate_that_does_not_inherit_is_found() {
    for line in ["workspace = true\n", "edition.workspace = true\n", "publish.workspace = true\n"] {
        let bad = GOOD.replace(&format!("\n{line}"), "\n");
        assert_eq!(inherits("Cargo.toml", &bad).len(), 1, "without {line}");
    }
}

#[test]
fn a_version_outside_the_workspace_table_is_found() {
    for bad in [
        "[dependencies]\nbytes = \"1\"",
        "[dev-dependencies]\nbytes = { version = \"1\" }",
        "[target.'cfg(unix)'.dependencies]\nnix = \"0.31\"",
        "[dependencies.bytes]\nversion = \"1\"",
        "[build-dependencies]\nx = { path = \"../x\" }",
    ] {
        assert!(!versions("Cargo.toml", bad).is_empty(), "{bad}");
    }
}

#[test]
fn an_impure_dependency_is_found() {
    for name in ["tokio", "tokio-util", "tracing-subscriber", "rand", "rand_chacha", "tonic"] {
        let bad = format!("[dependencies]\n{name}.workspace = true");
        assert_eq!(kernel_dependencies("Cargo.toml", &bad).len(), 1, "{name}");
        let bad = format!("[dev-dependencies]\n{name} = {{ workspace = true }}");
        assert_eq!(kernel_dependencies("Cargo.toml", &bad).len(), 1, "{name}");
    }
}

#[test]
fn a_console_that_knows_the_server_is_found() {
    for name in ["standfast", "standfast-kernel", "standfast-wire"] {
        let bad = format!("[dependencies]\nstandfast-proto.workspace = true\n{name}.workspace = true");
        assert_eq!(console_dependencies("Cargo.toml", &bad).len(), 1, "{name}");
    }
}
