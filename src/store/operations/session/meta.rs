//! A session's metadata as they stand in Redis.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    reply::{hex, utf8},
    rules::Age,
};

/// The field `m` of a session: 61 characters and more, all but the last of fixed width.
///
/// | characters | |
/// |---|---|
/// | 1 | `=`, or `?` while the id was never presented |
/// | 2–17 | the lineage |
/// | 18–28 | when it was created |
/// | 29–39 | when it got its id |
/// | 40–50 | its last noted activity |
/// | 51–60 | for how long it was to live from then on |
/// | 61– | bytes of data |
///
/// Times are milliseconds of the server's clock, numbers are hexadecimal. With up to four digits
/// of bytes the field fits into a listpack, so that a small session is one allocation.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) lineage: Arc<str>,
    /// The id was never presented.
    pub(super) unconfirmed: bool,
    created: u64,
    issued: u64,
    touched: u64,
    ttl: u64,
}

/// The metadata as JSON, for who inspects a store.
#[cfg(feature = "inspect")]
pub(crate) fn show(text: &[u8]) -> Option<serde_json::Value> {
    let meta = Meta::read(text)?;
    Some(serde_json::json!({
        "handle": &*meta.lineage,
        "id_was_presented": !meta.unconfirmed,
        "created_at_ms": meta.created,
        "id_issued_at_ms": meta.issued,
        "last_seen_at_ms": meta.touched,
        "ends_at_ms": meta.touched + meta.ttl,
    }))
}

impl Meta {
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let number = |from, to| hex(text.get(from..to)?);
        // The bytes of data matter to the scripts alone.
        number(60, text.len())?;
        Some(Self {
            unconfirmed: match text.first()? {
                b'=' => false,
                b'?' => true,
                _ => return None,
            },
            lineage: utf8(text.get(1..17)?)?,
            created: number(17, 28)?,
            issued: number(28, 39)?,
            touched: number(39, 50)?,
            ttl: number(50, 60)?,
        })
    }

    /// When it was created, and its last noted activity.
    pub(super) fn times(&self) -> (SystemTime, SystemTime) {
        let time = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        (time(self.created), time(self.touched))
    }

    /// How old all is when `left` milliseconds of the key's life are left: its end is written
    /// down, so that this tells the server's clock.
    pub(super) fn age(&self, left: u64) -> Age {
        let ends = self.touched + self.ttl;
        let now = ends.saturating_sub(left);
        let between = |from: u64, to: u64| Duration::from_millis(to.saturating_sub(from));
        Age {
            session: between(self.created, now),
            id: between(self.issued, now),
            untouched: between(self.touched, now),
            ends: between(self.created, ends),
        }
    }
}
