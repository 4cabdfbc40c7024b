//! Who is limited, as a digest: no address and no API key ever reaches the store.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::store::key::{Key, Namespace};

/// 128 bits of a keyed hash over what requests are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    pub(crate) const fn new(digest: [u8; 16]) -> Self {
        Self(digest)
    }

    pub(crate) const fn digest(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A subject in base64url, as it stands in keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubjectText([u8; 22]);

impl Subject {
    pub(crate) fn text(self) -> SubjectText {
        let mut text = [0; 22];
        let written = BASE64_URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written, Ok(text.len()));
        SubjectText(text)
    }
}

/// What keys of limits begin with.
pub(super) const NAME: &str = "rate_limit";

impl SubjectText {
    /// `{namespace}:rate_limit:{{subject}}:{policy}`: the limits of one subject share a slot.
    pub(super) fn key(&self, names: &Namespace, policy: &str) -> Key {
        names.key(NAME, &["{", self.as_str(), "}:", policy])
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64url is ASCII")
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({})", self.text().as_str())
    }
}
