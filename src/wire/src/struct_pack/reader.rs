//! A cursor over the values of one payload.

use super::Width;
use crate::error::{DecodeError, Problem};

/// Reads values front to back and never looks beyond the payload's end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Length of the whole payload, to tell offsets.
    end: usize,
    width: Width,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], width: Width) -> Self {
        Self { rest: bytes, end: bytes.len(), width }
    }

    /// Sets the width of the length prefixes that follow.
    pub(crate) fn set_width(&mut self, width: Width) {
        self.width = width;
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// The bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn fail(&self, problem: Problem) -> DecodeError {
        DecodeError { field: "", offset: self.end - self.rest.len(), problem }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.fail(Problem::Truncated { needed: count, remaining: self.rest.len() }));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.fail(Problem::Truncated { needed: N, remaining: self.rest.len() }));
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// A byte that says whether a value is present, or which of two follows.
    #[inline]
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        let before = *self;
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(before.fail(Problem::NotAFlag { found })),
        }
    }

    /// A length prefix. No element of a container is smaller than one byte, so
    /// a length beyond the payload's rest is refused here, before anything is
    /// made of it.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        let before = *self;
        let claimed = match self.width {
            Width::One => self.byte()?.into(),
            Width::Two => u16::from_le_bytes(self.array()?).into(),
            Width::Four => u32::from_le_bytes(self.array()?).into(),
            Width::Eight => u64::from_le_bytes(self.array()?),
        };
        let remaining = self.rest.len();
        match usize::try_from(claimed) {
            Ok(length) if length <= remaining => Ok(length),
            _ => Err(before.fail(Problem::LengthBeyondPayload { claimed, remaining })),
        }
    }
}
