//! Bodies of the ops about transfer metadata.

use super::codec::{DecodeError, Reader, put_bytes};
use super::op::Op;
use crate::types::limits;

pub(super) fn put_part(out: &mut Vec<u8>, key: &[u8], part: u16, last: bool, bytes: &[u8]) {
    put_bytes(out, key);
    out.extend_from_slice(&part.to_le_bytes());
    out.push(u8::from(last));
    put_bytes(out, bytes);
}

pub(super) fn part<'a>(r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(Op::MetadataPart {
        key: key(r)?,
        part: index(r)?,
        last: r.bool("last part")?,
        bytes: r.bytes_up_to(limits::METADATA_PART_BYTES_MAX, "metadata part")?,
    })
}

pub(super) fn remove<'a>(r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(Op::MetadataRemove { key: key(r)? })
}

pub(crate) fn key<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    match r.bytes_up_to(limits::KEY_BYTES_MAX, "metadata key")? {
        [] => Err(DecodeError::Field { field: "metadata key", value: 0, expected: "1 byte or more" }),
        key => Ok(key),
    }
}

pub(crate) fn index(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    let part = r.u16("metadata part number")?;
    if usize::from(part) < limits::METADATA_PARTS_MAX {
        return Ok(part);
    }
    let expected = "below METADATA_PARTS_MAX";
    Err(DecodeError::Field { field: "metadata part number", value: part.into(), expected })
}
