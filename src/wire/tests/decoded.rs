//! Golden frames mean what the reference codec says they mean, field by field
//! and name by name. Bytes alone would not show two fields in the wrong order
//! when they have the same type.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Direction, Message};
use serde_json::Value;

/// A value as its `Debug` output spells it.
#[derive(Debug)]
enum Shown {
    /// `Name { field: value, .. }`
    Record(Vec<(String, Shown)>),
    /// `Name(value)`
    Tagged(String, Box<Shown>),
    /// `[a, b]` or `(a, b)`
    List(Vec<Shown>),
    /// A bare word or number.
    Word(String),
}

/// Reads `Debug` output, which is regular enough for a few lines.
struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end =
            self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn items(&mut self, close: &str) -> Vec<Shown> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value());
            self.eat(",");
        }
        items
    }

    fn fields(&mut self) -> Vec<(String, Shown)> {
        let mut fields = Vec::new();
        while !self.eat("}") {
            let name = self.word();
            assert!(self.eat(":"), "a colon was expected before {:.40}", self.rest);
            fields.push((name, self.value()));
            self.eat(",");
        }
        fields
    }

    fn value(&mut self) -> Shown {
        if self.eat("[") {
            return Shown::List(self.items("]"));
        }
        if self.eat("(") {
            return Shown::List(self.items(")"));
        }
        let name = self.word();
        assert!(!name.is_empty(), "a value was expected before {:.40}", self.rest);
        if self.eat("{") {
            return Shown::Record(self.fields());
        }
        if self.eat("(") {
            let inner = self.value();
            assert!(self.eat(")"), "one value was expected before {:.40}", self.rest);
            return Shown::Tagged(name, Box::new(inner));
        }
        Shown::Word(name)
    }
}

/// Whether a value is the one the reference codec stored.
fn same(shown: &Shown, stored: &Value) -> bool {
    match (shown, stored) {
        (Shown::Tagged(tag, inner), stored) => same_tagged(tag, inner, stored),
        // A UUID is stored as its two numbers.
        (Shown::Record(fields), Value::Array(pair)) => {
            fields.iter().map(|(name, _)| name.as_str()).eq(["first", "second"])
                && pair.len() == 2
                && fields.iter().zip(pair).all(|((_, field), stored)| same(field, stored))
        }
        (Shown::Record(fields), Value::Object(stored)) => {
            fields.len() == stored.len()
                && fields
                    .iter()
                    .all(|(name, field)| stored.get(name).is_some_and(|stored| same(field, stored)))
        }
        (Shown::List(bytes), Value::String(text)) => {
            bytes.len() == text.len()
                && bytes.iter().zip(text.bytes()).all(|(byte, stored)| same(byte, &stored.into()))
        }
        (Shown::List(items), Value::Array(stored)) => {
            items.len() == stored.len() && items.iter().zip(stored).all(|(item, stored)| same(item, stored))
        }
        (Shown::List(unit), Value::Null) => unit.is_empty(),
        (Shown::Word(word), Value::Null) => word == "None",
        (Shown::Word(word), Value::Bool(stored)) => word == if *stored { "true" } else { "false" },
        (Shown::Word(word), Value::Number(stored)) => word == stored.to_string().as_str(),
        _ => false,
    }
}

fn same_tagged(tag: &str, inner: &Shown, stored: &Value) -> bool {
    match tag {
        "Ok" => same(inner, &stored["ok"]) && stored.get("ok").is_some(),
        "Err" => same(inner, &stored["err"]),
        "Some" => same(inner, stored),
        "Memory" | "NoF" | "Disk" | "LocalDisk" | "DistributedFS" => {
            stored["name"] == format!("{tag}Descriptor") && same(inner, &stored["value"])
        }
        // An enum's value: stored by name when it has one, except error codes.
        name => match stored {
            Value::String(stored) => stored == name,
            number => same(inner, number),
        },
    }
}

/// Compares one frame; a single argument is shown inside its call's record.
fn compare(golden: &common::Golden) {
    let frame = &golden.frame;
    let parts = frame.parts();
    let (message, _) = Message::decode(frame.method, frame.direction, &parts.payload)
        .unwrap_or_else(|error| panic!("{}: {error}", frame.origin));
    let text = format!("{message:?}");
    let mut parser = Parser { rest: &text };
    let shown = parser.value();
    assert_eq!(parser.rest, "", "{}", frame.origin);
    let Shown::Tagged(_, call) = shown else { panic!("{text}") };
    let Shown::Tagged(name, value) = *call else { panic!("{text}") };
    assert_eq!(name, frame.method.name());
    let matches = match (frame.direction, &*value) {
        (Direction::Request, Shown::Word(_)) => golden.decoded["args"] == serde_json::json!({}),
        (Direction::Request, value) => same(value, &golden.decoded["args"]),
        (Direction::Response, value) => same(value, &golden.decoded["result"]),
    };
    assert!(matches, "{}: {text} is not {}", frame.origin, golden.decoded);
}

#[test]
fn every_golden_frame_means_what_the_reference_codec_says() {
    for golden in common::golden() {
        compare(&golden);
    }
}

#[test]
fn the_comparison_sees_a_swap_of_two_fields() {
    let text = "Ping { first: 1, second: 2 }";
    let shown = Parser { rest: text }.value();
    assert!(same(&shown, &serde_json::json!({"first": 1, "second": 2})));
    assert!(!same(&shown, &serde_json::json!({"first": 2, "second": 1})));
    assert!(!same(&shown, &serde_json::json!({"first": 1})));
}
