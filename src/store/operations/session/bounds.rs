//! The data of a session, how much they are, and how much they may be.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

/// The data of a session: each value as its serialized bytes. Loads share them.
pub(crate) type Fields = Arc<BTreeMap<Box<str>, Bytes>>;

/// The size of a session's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Of all names and values.
    pub(crate) bytes: usize,
    pub(crate) keys: usize,
}

impl Size {
    pub(crate) fn of(fields: &Fields) -> Self {
        Self {
            bytes: (fields.iter())
                .map(|(name, value)| name.len() + value.len())
                .sum(),
            keys: fields.len(),
        }
    }

    /// With `old` under `name` replaced by `new`; `None` is absent.
    pub(crate) fn with(mut self, name: &str, old: Option<&Bytes>, new: Option<&Bytes>) -> Self {
        if let Some(old) = old {
            self.bytes = self.bytes.saturating_sub(name.len() + old.len());
            self.keys = self.keys.saturating_sub(1);
        }
        if let Some(new) = new {
            self.bytes += name.len() + new.len();
            self.keys += 1;
        }
        self
    }

    /// Whether this is a growth from `before` over the bounds. What is over them already may
    /// still shrink.
    pub(crate) fn over(self, before: Self, max_bytes: usize, max_keys: usize) -> bool {
        self.bytes > max_bytes && self.bytes > before.bytes
            || self.keys > max_keys && self.keys > before.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_count_and_only_growth_is_refused() {
        let value = Bytes::from_static(b"12345");
        let size = Size::default().with("name", None, Some(&value));
        assert_eq!(size, Size { bytes: 9, keys: 1 });
        assert!(!size.over(Size::default(), 9, 1));
        assert!(size.over(Size::default(), 8, 1));
        assert!(size.over(Size::default(), 9, 0));
        let larger = Size { bytes: 20, keys: 3 };
        assert!(!size.over(larger, 8, 0));
        assert_eq!(size.with("name", Some(&value), None), Size::default());
    }
}
