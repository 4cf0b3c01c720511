//! The spellings of gflags: `-f v`, `--f v`, `--f=v`, `--f`, `--nof`, `--`, and flags out of files and variables.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use super::table::{self, Flag};
use super::values::Kind;
use super::{Surroundings, file};

/// Files that name files: more than this is a circle.
const FILES_MAX: usize = 16;

/// What was said, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, String>,
    /// Names that nobody knows, until `--undefok` is known.
    unknown: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) wrong: Vec<String>,
}

impl Given {
    /// Its value, in one spelling; the stock default when nothing was said.
    pub(super) fn value(&self, name: &str) -> &str {
        self.said(name).unwrap_or_else(|| table::find(name).map_or("", |flag| flag.default))
    }

    /// What was said, if anything was.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Takes a value in; the last one counts.
    fn set(&mut self, flag: &'static Flag, text: &str) {
        match flag.kind.read(text) {
            Ok(value) => drop(self.values.insert(flag.name, value)),
            Err(expected) => self.wrong.push(format!("--{} is `{text}`: expected {expected}", flag.name)),
        }
    }
}

/// Reads a command line, and the config file that it names.
pub(super) fn read(words: &[String], around: &impl Surroundings) -> Given {
    let mut given = Given::default();
    let mut words: VecDeque<String> = words.iter().cloned().collect();
    let mut files = 0;
    while let Some(word) = words.pop_front() {
        if word == "--" {
            break;
        }
        let Some(text) = word.strip_prefix('-').filter(|text| !text.is_empty()) else {
            given.notes.push(format!("`{word}` is no flag, and ignored"));
            continue;
        };
        let text = text.strip_prefix('-').unwrap_or(text);
        let Some((flag, value)) = flag_of(text, &mut words, &mut given) else { continue };
        match flag.name {
            "flagfile" => {
                files += 1;
                if files > FILES_MAX {
                    given.wrong.push(format!("--flagfile is `{value}`: more than {FILES_MAX} files"));
                    break;
                }
                // What the file says stands where the file was named.
                let lines = flag_file(&value, around, &mut given);
                lines.into_iter().rev().for_each(|line| words.push_front(line));
            }
            "fromenv" | "tryfromenv" => from_variables(flag.name, &value, around, &mut given),
            _ => given.set(flag, &value),
        }
    }
    let tolerated: Vec<String> = given.value("undefok").split(',').map(str::to_owned).collect();
    for name in std::mem::take(&mut given.unknown).iter().filter(|name| !tolerated.contains(name)) {
        given.wrong.push(format!("--{name} is no flag of a stock master{}", meant(name)));
    }
    config_file(around, &mut given);
    given
}

pub(super) fn meant(name: &str) -> String {
    table::nearest(name).map_or(String::new(), |near| format!("; --{near} is"))
}

/// The flag that a word names, and its value, which may be the next word.
fn flag_of(text: &str, words: &mut VecDeque<String>, given: &mut Given) -> Option<(&'static Flag, String)> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if let Some(flag) = table::find(name) {
        let value = match (value, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => match words.pop_front() {
                Some(next) => next,
                None => {
                    given.wrong.push(format!("--{} is the last word: expected its value", flag.name));
                    return None;
                }
            },
        };
        return Some((flag, value));
    }
    let negated = name.strip_prefix("no").filter(|_| value.is_none()).and_then(table::find);
    if let Some(flag) = negated.filter(|flag| flag.kind == Kind::Bool) {
        return Some((flag, "false".to_owned()));
    }
    given.unknown.push(name.to_owned());
    None
}

/// The flags in some files: one a line, `#` begins a comment.
fn flag_file(paths: &str, around: &impl Surroundings, given: &mut Given) -> Vec<String> {
    let mut flags = Vec::new();
    for path in paths.split(',').filter(|path| !path.is_empty()) {
        match around.read(Path::new(path)) {
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| line.starts_with('-'));
                flags.extend(lines.map(str::to_owned));
            }
            Err(why) => given.wrong.push(format!("--flagfile is `{path}`: {why}")),
        }
    }
    flags
}

/// `FLAGS_name` for each of some names.
fn from_variables(which: &str, names: &str, around: &impl Surroundings, given: &mut Given) {
    for name in names.split(',').filter(|name| !name.is_empty()) {
        match (table::find(name), around.variable(&format!("FLAGS_{name}"))) {
            (Some(flag), Some(value)) => given.set(flag, &value),
            (Some(_), None) if which == "tryfromenv" => {}
            (Some(_), None) => {
                given.wrong.push(format!("--{which} names {name}, but FLAGS_{name} is not set"));
            }
            (None, _) => given.unknown.push(name.to_owned()),
        }
    }
}

/// What the config file says and the command line does not.
fn config_file(around: &impl Surroundings, given: &mut Given) {
    let path = given.value("config_path").to_owned();
    if path.is_empty() {
        return;
    }
    let entries = match file::read(Path::new(&path), around) {
        Ok(entries) => entries,
        Err(why) => return given.wrong.push(format!("--config_path is `{path}`: {why}")),
    };
    for (name, value) in entries {
        match table::find(&name) {
            Some(flag) if given.values.contains_key(flag.name) => {}
            Some(flag) => given.set(flag, &value),
            // As a stock master does, which has files that are newer than itself.
            None => given.notes.push(format!("{path}: `{name}` is ignored: it is no flag{}", meant(&name))),
        }
    }
}
