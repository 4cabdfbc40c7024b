//! The bytes of a body while it arrives, in a few large blocks however small its chunks are.

use std::collections::VecDeque;

use bytes::Bytes;

/// Chunks shorter than this are joined, in bytes.
const BLOCK: usize = 32 << 10;

/// The part of a body that is kept in memory.
///
/// It copies the bytes it is given: a chunk may be a slice of a much larger read buffer, which
/// would stay in memory with it.
#[derive(Default)]
pub(crate) struct Buffer {
    /// The position of the first byte that is kept.
    start: u64,
    /// How many bytes have come.
    end: u64,
    /// Each block with the position of its first byte.
    blocks: VecDeque<(u64, Bytes)>,
    /// The bytes after the last block.
    tail: Vec<u8>,
}

impl Buffer {
    /// A body that is already complete.
    pub(crate) fn of(body: Bytes) -> Self {
        Self {
            end: body.len() as u64,
            blocks: VecDeque::from([(0, body)]),
            ..Self::default()
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes are kept.
    pub(crate) fn held(&self) -> u64 {
        self.end - self.start
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if self.tail.len() + chunk.len() > BLOCK {
            self.close_tail();
        }
        if chunk.len() >= BLOCK {
            self.blocks
                .push_back((self.end, Bytes::copy_from_slice(chunk)));
        } else {
            self.tail.extend_from_slice(chunk);
        }
        self.end += chunk.len() as u64;
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let start = self.tail_start();
            let block = std::mem::take(&mut self.tail).into_boxed_slice();
            self.blocks.push_back((start, block.into()));
        }
    }

    fn tail_start(&self) -> u64 {
        self.end - self.tail.len() as u64
    }

    /// The bytes from `position` on, as many as lie in one block.
    pub(crate) fn read(&self, position: u64) -> Option<Bytes> {
        let from = |start: u64| usize::try_from(position.checked_sub(start)?).ok();
        if position >= self.tail_start() {
            let rest = self.tail.get(from(self.tail_start())?..)?;
            return (!rest.is_empty()).then(|| Bytes::copy_from_slice(rest));
        }
        let passed = |(start, block): &(u64, Bytes)| start + block.len() as u64 <= position;
        let (start, block) = self.blocks.get(self.blocks.partition_point(passed))?;
        Some(block.slice(from(*start)?..))
    }

    /// Frees the blocks that end at or before `position`.
    pub(crate) fn drop_before(&mut self, position: u64) {
        if position >= self.end {
            self.tail = Vec::new();
        }
        while let Some((start, block)) = self.blocks.front() {
            if start + block.len() as u64 > position {
                break;
            }
            self.blocks.pop_front();
        }
        let first = self.blocks.front().map(|(start, _)| *start);
        self.start = first.unwrap_or(self.tail_start());
    }

    /// All bytes in one buffer of exactly their length. Call it only while nothing was dropped.
    pub(crate) fn whole(&mut self) -> Bytes {
        self.close_tail();
        if self.blocks.len() > 1 {
            let length = self.blocks.iter().map(|(_, block)| block.len()).sum();
            let mut whole = Vec::with_capacity(length);
            for (_, block) in &self.blocks {
                whole.extend_from_slice(block);
            }
            self.blocks.clear();
            self.blocks.push_back((self.start, whole.into()));
        }
        let only = self.blocks.front();
        only.map(|(_, block)| block.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    impl Buffer {
        fn allocated(&self) -> usize {
            let blocks = self.blocks.capacity() * size_of::<(u64, Bytes)>();
            let bytes: usize = self.blocks.iter().map(|(_, block)| block.len()).sum();
            blocks + bytes + self.tail.capacity()
        }

        fn read_from(&self, mut position: u64) -> Vec<u8> {
            let mut all = Vec::new();
            while let Some(bytes) = self.read(position) {
                position += bytes.len() as u64;
                all.extend_from_slice(&bytes);
            }
            all
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn tiny_chunks_take_little_more_than_their_bytes() {
        let body = pattern(1 << 20);
        let mut buffer = Buffer::default();
        for byte in &body {
            buffer.push(std::slice::from_ref(byte));
        }
        assert!(buffer.allocated() < body.len() + body.len() / 8);
        assert_eq!(buffer.read_from(0), body);
        assert_eq!(buffer.whole(), body);
        assert!(buffer.allocated() < body.len() + body.len() / 8);
    }

    #[test]
    fn chunks_of_any_size_are_read_from_any_position() {
        let body = pattern(300_000);
        let mut buffer = Buffer::default();
        let mut rest = &body[..];
        for length in [
            1,
            BLOCK,
            0,
            BLOCK - 1,
            1,
            1,
            2 * BLOCK,
            5,
            BLOCK - 5,
            17_000,
        ]
        .repeat(3)
        {
            let (chunk, after) = rest.split_at(length.min(rest.len()));
            buffer.push(chunk);
            rest = after;
            let sent = body.len() - rest.len();
            for position in [0, 1, BLOCK, BLOCK + 1, sent / 2, sent] {
                let position = position.min(sent);
                assert_eq!(buffer.read_from(position as u64), body[position..sent]);
            }
        }
        assert!(rest.is_empty());
        assert_eq!(buffer.whole(), body);
    }

    #[test]
    fn what_all_have_read_is_let_go() {
        let body = pattern(10 * BLOCK);
        let mut buffer = Buffer::default();
        for chunk in body.chunks(1000) {
            buffer.push(chunk);
            buffer.drop_before(buffer.end().saturating_sub(2000));
            assert!(buffer.start() <= buffer.end().saturating_sub(2000));
            assert!(buffer.allocated() < 4 * BLOCK, "{}", buffer.allocated());
        }
        assert_eq!(
            buffer.read_from(buffer.start()),
            body[usize::try_from(buffer.start()).unwrap()..]
        );
        buffer.drop_before(buffer.end());
        assert_eq!(
            (buffer.start(), buffer.read(buffer.end())),
            (buffer.end(), None)
        );
    }
}
