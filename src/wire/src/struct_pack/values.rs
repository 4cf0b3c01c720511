//! The values every type is built from.

use super::{Pack, Reader, Writer, code};
use crate::error::DecodeError;
use crate::types::ErrorCode;

/// A string of the protocol: bytes. Neither end checks a character set, so
/// keys and names need not be UTF-8.
pub type Str<'a> = &'a [u8];

/// A result that reports failures of the application.
pub type Expected<T> = Result<T, ErrorCode>;

macro_rules! integers {
    ($($integer:ty = $code:ident,)+) => {$(
        impl<'a> Pack<'a> for $integer {
            fn literal(out: &mut Vec<u8>) {
                out.push(code::$code);
            }

            fn longest(&self) -> usize {
                0
            }

            #[inline]
            fn encode(&self, out: &mut Writer<'_>) {
                out.put(&self.to_le_bytes());
            }

            #[inline]
            fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
                input.array().map(Self::from_le_bytes)
            }
        }
    )+};
}

integers! { i8 = I8, u8 = U8, i16 = I16, u16 = U16, i32 = I32, u32 = U32, i64 = I64, u64 = U64, }

impl<'a> Pack<'a> for bool {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::BOOL);
    }

    fn longest(&self) -> usize {
        0
    }

    fn encode(&self, out: &mut Writer<'_>) {
        out.flag(*self);
    }

    /// The reference master takes any byte but 0 for true.
    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(input.byte()? != 0)
    }
}

impl<'a> Pack<'a> for Str<'a> {
    fn literal(out: &mut Vec<u8>) {
        out.extend([code::STRING, code::CHAR]);
    }

    #[inline]
    fn longest(&self) -> usize {
        self.len()
    }

    #[inline]
    fn encode(&self, out: &mut Writer<'_>) {
        out.length(self.len());
        out.put(self);
    }

    #[inline]
    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let length = input.length()?;
        input.take(length)
    }
}

impl<'a, T: Pack<'a>> Pack<'a> for Option<T> {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::OPTION);
        T::literal(out);
    }

    fn longest(&self) -> usize {
        self.as_ref().map_or(0, T::longest)
    }

    fn encode(&self, out: &mut Writer<'_>) {
        out.flag(self.is_some());
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if input.flag()? { T::decode(input).map(Some) } else { Ok(None) }
    }
}

impl<'a, T: Pack<'a>> Pack<'a> for Expected<T> {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::EXPECTED);
        T::literal(out);
        ErrorCode::literal(out);
    }

    fn longest(&self) -> usize {
        self.as_ref().map_or(0, T::longest)
    }

    fn encode(&self, out: &mut Writer<'_>) {
        out.flag(self.is_ok());
        match self {
            Ok(value) => value.encode(out),
            Err(code) => code.encode(out),
        }
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if input.flag()? { T::decode(input).map(Ok) } else { ErrorCode::decode(input).map(Err) }
    }
}

/// The success of an [`Expected`] that has nothing more to say.
impl<'a> Pack<'a> for () {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::VOID);
    }

    fn longest(&self) -> usize {
        0
    }

    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(_: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// The entry of a map. Its literal is only used inside the map's.
impl<'a, K: Pack<'a>, V: Pack<'a>> Pack<'a> for (K, V) {
    fn literal(out: &mut Vec<u8>) {
        K::literal(out);
        V::literal(out);
    }

    fn longest(&self) -> usize {
        self.0.longest().max(self.1.longest())
    }

    fn encode(&self, out: &mut Writer<'_>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok((K::decode(input)?, V::decode(input)?))
    }
}
