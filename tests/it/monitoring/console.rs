//! Blocks of runbooks that are run: a line that begins with `$ ` is typed, the lines behind it must appear in its
//! output, in order; `*` stands for anything. `[exit N]` is the exit code, 0 unless said.

use std::path::Path;
use std::process::{Command, Stdio};

use standfast::monitoring::runbook::Page;

use super::states::Cluster;

/// A block and the state in which it is run.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) page: &'static str,
    pub(crate) state: &'static str,
    commands: Vec<Typed>,
}

#[derive(Debug, Default)]
struct Typed {
    line: &'static str,
    expected: Vec<&'static str>,
    exit: i32,
}

/// The blocks of a page.
pub(crate) fn blocks(page: &Page) -> Vec<Block> {
    let mut found = Vec::new();
    let mut block: Option<Block> = None;
    for line in page.text.lines() {
        if let Some(state) = line.strip_prefix("```console ") {
            block = Some(Block { page: page.name, state, commands: Vec::new() });
        } else if line == "```" {
            found.extend(block.take());
        } else if let Some(block) = &mut block {
            block.line(line);
        }
    }
    found
}

impl Block {
    fn line(&mut self, line: &'static str) {
        if let Some(typed) = line.strip_prefix("$ ") {
            return self.commands.push(Typed { line: typed, ..Typed::default() });
        }
        let command = self.commands.last_mut().expect("a command comes first");
        match line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')) {
            Some(code) => command.exit = code.parse().expect("a number"),
            None => command.expected.push(line),
        }
    }

    /// Types it; what is not as the page says.
    pub(crate) fn run(&self, cluster: &Cluster) -> Vec<String> {
        self.commands
            .iter()
            .filter_map(|c| c.run(cluster).err().map(|why| format!("{}: {why}", self.page)))
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.iter().all(|c| c.expected.is_empty())
    }
}

impl Typed {
    fn run(&self, cluster: &Cluster) -> Result<(), String> {
        let mut line = self.line.to_owned();
        for (name, (grpc, http)) in &cluster.addresses {
            line = line.replace(&format!("{name}:9003"), http).replace(&format!("{name}:50052"), grpc);
        }
        let folder = Path::new(env!("CARGO_BIN_EXE_standfast")).parent().expect("a folder");
        let script = format!("exec 2>&1; PATH=\"{}:$PATH\"; {line}", folder.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("STANDFAST_CONNECT", cluster.connect()).stdin(Stdio::null());
        let output = shell.output().expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(self.exit) {
            return Err(format!("`{}` ended with {:?}:\n{text}", self.line, output.status.code()));
        }
        let mut lines = text.lines();
        match self.expected.iter().find(|wanted| !lines.any(|line| is_like(line, wanted))) {
            Some(wanted) => Err(format!("`{}` does not say `{wanted}`:\n{text}", self.line)),
            None => Ok(()),
        }
    }
}

/// Whether a line is as the pattern says; spaces at its ends do not matter.
fn is_like(line: &str, pattern: &str) -> bool {
    let (line, mut parts) = (line.trim(), pattern.trim().split('*'));
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_star_stands_for_anything_and_the_rest_for_itself() {
    for (line, pattern) in
        [("a primary 1 2", "a * 2"), ("  x", "x"), ("abc", "*"), ("aXbXc", "a*b*c"), ("ab", "a*b")]
    {
        assert!(is_like(line, pattern), "{line} {pattern}");
    }
    for (line, pattern) in
        [("a primary 1 3", "a * 2"), ("xy", "x"), ("ac", "a*b*c"), ("", "x"), ("aba", "ab*ba")]
    {
        assert!(!is_like(line, pattern), "{line} {pattern}");
    }
}
