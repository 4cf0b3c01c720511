//! The house rules as tests: one test a rule, and beside each rule a test that it goes red on a bad example.
//!
//! A rule is a function over (path, text) that returns findings; this file runs the rules over the tree.

#[path = "tidy/checklist.rs"]
mod checklist;
#[path = "tidy/guarantees.rs"]
mod guarantees;
#[path = "tidy/hazards.rs"]
mod hazards;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/manifest.rs"]
mod manifest;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;

use tree::{File, Finding, Tree};

/// Runs `rule` over the files that `wanted` picks; fails with all findings, or when it picked none.
fn each(wanted: impl Fn(&File) -> bool, rule: impl Fn(&str, &str) -> Vec<Finding>) {
    let tree = Tree::read();
    let files: Vec<&File> = tree.files.iter().filter(|file| wanted(file)).collect();
    assert!(!files.is_empty(), "the rule found no file to look at");
    let findings: Vec<Finding> = files.iter().flat_map(|file| rule(&file.path, &file.text)).collect();
    report(&findings);
}

fn report(findings: &[Finding]) {
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), shown.join("\n"));
}

#[test]
fn imports_follow_the_rooms() {
    each(File::is_production, imports::check);
}

#[test]
fn the_kernel_is_pure() {
    each(|file| file.is_production() && file.path.starts_with("src/kernel/"), purity::check);
}

#[test]
fn files_stay_small() {
    let tree = Tree::read();
    let sizes = sizes::Report::of(&tree);
    sizes.print();
    report(&sizes.findings);
}

#[test]
fn no_unfinished_macro() {
    each(File::is_own_rust, source::unfinished);
}

#[test]
fn no_unfinished_mark() {
    each(|_| true, text::unfinished_marks);
}

#[test]
fn an_ignored_test_says_why() {
    each(File::is_own_rust, source::bare_ignore);
}

#[test]
fn no_allow_and_each_expect_says_why() {
    each(File::is_own_rust, source::lint_levels);
}

#[test]
fn test_modules_are_compiled_for_tests_only() {
    each(File::is_production, source::test_modules);
}

#[test]
fn each_crate_inherits_lints_and_package_fields() {
    each(File::is_manifest, manifest::inherits);
}

#[test]
fn versions_live_in_the_workspace_table() {
    each(File::is_manifest, manifest::versions);
}

#[test]
fn the_kernel_depends_on_nothing_impure() {
    each(|file| file.path == "src/kernel/Cargo.toml", manifest::kernel_dependencies);
}

#[test]
fn the_console_depends_on_the_contract_only() {
    each(|file| file.path == "tui/Cargo.toml", manifest::console_dependencies);
}

#[test]
fn promises_name_tests_that_exist() {
    let tree = Tree::read();
    let text_of = |path: &str| tree.files.iter().find(|file| file.path == path).map(|file| file.text.clone());
    each(
        |file| file.path == "docs/guarantees.md",
        |path, text| {
            assert!(text.lines().flat_map(guarantees::named).count() > 20, "the page has lost its form");
            guarantees::check(path, text, &text_of)
        },
    );
}

#[test]
fn no_path_of_a_machine() {
    each(|_| true, text::machine_paths);
}

#[test]
fn links_lead_to_files() {
    let tree = Tree::read();
    each(|file| file.path.ends_with(".md"), |path, text| links::check(path, text, &|to| tree.exists(to)));
}

#[test]
fn the_documents_exist() {
    let tree = Tree::read();
    report(&names::missing_documents(&|path| tree.exists(path)));
}

#[test]
fn plan_names_stay_greppable() {
    let tree = Tree::read();
    let of = |ends: &str| {
        tree.files.iter().filter(|file| file.path.ends_with(ends)).map(|file| &*file.text).collect()
    };
    let (rust, proto): (Vec<&str>, Vec<&str>) = (of(".rs"), of(".proto"));
    report(&names::missing_plan_names(&rust, &proto));
}

#[test]
fn each_line_of_the_checklist_and_each_trap_is_a_test() {
    let tree = Tree::read();
    // The rule's own file names tests that are examples.
    let files = tree.files.iter().filter(|file| file.is_own_rust() && !file.path.starts_with("tests/tidy/"));
    let rust: Vec<&str> = files.map(|file| &*file.text).collect();
    report(&checklist::missing(&rust));
    report(&checklist::traps_missing(&rust));
}

#[test]
fn each_hazard_is_a_test() {
    let tree = Tree::read();
    let files = tree.files.iter().filter(|file| file.is_own_rust() && !file.path.starts_with("tests/tidy/"));
    let rust: Vec<(&str, &str)> = files.map(|file| (&*file.path, &*file.text)).collect();
    report(&hazards::missing(&rust));
}

/// "CI is green": with a variable of the environment that disables the faulty path.
#[test]
fn trap_10_no_variable_of_the_environment_switches_a_check_off() {
    let is_check = |path: &str| {
        !path.starts_with("tests/tidy/")
            && ["tests/", "xtask/", "src/kernel/tests/", "src/wire/tests/"]
                .iter()
                .any(|at| path.starts_with(at))
    };
    each(|file| file.is_own_rust() && is_check(&file.path), source::switches);
}
