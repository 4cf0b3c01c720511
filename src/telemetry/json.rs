//! Messages of the contract as JSON: the field names of the `.proto` files,
//! numbers as numbers. What is absent in the message is absent here: unknown.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use serde_json::Value;
use serde_json::value::Serializer;
use standfast_proto::{FILE_DESCRIPTOR_SET, v1};

/// A message that could not be turned into JSON: its type is not in the contract.
#[derive(Debug, thiserror::Error)]
#[error("no JSON for {0}: {1}")]
pub struct NoJson(&'static str, String);

/// The status as JSON.
///
/// # Errors
/// When the descriptors that are built in do not know the message.
pub fn to_json(status: &v1::NodeStatus) -> Result<Value, NoJson> {
    message(status, "standfast.v1.NodeStatus")
}

/// A role change as JSON.
///
/// # Errors
/// As [`to_json`].
pub fn role_change_to_json(change: &v1::RoleChange) -> Result<Value, NoJson> {
    message(change, "standfast.v1.RoleChange")
}

/// A role change from its JSON; fields of later versions are passed over.
///
/// # Errors
/// When this is no role change.
pub fn role_change_from_json(json: &str) -> Result<v1::RoleChange, NoJson> {
    const NAME: &str = "standfast.v1.RoleChange";
    let failed = |why: &dyn ToString| NoJson(NAME, why.to_string());
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut reader = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize_with_options(descriptor(NAME)?, &mut reader, &options);
    message.map_err(|e| failed(&e))?.transcode_to().map_err(|e| failed(&e))
}

/// One node's part of a write's path as JSON.
///
/// # Errors
/// As [`to_json`].
pub fn trace_to_json(trace: &v1::WriteTrace) -> Result<Value, NoJson> {
    message(trace, "standfast.v1.WriteTrace")
}

fn descriptor(name: &'static str) -> Result<MessageDescriptor, NoJson> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok());
    let descriptor = pool.as_ref().and_then(|pool| pool.get_message_by_name(name));
    descriptor.ok_or_else(|| NoJson(name, "not in the contract".to_owned()))
}

fn message(message: &impl Message, name: &'static str) -> Result<Value, NoJson> {
    let failed = |why: &dyn ToString| NoJson(name, why.to_string());
    let encoded = message.encode_to_vec();
    let dynamic = DynamicMessage::decode(descriptor(name)?, &*encoded).map_err(|e| failed(&e))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    dynamic.serialize_with_options(Serializer, &options).map_err(|e| failed(&e))
}

#[test]
fn zero_is_told_and_unknown_is_absent() {
    let log = v1::Log { entries: 0, bytes: 7, ..v1::Log::default() };
    let store = v1::Store { objects: 0, ..v1::Store::default() };
    let status = v1::NodeStatus { log: Some(log), store: Some(store), ..v1::NodeStatus::default() };
    let json = to_json(&status).expect("in the contract");
    assert_eq!((&json["log"]["entries"], &json["log"]["bytes"]), (&0.into(), &7.into()));
    assert_eq!(json["log"].get("pinned_at"), None, "{json}");
    assert_eq!(json["store"].get("used_bytes"), None, "{json}");
    assert_eq!(json.get("upstream"), None, "{json}");
}
