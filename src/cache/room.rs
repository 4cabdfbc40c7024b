//! The memory that the bodies of all fills take together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that the fills of this process hold.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicU64);

/// What one fill holds of them; given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    room: Arc<Room>,
    bytes: u64,
}

impl Share {
    pub(super) fn of(room: &Arc<Room>) -> Self {
        Self {
            room: room.clone(),
            bytes: 0,
        }
    }

    /// Puts down that the fill holds so many bytes now.
    pub(super) fn set(&mut self, bytes: u64) {
        let held = &self.room.0;
        if bytes >= self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Whether all fills together hold more than `memory` bytes.
    pub(super) fn is_beyond(&self, memory: u64) -> bool {
        self.room.0.load(Ordering::Relaxed) > memory
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
