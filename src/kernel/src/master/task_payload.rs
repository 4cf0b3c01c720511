//! What a task says to its client: JSON text, written by hand because it is
//! one flat object.

use std::fmt::Write;

use crate::store::Task;
use crate::types::TransferKind;

/// The payload of a task: tenant_id, key, source, and targets or target.
/// Bytes of a key that are not UTF-8 become U+FFFD, since JSON cannot carry
/// them: the client then names an object that is not there, and the task fails.
pub(super) fn payload(task: &Task) -> String {
    let split = task.key.iter().position(|b| *b == 0).unwrap_or(0);
    let (tenant, key) = task.key.split_at(split);
    let key = key.split_first().map_or(key, |(_, key)| key);
    let mut out = String::with_capacity(96 + task.key.len());
    out.push_str("{\"tenant_id\":");
    text(&mut out, &String::from_utf8_lossy(tenant));
    out.push_str(",\"key\":");
    text(&mut out, &String::from_utf8_lossy(key));
    out.push_str(",\"source\":");
    text(&mut out, &task.source);
    match task.kind {
        TransferKind::Copy => {
            out.push_str(",\"targets\":[");
            for (i, target) in task.targets.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                text(&mut out, target);
            }
            out.push(']');
        }
        TransferKind::Move => {
            out.push_str(",\"target\":");
            text(&mut out, task.targets.first().map_or("", |t| t));
        }
    }
    out.push('}');
    out
}

/// A JSON string.
fn text(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
