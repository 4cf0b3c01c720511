//! The config file of a stock master: names of flags and their values, as YAML or as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Surroundings;

/// Names and values, as text.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(path: &Path, around: &impl Surroundings) -> Result<BTreeMap<String, String>, String> {
    let kind = path.extension().and_then(|extension| extension.to_str());
    let parse = match kind {
        Some("yaml" | "yml") => yaml,
        Some("json") => json,
        _ => return Err("expected a file that ends in .yaml, .yml or .json".to_owned()),
    };
    parse(&around.read(path)?)
}

/// Every scalar as it is written; what a value must be, its flag says.
fn yaml(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parsed = serde_saphyr::from_str::<Option<BTreeMap<String, Option<String>>>>(text);
    let entries = parsed.map_err(|error| format!("expected `name: value` on each line: {error}"))?;
    Ok(entries
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or_default()))
        .collect())
}

fn json(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parsed = serde_json::from_str::<BTreeMap<String, Value>>(text);
    let entries = parsed.map_err(|error| format!("expected an object of flags: {error}"))?;
    let scalar = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Null => Ok((name, String::new())),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(format!("`{name}` is {value}: expected one value")),
    };
    entries.into_iter().map(scalar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_the_same_texts() {
        let written =
            yaml("# why\nrpc_port: 50051\nenable_ha: false\nroot_fs_dir: \"\"\neviction_ratio: 0.10\n");
        let expected = [("rpc_port", "50051"), ("enable_ha", "false"), ("root_fs_dir", "")];
        for entries in [written, json(r#"{"rpc_port":50051,"enable_ha":false,"root_fs_dir":"","x":null}"#)] {
            let entries = entries.expect("sound");
            assert!(expected.iter().all(|(name, value)| entries[*name] == *value), "{entries:?}");
        }
        assert_eq!(yaml(""), Ok(BTreeMap::new()));
        assert_eq!(yaml("lease: 5s\n").expect("sound")["lease"], "5s");
    }

    #[test]
    fn what_is_no_list_of_flags_is_refused() {
        for text in ["- a\n- b\n", "a: [1, 2]\n", "a: {b: 1}\n", "a: b: c\n", "\"a", "just text"] {
            assert!(yaml(text).is_err(), "{text}");
        }
        for text in ["[1]", "{\"a\":[1]}", "{\"a\":", ""] {
            assert!(json(text).is_err(), "{text}");
        }
    }
}
