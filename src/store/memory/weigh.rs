//! What a value takes of its table's budget, in real bytes.

use bytes::Bytes;

use crate::store::clock::Timestamp;

/// A value that lives in a [`Table`](super::Table).
pub(crate) trait Weigh {
    /// Bytes on the heap, as the allocator gives them out: see [`heap`].
    fn weight(&self) -> usize;

    /// Whether losing the value would do more harm than losing another one: it is the last to
    /// be pushed out.
    fn is_worth_keeping(&self, _now: Timestamp) -> bool {
        false
    }
}

/// What an allocation of `bytes` takes: with the allocator's header, rounded to its sizes.
pub(crate) const fn heap(bytes: usize) -> usize {
    /// From here on glibc maps whole pages.
    const MAPPED: usize = 128 << 10;
    if bytes == 0 {
        0
    } else if bytes < MAPPED {
        let rounded = (bytes + 8).next_multiple_of(16);
        if rounded < 32 { 32 } else { rounded }
    } else {
        (bytes + 16).next_multiple_of(4096)
    }
}

/// The same bytes in an allocation of their own: what is stored is to pin nothing else, be it a
/// buffer that they were read from or the spare room of one that they were written into.
pub(crate) fn exact(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The bytes, and the count of their owners that comes with the first clone.
impl Weigh for Bytes {
    fn weight(&self) -> usize {
        match self.len() {
            0 => 0,
            len => heap(len) + heap(24),
        }
    }
}
