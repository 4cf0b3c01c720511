//! Bytes of what a writer chose for an object.

use super::{DecodeError, Reader, put_bytes};
use crate::types::{DataType, Traits, limits};

const HARD_PIN: u8 = 1;
const SOFT_PIN: u8 = 2;
const PENDING_PIN: u8 = 4;
const GROUP: u8 = 8;

/// Data type, flags, and only those fields that the flags announce.
pub(super) fn put(out: &mut Vec<u8>, t: &Traits<'_>) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = flag(t.hard_pin, HARD_PIN)
        | flag(t.soft_pin != 0, SOFT_PIN)
        | flag(t.pending_pin.is_some(), PENDING_PIN)
        | flag(!t.group.is_empty(), GROUP);
    out.extend_from_slice(&[t.data_type.0, flags]);
    if t.soft_pin != 0 {
        out.extend_from_slice(&t.soft_pin.to_le_bytes());
    }
    if let Some(ttl) = t.pending_pin {
        out.extend_from_slice(&ttl.to_le_bytes());
    }
    if !t.group.is_empty() {
        put_bytes(out, t.group);
    }
}

pub(super) fn decode<'a>(r: &mut Reader<'a>) -> Result<Traits<'a>, DecodeError> {
    let data_type = DataType(r.u8("data type")?);
    let flags = r.u8("traits")?;
    if flags & !(HARD_PIN | SOFT_PIN | PENDING_PIN | GROUP) != 0 {
        return Err(field("traits", flags.into(), "0 to 15"));
    }
    let mut t = Traits { data_type, hard_pin: flags & HARD_PIN != 0, ..Traits::default() };
    if flags & SOFT_PIN != 0 {
        t.soft_pin = r.u64("soft pin")?;
        if t.soft_pin == 0 {
            return Err(field("soft pin", 0, "1 or more where it is announced"));
        }
    }
    if flags & PENDING_PIN != 0 {
        t.pending_pin = Some(r.u64("pending pin")?);
    }
    if flags & GROUP != 0 {
        t.group = r.bytes_up_to(limits::GROUP_BYTES_MAX, "group")?;
        if t.group.is_empty() {
            return Err(field("group", 0, "1 byte or more where it is announced"));
        }
    }
    Ok(t)
}

pub(super) fn put_pending_pin(out: &mut Vec<u8>, pin: Option<u64>) {
    out.push(u8::from(pin.is_some()));
    out.extend_from_slice(&pin.unwrap_or(0).to_le_bytes());
}

pub(super) fn pending_pin(r: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    let given = r.bool("pending pin given")?;
    let ttl = r.u64("pending pin")?;
    if !given && ttl != 0 {
        return Err(field("pending pin", ttl, "0 when none is given"));
    }
    Ok(given.then_some(ttl))
}

fn field(field: &'static str, value: u64, expected: &'static str) -> DecodeError {
    DecodeError::Field { field, value, expected }
}
