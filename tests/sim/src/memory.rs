//! The lenders' memory. What a cell holds is the number of the write that put
//! it there, so a reader can tell whose bytes it reads.

use standfast_kernel::api::ReplicaDescriptor;
use standfast_kernel::types::{SegmentId, SegmentSpec, Uuid};

pub(crate) const CELL: u64 = 64;
const SEGMENT_BYTES: u64 = 64 * CELL;
const SPACING: u64 = 1 << 20;
pub(crate) const SEGMENTS: usize = 6;

/// Number of one write. 0 is memory as it came.
pub(crate) type Nonce = u64;

#[derive(Debug)]
pub(crate) struct Memory {
    cells: Vec<Nonce>,
}

/// A run of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: usize,
    pub(crate) len: usize,
}

impl Span {
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.first < other.first + other.len && other.first < self.first + self.len
    }

    /// The `i`th of `n` nearly equal parts.
    pub(crate) fn part(&self, i: usize, n: usize) -> Self {
        let (from, to) = (self.len * i / n, self.len * (i + 1) / n);
        Self { first: self.first + from, len: to - from }
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { cells: vec![0; SEGMENTS * (SEGMENT_BYTES / CELL) as usize] }
    }

    /// Segment `i`, as its lender mounts it.
    pub(crate) fn segment(i: usize) -> SegmentSpec {
        SegmentSpec {
            id: SegmentId(Uuid { first: 0x5e6, second: i as u64 }),
            name: format!("lender-{i}"),
            base: SPACING * (i as u64 + 1),
            size: SEGMENT_BYTES,
            te_endpoint: format!("lender-{i}:1"),
            protocol: "tcp".into(),
            host_id: String::new(),
        }
    }

    /// Where a replica's bytes are; `None` when no lender has that address.
    pub(crate) fn span(replica: &ReplicaDescriptor) -> Option<Span> {
        let segment = (replica.address / SPACING).checked_sub(1)?;
        let offset = replica.address % SPACING;
        let fits = (segment as usize) < SEGMENTS && offset + replica.size <= SEGMENT_BYTES;
        fits.then(|| Span {
            first: ((segment * SEGMENT_BYTES + offset) / CELL) as usize,
            len: (replica.size / CELL) as usize,
        })
    }

    /// The segment that a replica is in.
    pub(crate) fn segment_of(replica: &ReplicaDescriptor) -> Option<usize> {
        let segment = (replica.address / SPACING).checked_sub(1)? as usize;
        (segment < SEGMENTS).then_some(segment)
    }

    /// What the first cell holds.
    pub(crate) fn first(&self, span: Span) -> Nonce {
        self.cells[span.first]
    }

    /// Copies cells one by one, whatever they hold.
    pub(crate) fn copy(&mut self, from: Span, to: Span) {
        for i in 0..from.len.min(to.len) {
            self.cells[to.first + i] = self.cells[from.first + i];
        }
    }

    pub(crate) fn write(&mut self, span: Span, nonce: Nonce) {
        self.cells[span.first..span.first + span.len].fill(nonce);
    }

    /// The first cell of the span that holds something else.
    pub(crate) fn foreign(&self, span: Span, nonce: Nonce) -> Option<Nonce> {
        self.cells[span.first..span.first + span.len].iter().copied().find(|c| *c != nonce)
    }

    /// True when some earlier write has been there.
    pub(crate) fn used(&self, span: Span) -> bool {
        self.cells[span.first..span.first + span.len].iter().any(|c| *c != 0)
    }
}
