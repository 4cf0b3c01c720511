//! `status.proto` is frozen: recordings, dashboards and consoles of other versions read it.
//!
//! `status.lock.txt` lists each field, enum value and call. What is listed may not change or go; what is new has
//! to be listed, so that it is frozen from then on.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

const LOCK: &str = include_str!("../status.lock.txt");
const FROZEN: [&str; 4] = ["status.proto", "promotion.proto", "state.proto", "telemetry.proto"];

#[test]
fn status_is_frozen() {
    let now = listing();
    let report = differences(LOCK, &now);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_frozen_files_import_nothing_else() {
    for file in descriptors().file.iter().filter(|file| FROZEN.contains(&file.name())) {
        for import in &file.dependency {
            assert!(FROZEN.contains(&import.as_str()), "{} imports {import}, not frozen", file.name());
        }
    }
}

#[test]
fn a_change_a_removal_and_an_addition_are_told() {
    let now = listing();
    assert!(now.contains("Positions.applied = 3 : uint64\n"), "the listing has lost its form:\n{now}");

    let retyped = now.replace("Positions.applied = 3 : uint64", "Positions.applied = 3 : optional uint64");
    let renumbered = now.replace("Role.ROLE_PRIMARY = 3", "Role.ROLE_PRIMARY = 5");
    let removed = now.replace("Positions.applied = 3 : uint64\n", "");
    for (changed, line) in [
        (&retyped, "Positions.applied = 3 : uint64"),
        (&renumbered, "Role.ROLE_PRIMARY = 3"),
        (&removed, "Positions.applied = 3 : uint64"),
    ] {
        let report = differences(&now, changed);
        assert!(report.contains(&format!("frozen, but changed or gone: {line}")), "{report}");
    }

    let added = differences(&removed, &now);
    assert_eq!(added, "new, add it to proto/status.lock.txt: Positions.applied = 3 : uint64\n");
    assert_eq!(differences(&now, &now), "");
}

/// One line per difference; empty = none.
fn differences(lock: &str, now: &str) -> String {
    let locked: BTreeSet<_> = lock.lines().collect();
    let present: BTreeSet<_> = now.lines().collect();
    let gone = locked.difference(&present).map(|line| format!("frozen, but changed or gone: {line}\n"));
    let new =
        present.difference(&locked).map(|line| format!("new, add it to proto/status.lock.txt: {line}\n"));
    gone.chain(new).collect()
}

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(standfast_proto::FILE_DESCRIPTOR_SET).expect("a descriptor set")
}

/// Everything frozen, a line each, in the order of the files.
fn listing() -> String {
    let mut lines = Vec::new();
    for file in descriptors().file.iter().filter(|file| FROZEN.contains(&file.name())) {
        file.service.iter().for_each(|service| list_service(service, &mut lines));
        file.enum_type.iter().for_each(|enumeration| list_enum("", enumeration, &mut lines));
        file.message_type.iter().for_each(|message| list_message("", message, &mut lines));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn list_service(service: &ServiceDescriptorProto, lines: &mut Vec<String>) {
    for call in &service.method {
        let stream = |streams| if streams { "stream " } else { "" };
        lines.push(format!(
            "{}.{}({}{}) returns ({}{})",
            service.name(),
            call.name(),
            stream(call.client_streaming()),
            short(call.input_type()),
            stream(call.server_streaming()),
            short(call.output_type()),
        ));
    }
}

fn list_enum(scope: &str, enumeration: &EnumDescriptorProto, lines: &mut Vec<String>) {
    for value in &enumeration.value {
        lines.push(format!("{scope}{}.{} = {}", enumeration.name(), value.name(), value.number()));
    }
}

fn list_message(scope: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    for field in &message.field {
        lines.push(format!(
            "{scope}{}.{} = {} : {}",
            message.name(),
            field.name(),
            field.number(),
            type_of(field, message)
        ));
    }
    let inner = format!("{scope}{}.", message.name());
    message.enum_type.iter().for_each(|nested| list_enum(&inner, nested, lines));
    message.nested_type.iter().for_each(|nested| list_message(&inner, nested, lines));
}

/// The type as the proto file spells it, with what changes the field's meaning on the wire or in code.
fn type_of(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let prefix = match field.label() {
        Label::Repeated => "repeated ".to_owned(),
        Label::Required => "required ".to_owned(),
        Label::Optional if field.proto3_optional() => "optional ".to_owned(),
        Label::Optional => match field.oneof_index {
            Some(index) => format!("oneof {} ", message.oneof_decl[index as usize].name()),
            None => String::new(),
        },
    };
    let name = match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    prefix + &name
}

fn short(type_name: &str) -> &str {
    type_name.trim_start_matches(".standfast.v1.")
}
