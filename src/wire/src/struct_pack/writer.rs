//! Appends the values of one payload.

use super::Width;

/// Writes values behind each other, with length prefixes of one width.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    width: Width,
}

impl<'o> Writer<'o> {
    /// `width` must hold the largest length that will be written.
    pub(crate) fn new(out: &'o mut Vec<u8>, width: Width) -> Self {
        Self { out, width }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn flag(&mut self, present: bool) {
        self.out.push(present.into());
    }

    #[inline]
    pub(crate) fn length(&mut self, length: usize) {
        // One branch per width, because copies of a fixed size are much faster.
        match self.width {
            Width::One => self.out.push(length as u8),
            Width::Two => self.put(&(length as u16).to_le_bytes()),
            Width::Four => self.put(&(length as u32).to_le_bytes()),
            Width::Eight => self.put(&(length as u64).to_le_bytes()),
        }
    }
}
