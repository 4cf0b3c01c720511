//! struct_pack, the encoding of every payload.
//!
//! A payload is one value: `hash | [metainfo] | [literal 00] | values`. The
//! hash identifies the type, the metainfo byte gives the width of all length
//! prefixes and says whether the type literal is spelled out.

mod list;
mod macros;
mod reader;
mod schema;
mod values;
mod writer;

pub use list::{Iter, List, Map};
pub(crate) use macros::{arguments, fields, open_enum, record};
pub use reader::Reader;
pub use schema::Schema;
pub(crate) use schema::{code, md5_prefix, push_size};
pub use values::{Expected, Str};
pub use writer::Writer;

use crate::error::{DecodeError, Problem};

/// A type of the protocol. Its values are small views: what they refer to is
/// borrowed from the payload, or from the caller who is about to encode them.
pub trait Pack<'a>: Copy {
    /// Appends the type's literal.
    fn literal(out: &mut Vec<u8>);

    /// The largest length of any container really present in the value, from
    /// which the writer chooses the width of all length prefixes; 0 if none is.
    fn longest(&self) -> usize;

    /// Appends the value.
    fn encode(&self, out: &mut Writer<'_>);

    /// Reads a value. It takes at least one byte, except for a request
    /// without arguments and the void of an [`Expected`].
    ///
    /// # Errors
    /// The bytes are not a value of this type.
    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError>;
}

/// Bytes in each length prefix of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    /// The narrowest width for a length.
    pub fn holding(length: usize) -> Self {
        match length as u64 {
            0..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            0x1_0000..=0xffff_ffff => Self::Four,
            _ => Self::Eight,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::One => 0,
            Self::Two => 1,
            Self::Four => 2,
            Self::Eight => 3,
        }
    }

    fn from_metainfo(metainfo: u8) -> Self {
        match (metainfo >> WIDTH_SHIFT) & 0b11 {
            0 => Self::One,
            1 => Self::Two,
            2 => Self::Four,
            _ => Self::Eight,
        }
    }
}

/// How much a payload says about itself. Both ends accept every form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether the type literal is spelled out.
    pub literal: bool,
    /// The width of the length prefixes, stated in a metainfo byte. `None`
    /// leaves it to the writer: the narrowest that fits, stated when needed.
    pub width: Option<Width>,
}

impl Form {
    /// What the released client and master write.
    pub const LONG: Self = Self { literal: true, width: None };
    /// The same information in 3 to 107 bytes less.
    pub const SHORT: Self = Self { literal: false, width: None };
}

const HASH_HAS_METAINFO: u32 = 1;
const TOTAL_LENGTH_MASK: u8 = 0b11;
const HAS_LITERAL: u8 = 0b100;
const WIDTH_SHIFT: u8 = 3;
const RESERVED_MASK: u8 = 0b1110_0000;

/// Appends a payload; nothing for a type without a value. A stated width that
/// is too narrow for the value gives way to the narrowest that fits.
pub(crate) fn encode<'a, T: Pack<'a>>(schema: &Schema, form: Form, value: &T, out: &mut Vec<u8>) {
    if schema.is_empty() {
        return;
    }
    let needed = Width::holding(value.longest());
    let width = form.width.map_or(needed, |stated| stated.max(needed));
    let has_metainfo = form.literal || form.width.is_some() || width != Width::One;
    out.extend_from_slice(&(schema.hash() | u32::from(has_metainfo)).to_le_bytes());
    if has_metainfo {
        out.push(width.code() << WIDTH_SHIFT | if form.literal { HAS_LITERAL } else { 0 });
    }
    if form.literal {
        out.extend_from_slice(schema.literal());
        out.push(0);
    }
    value.encode(&mut Writer::new(out, width));
}

/// Reads a payload and tells the form it came in. Bytes behind the value are
/// ignored, as both released ends do.
pub(crate) fn decode<'a, T: Pack<'a>>(schema: &Schema, payload: &'a [u8]) -> Result<(T, Form), DecodeError> {
    let mut input = Reader::new(payload, Width::One);
    let form = if schema.is_empty() { Form::SHORT } else { decode_prelude(schema, &mut input)? };
    if let Some(width) = form.width {
        input.set_width(width);
    }
    let value = T::decode(&mut input).map_err(|error| error.within("value"))?;
    Ok((value, form))
}

/// Reads everything in front of the values.
fn decode_prelude(schema: &Schema, input: &mut Reader<'_>) -> Result<Form, DecodeError> {
    let start = *input;
    let found = u32::from_le_bytes(input.array().map_err(|error| error.within("type hash"))?);
    if (found ^ schema.hash()) & !HASH_HAS_METAINFO != 0 {
        let problem = Problem::WrongHash { found: found & !HASH_HAS_METAINFO, expected: schema.hash() };
        return Err(start.fail(problem).within("type hash"));
    }
    if found & HASH_HAS_METAINFO == 0 {
        return Ok(Form::SHORT);
    }
    decode_metainfo(schema, input).map_err(|error| error.within("metainfo"))
}

fn decode_metainfo(schema: &Schema, input: &mut Reader<'_>) -> Result<Form, DecodeError> {
    let start = *input;
    let metainfo = input.byte()?;
    if metainfo & RESERVED_MASK != 0 {
        return Err(start.fail(Problem::ReservedMetainfo { found: metainfo }));
    }
    // A total length tells a reader nothing it does not know from the frame.
    match metainfo & TOTAL_LENGTH_MASK {
        0 => 0,
        code => input.take(1 << code)?.len(),
    };
    let literal = metainfo & HAS_LITERAL != 0;
    if literal {
        decode_literal(schema.literal(), input).map_err(|error| error.within("type literal"))?;
    }
    Ok(Form { literal, width: Some(Width::from_metainfo(metainfo)) })
}

fn decode_literal(expected: &[u8], input: &mut Reader<'_>) -> Result<(), DecodeError> {
    let start = *input;
    let wrong = start.fail(Problem::WrongLiteral { expected_len: expected.len() });
    if input.take(expected.len())? != expected || input.byte()? != 0 {
        return Err(wrong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_changes_where_the_specification_says() {
        assert_eq!(Width::holding(0), Width::One);
        assert_eq!(Width::holding(255), Width::One);
        assert_eq!(Width::holding(256), Width::Two);
        assert_eq!(Width::holding(65_535), Width::Two);
        assert_eq!(Width::holding(65_536), Width::Four);
        assert_eq!(Width::holding(0xffff_ffff), Width::Four);
        assert_eq!(Width::holding(0x1_0000_0000), Width::Eight);
    }
}
