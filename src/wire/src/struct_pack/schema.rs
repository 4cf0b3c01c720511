//! Type literals and the hashes made from them.

use md5::{Digest, Md5};

use super::Pack;

/// The codes a type literal is made of.
pub(crate) mod code {
    pub(crate) const I32: u8 = 0x01;
    pub(crate) const U32: u8 = 0x02;
    pub(crate) const I64: u8 = 0x03;
    pub(crate) const U64: u8 = 0x04;
    pub(crate) const I8: u8 = 0x05;
    pub(crate) const U8: u8 = 0x06;
    pub(crate) const I16: u8 = 0x07;
    pub(crate) const U16: u8 = 0x08;
    pub(crate) const BOOL: u8 = 0x0b;
    pub(crate) const CHAR: u8 = 0x0c;
    pub(crate) const STRING: u8 = 0x80;
    pub(crate) const MAP: u8 = 0x82;
    pub(crate) const LIST: u8 = 0x84;
    pub(crate) const OPTION: u8 = 0x85;
    pub(crate) const VARIANT: u8 = 0x86;
    pub(crate) const EXPECTED: u8 = 0x87;
    pub(crate) const VOID: u8 = 0xfa;
    pub(crate) const OPEN: u8 = 0xfd;
    pub(crate) const CLOSE: u8 = 0xff;
}

/// How a type identifies itself on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    literal: Box<[u8]>,
    hash: u32,
}

impl Schema {
    /// Computes the literal and the hash of a type.
    pub fn of<'a, T: Pack<'a>>() -> Self {
        let mut literal = Vec::new();
        T::literal(&mut literal);
        // The lowest bit is a flag of the payload, not part of the hash.
        let hash = md5_prefix(&literal) & !1;
        Self { literal: literal.into(), hash }
    }

    /// The type's structure in bytes, without the zero that ends it on the wire.
    pub fn literal(&self) -> &[u8] {
        &self.literal
    }

    /// The type hash; its lowest bit is 0.
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// Whether there is no value at all: the request of a call without
    /// arguments has an empty payload, without even a hash.
    pub fn is_empty(&self) -> bool {
        self.literal.is_empty()
    }
}

/// The first four bytes of the MD5 digest, as a big-endian number: the form in
/// which the protocol uses MD5 for type hashes and for function ids.
pub(crate) fn md5_prefix(bytes: &[u8]) -> u32 {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    let [first, second, third, fourth, ..] = digest;
    u32::from_be_bytes([first, second, third, fourth])
}

/// Appends a size to a literal: base 127, lowest digit first. All digits but
/// the last are stored plus 1, the last plus 129, so no byte is ever 0.
pub(crate) fn push_size(mut size: usize, out: &mut Vec<u8>) {
    while size >= 127 {
        out.push((size % 127) as u8 + 1);
        size /= 127;
    }
    out.push(size as u8 + 129);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_base_127() {
        let written = |size| {
            let mut out = Vec::new();
            push_size(size, &mut out);
            out
        };
        assert_eq!(written(0), [129]);
        assert_eq!(written(8), [0x89]);
        assert_eq!(written(126), [255]);
        assert_eq!(written(127), [1, 130]);
        assert_eq!(written(127 * 127 + 5), [6, 1, 130]);
    }

    #[test]
    fn the_worked_hash_of_the_specification() {
        let schema = Schema::of::<crate::calls::ExistKey<'_>>();
        assert_eq!(schema.literal(), [0xfd, 0x80, 0x0c, 0x80, 0x0c, 0xff]);
        assert_eq!(schema.hash(), 0x7cf9_1ed8);
    }
}
