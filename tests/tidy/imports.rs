//! Import edges: the rooms a file reaches, against the table in `rooms.rs`.

use crate::paths::{self, Named};
use crate::rooms::{self, KERNEL_ROOT_ITEMS};
use crate::tree::Finding;

/// The workspace's crates as code names them, and what their rooms are called.
const CRATES: &[(&str, &str)] = &[
    ("standfast", ""),
    ("standfast_kernel", "kernel"),
    ("standfast_proto", "proto"),
    ("standfast_tui", "tui"),
    ("standfast_wire", "wire"),
    ("standfast_sim", "sim"),
];

/// Every import of `path` that the table does not list.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let module = match Module::of(path) {
        Ok(Some(module)) => module,
        // lib.rs declares the rooms; it imports nothing that the rooms do not.
        Ok(None) => return Vec::new(),
        Err(message) => return vec![Finding::new(path, 0, message)],
    };
    let named = match paths::named(text) {
        Ok(named) => named,
        Err(message) => return vec![Finding::new(path, 0, message)],
    };
    let mut findings: Vec<Finding> = named
        .iter()
        .filter_map(|named| module.breach(named).map(|message| Finding::new(path, named.line, message)))
        .collect();
    findings.dedup();
    findings
}

/// Where a file stands: its crate ("" is the root package), its module path, its room.
struct Module {
    krate: &'static str,
    path: Vec<String>,
    room: &'static rooms::Room,
}

impl Module {
    /// `None` for a crate's `lib.rs`; an error where the table knows no room.
    fn of(file: &str) -> Result<Option<Self>, String> {
        let (krate, inner) = if let Some(inner) = file.strip_prefix("src/kernel/src/") {
            ("kernel", inner)
        } else if let Some(inner) = file.strip_prefix("src/wire/src/") {
            ("wire", inner)
        } else if let Some(inner) = file.strip_prefix("tui/src/") {
            ("tui", inner)
        } else {
            ("", file.strip_prefix("src/").unwrap_or(file))
        };
        let mut path: Vec<String> = inner.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        if path == ["lib"] && !matches!(krate, "tui" | "wire") {
            return Ok(None);
        }
        let name = room_name(krate, &path[0]);
        let room = rooms::find(&name)
            .ok_or_else(|| format!("belongs to room `{name}`, which tests/tidy/rooms.rs does not know"))?;
        if path == ["lib"] || path == ["main"] {
            path.clear();
        }
        Ok(Some(Self { krate, path, room }))
    }

    /// What is wrong with naming this path here, if anything.
    fn breach(&self, named: &Named) -> Option<String> {
        let (krate, inner) = self.resolve(named)?;
        let shown = named.segments.join("::");
        let to = match inner.first().map(String::as_str) {
            _ if matches!(krate, "proto" | "sim" | "tui" | "wire") => krate.to_owned(),
            None | Some("*") if krate == self.krate && !named.from_use => return None,
            None | Some("*") => {
                return Some(format!("`{shown}` hides which room it reaches: import from a room"));
            }
            Some(item) if krate == "kernel" && KERNEL_ROOT_ITEMS.contains(&item) => return None,
            Some(room) => room_name(krate, room),
        };
        if rooms::find(&to).is_none() && !matches!(&*to, "proto" | "sim") {
            return Some(format!("`{shown}` reaches `{to}`, which is no room: import from a room"));
        }
        let from = self.room.name;
        (!rooms::allowed(self.room, &to)).then(|| format!("{from} may not import {to} (`{shown}`)"))
    }

    /// The crate and the path in it; `None` for what is outside the workspace or relative to an import,
    /// which was seen where it was imported.
    fn resolve(&self, named: &Named) -> Option<(&'static str, Vec<String>)> {
        let segments = &named.segments;
        let mut here: Vec<String> = self.path.iter().chain(&named.inside).cloned().collect();
        let mut rest = segments.iter().skip_while(|segment| *segment == "self").peekable();
        let first = segments.first()?;
        if first == "crate" || first == "$crate" {
            return Some((self.krate, segments[1..].to_vec()));
        }
        if let Some((_, krate)) = CRATES.iter().find(|(name, _)| name == first) {
            return Some((krate, segments[1..].to_vec()));
        }
        if first == "super" || (first == "self" && segments.get(1).is_some_and(|next| next == "super")) {
            while rest.next_if(|segment| *segment == "super").is_some() {
                here.pop();
            }
            here.extend(rest.cloned());
            return Some((self.krate, here));
        }
        None
    }
}

/// A module below a crate's root, as the table calls it.
fn room_name(krate: &str, module: &str) -> String {
    match krate {
        "" => module.to_owned(),
        "kernel" => format!("kernel::{module}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
fn messages(path: &str, text: &str) -> Vec<String> {
    check(path, text).into_iter().map(|finding| finding.message).collect()
}

#[test]
fn edges_in_the_table_pass() {
    for (path, text) in [
        (
            "src/kernel/src/store/shard.rs",
            "use crate::{oplog::Op, types::Seq, sync::Ranked}; use super::digest::D;",
        ),
        (
            "src/kernel/src/master/decide.rs",
            "use crate::{api::Request, store::S}; fn f() { crate::mutant!(X) }",
        ),
        ("src/kernel/src/node.rs", "use crate::{supervisor::A, master::B, replication::C};"),
        (
            "src/inbound/grpc/server.rs",
            "use crate::shell::X; use standfast_kernel::api::R; use standfast_proto::v1;",
        ),
        (
            "src/inbound/grpc/server.rs",
            "use super::super::admin; use std::fmt; fn f() { Self::new(); g::h() }",
        ),
        ("src/outbound/peer.rs", "use crate::{config::C, ports::P}; use standfast_kernel::types::Seq;"),
        ("src/app.rs", "use crate::{cli, inbound, outbound}; use standfast_kernel::store::S;"),
        ("src/main.rs", "use standfast::{app, cli};"),
        ("src/cli/console.rs", "use standfast_tui::Options;"),
        ("tui/src/view/mod.rs", "use crate::model::Model; use standfast_proto::v1;"),
        ("src/config/load.rs", "#[cfg(test)] mod tests { use crate::shell::X; }"),
    ] {
        assert_eq!(messages(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn edges_outside_the_table_are_found_however_they_are_written() {
    for (path, text) in [
        ("src/kernel/src/store/mod.rs", "use crate::master::decide;"),
        ("src/kernel/src/store/shard.rs", "use super::super::replication::X;"),
        ("src/kernel/src/oplog/log.rs", "fn f() { crate::store::g() }"),
        ("src/kernel/src/types/pos.rs", "use standfast_proto::v1::Pos;"),
        ("src/kernel/src/supervisor/role.rs", "use crate::node::Node;"),
        ("src/inbound/grpc/server.rs", "use standfast_kernel::{types::Seq, store::MetadataStore};"),
        ("src/inbound/admin.rs", "fn f() { select! { x = crate::outbound::clock::now() => x } }"),
        ("src/shell/driver.rs", "use super::{super::inbound::grpc};"),
        ("src/shell/driver.rs", "mod inner { use super::super::super::outbound; }"),
        ("src/outbound/peer.rs", "use crate::witness;"),
        ("src/config/mod.rs", "impl crate::app::Build for X {}"),
        ("src/telemetry/catalog.rs", "pub use standfast_kernel::store::digest as d;"),
        ("src/wire/src/frame.rs", "use standfast_kernel::types::Seq; use standfast_proto::v1;"),
        ("src/main.rs", "use standfast::shell;"),
        ("src/shell/driver.rs", "use standfast_tui::Time;"),
        ("tui/src/update.rs", "use standfast_kernel::store::MetadataStore;"),
        ("tui/src/update.rs", "use standfast::cli;"),
    ] {
        let found = messages(path, text);
        assert!(found.iter().any(|message| message.contains("may not import")), "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_would_hide_an_edge_is_found() {
    for (path, text, word) in [
        ("src/shell/driver.rs", "use crate::*;", "hides"),
        ("src/shell/driver.rs", "use super::super::*;", "hides"),
        ("src/inbound/admin.rs", "use standfast_kernel as k;", "hides"),
        ("src/inbound/admin.rs", "extern crate standfast_kernel;", "hides"),
        ("src/inbound/admin.rs", "use standfast_kernel::MetadataStore;", "no room"),
        ("src/helpers.rs", "", "does not know"),
        ("src/kernel/src/util.rs", "", "does not know"),
        ("src/shell/driver.rs", "use crate::{", "cannot be parsed"),
    ] {
        let found = messages(path, text);
        assert!(found.iter().any(|message| message.contains(word)), "{path}: {text}: {found:?}");
    }
}
