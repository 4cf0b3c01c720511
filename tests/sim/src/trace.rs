//! What happened, one row an event; the column says on which node.

use std::fmt::Write;

const COLUMN: usize = 46;

/// Rows, when somebody wants them.
#[derive(Debug)]
pub(crate) struct Trace {
    rows: Option<String>,
}

/// Where something happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Node(usize),
    Client(usize),
    World,
}

impl Trace {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { rows: wanted.then(|| format!("{:>12}  {:COLUMN$}{:COLUMN$}n2\n", "seconds", "n0", "n1")) }
    }

    /// Adds a row; `text` is made only when somebody wants it.
    pub(crate) fn row(&mut self, t: u64, at: At, text: impl FnOnce() -> String) {
        let Some(rows) = &mut self.rows else { return };
        let text = text();
        // Writing to a string cannot fail.
        let _ = match at {
            At::Node(n) => writeln!(rows, "{:>12.6}  {:pad$}{text}", t as f64 / 1e9, "", pad = n * COLUMN),
            At::Client(c) => writeln!(rows, "{:>12.6}  client {c}: {text}", t as f64 / 1e9),
            At::World => writeln!(rows, "{:>12.6}  -- {text}", t as f64 / 1e9),
        };
    }

    pub(crate) fn take(&mut self) -> String {
        self.rows.take().unwrap_or_default()
    }
}
