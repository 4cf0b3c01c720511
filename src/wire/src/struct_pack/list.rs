//! Lists and maps that borrow their elements.

use std::fmt;
use std::slice;

use super::{Pack, Reader, Width, Writer, code};
use crate::error::DecodeError;

/// A list to be encoded, or one that was decoded: either a slice of elements
/// or the bytes they are packed in. Reading a list checks every element once
/// and keeps only the bytes; elements are read again as they are iterated.
/// So a list costs no memory, however long a hostile peer makes it.
#[derive(Clone, Copy)]
pub struct List<'a, T>(Elements<'a, T>);

#[derive(Clone, Copy)]
enum Elements<'a, T> {
    Slice(&'a [T]),
    /// `count` elements, each known to be sound.
    Packed {
        bytes: &'a [u8],
        width: Width,
        count: usize,
    },
}

impl<'a, T: Pack<'a>> List<'a, T> {
    /// A list of the slice's elements.
    pub fn new(elements: &'a [T]) -> Self {
        Self(Elements::Slice(elements))
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Elements::Slice(elements) => elements.len(),
            Elements::Packed { count, .. } => count,
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'a, T> {
        Iter(match self.0 {
            Elements::Slice(elements) => Cursor::Slice(elements.iter()),
            Elements::Packed { bytes, width, count } => {
                Cursor::Packed { input: Reader::new(bytes, width), left: count }
            }
        })
    }
}

impl<'a, T: Pack<'a>> Default for List<'a, T> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<'a, T: Pack<'a>> From<&'a [T]> for List<'a, T> {
    fn from(elements: &'a [T]) -> Self {
        Self::new(elements)
    }
}

impl<'a, T: Pack<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Pack<'a>> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Pack<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Pack<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Pack<'a>> Pack<'a> for List<'a, T> {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::LIST);
        T::literal(out);
    }

    fn longest(&self) -> usize {
        self.iter().fold(self.len(), |longest, element| longest.max(element.longest()))
    }

    fn encode(&self, out: &mut Writer<'_>) {
        out.length(self.len());
        for element in self {
            element.encode(out);
        }
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = input.length()?;
        let start = input.rest();
        for _ in 0..count {
            T::decode(input)?;
        }
        let bytes = &start[..start.len() - input.rest().len()];
        Ok(Self(Elements::Packed { bytes, width: input.width(), count }))
    }
}

/// The elements of a [`List`] in order.
#[derive(Clone, Debug)]
pub struct Iter<'a, T>(Cursor<'a, T>);

#[derive(Clone, Debug)]
enum Cursor<'a, T> {
    Slice(slice::Iter<'a, T>),
    Packed { input: Reader<'a>, left: usize },
}

impl<'a, T: Pack<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Cursor::Slice(elements) => elements.next().copied(),
            Cursor::Packed { input, left } => {
                *left = left.checked_sub(1)?;
                // The list was decoded from these bytes, so its elements are sound.
                T::decode(input).ok()
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Cursor::Slice(elements) => elements.len(),
            Cursor::Packed { left, .. } => *left,
        };
        (left, Some(left))
    }
}

impl<'a, T: Pack<'a>> ExactSizeIterator for Iter<'a, T> {}

/// A map, as its entries in the order they have on the wire. That order means
/// nothing; a writer should choose one that does not change from run to run.
#[derive(Clone, Copy)]
pub struct Map<'a, K, V>(pub List<'a, (K, V)>);

impl<'a, K: Pack<'a> + PartialEq, V: Pack<'a> + PartialEq> PartialEq for Map<'a, K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<'a, K: Pack<'a> + fmt::Debug, V: Pack<'a> + fmt::Debug> fmt::Debug for Map<'a, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a, K: Pack<'a>, V: Pack<'a>> Pack<'a> for Map<'a, K, V> {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::MAP);
        <(K, V)>::literal(out);
    }

    fn longest(&self) -> usize {
        self.0.longest()
    }

    fn encode(&self, out: &mut Writer<'_>) {
        self.0.encode(out);
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        List::decode(input).map(Self)
    }
}
