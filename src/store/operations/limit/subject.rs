//! Who is limited, as a digest: no address and no API key ever reaches the store.

use std::fmt;

use base64::{display::Base64Display, prelude::BASE64_URL_SAFE_NO_PAD};

/// 128 bits of a keyed hash over what requests are counted by. Displayed as base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    pub(crate) const fn new(digest: [u8; 16]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &BASE64_URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}
