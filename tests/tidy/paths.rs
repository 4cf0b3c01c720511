//! Every path that a source file names: `use` leaves, paths in code, and paths inside macro calls.
//!
//! What is compiled for tests only is left out: a test may put any rooms together.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A path as written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// `*` ends a glob; `a as b` and `a::self` appear as `a`.
    pub(crate) segments: Vec<String>,
    /// The inline modules of the file around it.
    pub(crate) inside: Vec<String>,
    pub(crate) from_use: bool,
}

/// All paths of a file, or why it cannot be parsed.
pub(crate) fn named(text: &str) -> Result<Vec<Named>, String> {
    let file = syn::parse_file(text).map_err(|error| format!("cannot be parsed: {error}"))?;
    let mut collector = Collector::default();
    collector.visit_file(&file);
    Ok(collector.found)
}

/// Whether one of the attributes is `cfg(test)` or `cfg(all(test, ...))`.
///
/// `any(test, ...)` is also compiled for others, so it does not count.
pub(crate) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let words = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (words == "test" || words.starts_with("all(test,"))
    })
}

#[derive(Default)]
struct Collector {
    found: Vec<Named>,
    inside: Vec<String>,
}

impl Collector {
    fn add(&mut self, line: usize, segments: Vec<String>, from_use: bool) {
        self.found.push(Named { line, segments, inside: self.inside.clone(), from_use });
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| {
            let mut path = prefix.to_vec();
            if ident != "self" || prefix.is_empty() {
                path.push(ident.to_string());
            }
            path
        };
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, prefix)),
            syn::UseTree::Name(name) => self.add(line, with(&name.ident), true),
            syn::UseTree::Rename(rename) => self.add(line, with(&rename.ident), true),
            syn::UseTree::Glob(_) => {
                let mut path = prefix.to_vec();
                path.push("*".to_owned());
                self.add(line, path, true);
            }
        }
    }

    /// The arguments of a macro are tokens to syn: paths in them are runs of `ident :: ident`.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.flush(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.flush(&mut path, line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    self.flush(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.flush(&mut path, line);
    }

    fn flush(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.add(line, path, false);
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test_only(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.add(item.span().start().line, vec![item.ident.to_string()], true);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(path.span().start().line, segments, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }
}

#[cfg(test)]
fn shown(text: &str) -> Vec<String> {
    named(text).expect("parses").iter().map(|named| named.segments.join("::")).collect()
}

#[test]
fn use_trees_are_flattened() {
    let text = "use crate::{shell::{self, a as b}, ports::*};\nextern crate kernel;";
    assert_eq!(shown(text), ["crate::shell", "crate::shell::a", "crate::ports::*", "kernel"]);
}

#[test]
fn paths_in_code_types_and_macros_are_seen() {
    let text = "fn f(x: crate::a::T<crate::b::U>) { select! { v = crate::c::g() => { crate::d::h(v) } } }";
    let shown = shown(text);
    for path in ["crate::a::T", "crate::b::U", "crate::c::g", "crate::d::h"] {
        assert!(shown.iter().any(|seen| seen == path), "{path} in {shown:?}");
    }
}

#[test]
fn what_only_tests_compile_is_left_out() {
    assert_eq!(shown("#[cfg(test)] mod tests { use crate::a; }"), Vec::<String>::new());
    assert_eq!(shown("#[cfg(all(test, unix))] use crate::a;"), Vec::<String>::new());
    assert!(shown("#[cfg(any(test, unix))] use crate::a;").contains(&"crate::a".to_owned()));
    assert!(shown("#[cfg(not(test))] use crate::a;").contains(&"crate::a".to_owned()));
}

#[test]
fn inline_modules_and_lines_are_kept() {
    let found = named("mod a {\n mod b {\n use super::super::c; } }").expect("parses");
    assert_eq!((found[0].line, found[0].inside.join("::")), (3, "a::b".to_owned()));
    assert!(named("fn (").is_err());
}
