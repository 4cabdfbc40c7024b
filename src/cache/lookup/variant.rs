//! The names that the store knows the variants of a resource by.

use http::HeaderMap;

use crate::cache::{
    key::{hex, hex_digits},
    policy::{StoredHead, VaryNames},
};

/// The name of the variant that a request with these `headers` selects by a list of `Vary` names.
pub(super) fn selected(list: &str, headers: &HeaderMap) -> Option<Box<str>> {
    VaryNames::from_list(list).map(|names| hex(&names.variant(headers).0))
}

/// As [`selected`], without an allocation.
pub(super) fn selected_digits(list: &str, headers: &HeaderMap) -> Option<[u8; 32]> {
    VaryNames::from_list(list).map(|names| hex_digits(&names.variant(headers).0))
}

/// The name of a stored response's variant.
pub(crate) fn name(head: &StoredHead) -> Box<str> {
    hex(&head.variant().0)
}
