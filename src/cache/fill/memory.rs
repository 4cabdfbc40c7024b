//! How much memory the bodies of all fills take together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that the fills of this process hold.
#[derive(Debug, Default)]
pub(crate) struct FillMemory(AtomicU64);

/// The bytes that one fill holds; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    held: Arc<FillMemory>,
    bytes: u64,
}

impl Share {
    pub(crate) fn of(memory: &Arc<FillMemory>) -> Self {
        Self {
            held: memory.clone(),
            bytes: 0,
        }
    }

    /// Notes how many bytes the fill holds now.
    pub(crate) fn set(&mut self, bytes: u64) {
        let held = &self.held.0;
        if bytes >= self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Whether all fills together hold more than `memory` bytes.
    pub(crate) fn is_beyond(&self, memory: u64) -> bool {
        self.held.0.load(Ordering::Relaxed) > memory
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
