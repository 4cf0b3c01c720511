//! Rules over the tokens of a Rust file: strings and comments do not count.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::paths::is_test_only;
use crate::tree::{Finding, is_test_module};

/// `todo!` and `unimplemented!`.
pub(crate) fn unfinished(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    over_tokens(path, text, &mut findings, &mut |tokens, findings| {
        for pair in tokens.windows(2) {
            if let [TokenTree::Ident(name), TokenTree::Punct(mark)] = pair
                && mark.as_char() == '!'
                && mark.spacing() == Spacing::Alone
                && (name == "todo" || name == "unimplemented")
            {
                let line = name.span().start().line;
                findings.push(Finding::new(path, line, format!("`{name}!`: finish it or leave it out")));
            }
        }
    });
    findings
}

/// `#[ignore]` without a reason.
pub(crate) fn bare_ignore(path: &str, text: &str) -> Vec<Finding> {
    over_attributes(path, text, |name, rest| {
        (name == "ignore" && !matches!(rest, [TokenTree::Punct(_), TokenTree::Literal(_)]))
            .then(|| "an ignored test gives its reason: #[ignore = \"...\"]".to_owned())
    })
}

/// `#[allow]` at all, and `#[expect]` without a reason.
pub(crate) fn lint_levels(path: &str, text: &str) -> Vec<Finding> {
    over_attributes(path, text, |name, rest| match name {
        "allow" => Some("use #[expect(..., reason = \"...\")]: it ends when its cause does".to_owned()),
        "expect" if !rest.iter().any(has_reason) => {
            Some("an expectation gives its reason: #[expect(..., reason = \"...\")]".to_owned())
        }
        "cfg_attr" => {
            let hidden = rest
                .iter()
                .any(|token| matches!(token, TokenTree::Group(group) if has_word(group.stream(), "allow")));
            hidden.then(|| "use expect with a reason, also in cfg_attr".to_owned())
        }
        _ => None,
    })
}

/// A module that is named like tests but compiled for others: it would escape the rules for production.
pub(crate) fn test_modules(path: &str, text: &str) -> Vec<Finding> {
    struct Modules<'a>(&'a str, Vec<Finding>);
    impl<'ast> Visit<'ast> for Modules<'_> {
        fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
            if is_test_only(&item.attrs) {
                return;
            }
            if is_test_module(&item.ident.to_string()) {
                let message = format!("module `{}` is named for tests: put #[cfg(test)] on it", item.ident);
                self.1.push(Finding::new(self.0, item.ident.span().start().line, message));
            }
            visit::visit_item_mod(self, item);
        }
    }
    match syn::parse_file(text) {
        Ok(file) => {
            let mut modules = Modules(path, Vec::new());
            modules.visit_file(&file);
            modules.1
        }
        Err(error) => vec![Finding::new(path, 0, format!("cannot be parsed: {error}"))],
    }
}

/// Calls `judge` with the name of each attribute and the tokens behind it.
fn over_attributes(
    path: &str,
    text: &str,
    judge: impl Fn(&str, &[TokenTree]) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    over_tokens(path, text, &mut findings, &mut |tokens, findings| {
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            if group.delimiter() != Delimiter::Bracket || !is_attribute(&tokens[..at]) {
                continue;
            }
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            if let Some((TokenTree::Ident(name), rest)) = inner.split_first()
                && let Some(message) = judge(&name.to_string(), rest)
            {
                findings.push(Finding::new(path, name.span().start().line, message));
            }
        }
    });
    findings
}

/// Whether the tokens end in `#` or `#!`.
fn is_attribute(before: &[TokenTree]) -> bool {
    let is =
        |token: &TokenTree, wanted| matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted);
    match before {
        [.., hash, bang] if is(bang, '!') => is(hash, '#'),
        [.., hash] => is(hash, '#'),
        [] => false,
    }
}

fn has_reason(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if has_word(group.stream(), "reason"))
}

fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(group.stream(), word),
        _ => false,
    })
}

/// Calls `look` with the tokens of the file and of every group in it.
fn over_tokens(
    path: &str,
    text: &str,
    findings: &mut Vec<Finding>,
    look: &mut impl FnMut(&[TokenTree], &mut Vec<Finding>),
) {
    match text.parse::<TokenStream>() {
        Ok(tokens) => walk(tokens, findings, look),
        Err(error) => findings.push(Finding::new(path, 0, format!("cannot be parsed: {error}"))),
    }
}

fn walk(
    tokens: TokenStream,
    findings: &mut Vec<Finding>,
    look: &mut impl FnMut(&[TokenTree], &mut Vec<Finding>),
) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    look(&tokens, findings);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            walk(group.stream(), findings, look);
        }
    }
}

#[test]
fn unfinished_macros_are_found_but_not_in_text() {
    assert_eq!(unfinished("x.rs", "fn f() {\n if a { todo!() } }")[0].line, 2);
    assert_eq!(unfinished("x.rs", "fn f() { std::unimplemented![] }").len(), 1);
    assert_eq!(unfinished("x.rs", "// todo!()\nfn todo() { f(\"unimplemented!()\"); if todo != x {} }"), []);
}

#[test]
fn a_bare_ignore_is_found() {
    assert_eq!(bare_ignore("x.rs", "#[test]\n#[ignore]\nfn f() {}")[0].line, 2);
    assert_eq!(bare_ignore("x.rs", "#[test] #[ignore = \"needs etcd\"] fn f() {}"), []);
}

#[test]
fn allow_and_bare_expect_are_found_everywhere() {
    for text in [
        "#![allow(dead_code)]",
        "#[allow(dead_code, reason = \"x\")] fn f() {}",
        "#[cfg_attr(unix, allow(dead_code))] fn f() {}",
        "macro_rules! m { () => { #[allow(dead_code)] fn f() {} } }",
        "#[expect(dead_code)] fn f() {}",
    ] {
        assert_eq!(lint_levels("x.rs", text).len(), 1, "{text}");
    }
    let good =
        "#[expect(dead_code, reason = \"used by the sim\")] fn f() { x[allow(y)]; g(\"#[allow(a)]\") }";
    assert_eq!(lint_levels("x.rs", good), []);
}

#[test]
fn a_test_module_that_ships_is_found() {
    assert_eq!(test_modules("x.rs", "mod a {\n mod shard_tests; }")[0].line, 2);
    assert_eq!(test_modules("x.rs", "#[cfg(any(test, unix))] mod tests;").len(), 1);
    assert_eq!(test_modules("x.rs", "#[cfg(test)] mod tests; mod contest;"), []);
}

/// Variables of the environment that a check may read: they ask for more, never for less.
const VARIABLES: &[&str] = &[
    "\"STANDFAST_WIRE_MUTATIONS\"",
    "\"STANDFAST_E2E_OBJECTS\"",
    "\"STANDFAST_E2E_RUNS\"",
    "\"CI\"",
    "\"CARGO\"",
];

/// A check that a variable of the environment could switch off.
pub(crate) fn switches(path: &str, text: &str) -> Vec<Finding> {
    let reads = |line: &str| line.contains("env::var") && !line.trim_start().starts_with("//");
    let known = |line: &str| VARIABLES.iter().any(|name| line.contains(name));
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| reads(line) && !known(line))
        .map(|(nr, line)| Finding::new(path, nr, format!("reads the environment: `{}`", line.trim())))
        .collect()
}

#[test]
fn a_switch_is_found() {
    assert_eq!(switches("tests/x.rs", "if std::env::var_os(\"SKIP_SLOW\").is_some() { return; }").len(), 1);
    assert_eq!(switches("tests/x.rs", "// env::var\nmatch std::env::var(\"CI\") {"), []);
}
