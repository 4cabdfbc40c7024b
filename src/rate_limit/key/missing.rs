//! Requests from which the key cannot be taken.

use std::sync::Once;

use http::request::Parts;

use super::{Key, Part};
use crate::peer::peer_addr;

/// What is done with a request from which the key cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MissingKey {
    /// It shares one budget with all such requests (that have the key's other parts in common).
    #[default]
    Shared,
    /// It is answered 400.
    Deny,
    /// It passes without the limits that are counted by that key.
    Skip,
}

impl Key {
    /// Says what to add, once: a server that does not tell peers apart would make one budget of
    /// all of them unnoticed.
    #[cold]
    pub(crate) fn warn_of_missing(&self, request: &Parts, then: MissingKey) {
        static PEER: Once = Once::new();
        static OTHER: Once = Once::new();
        let of_address = |part: &Part| matches!(part, Part::PeerIp | Part::ClientIp(_));
        if self.parts.iter().any(of_address) && peer_addr(&request.extensions).is_none() {
            PEER.call_once(
                || tracing::warn!(target: "tower_keep::rate_limit", "{}", no_peer(then)),
            );
        } else {
            OTHER.call_once(|| {
                tracing::warn!(
                    target: "tower_keep::rate_limit",
                    key = ?self,
                    ?then,
                    "a request lacks what its limit is counted by; said once"
                );
            });
        }
    }
}

fn no_peer(then: MissingKey) -> String {
    let now = match then {
        MissingKey::Shared => "all clients share one budget",
        MissingKey::Deny => "requests are answered 400",
        MissingKey::Skip => "requests pass without a limit",
    };
    format!(
        "requests come without the address of their client, so that {now}: with axum serve \
         `app.into_make_service_with_connect_info::<SocketAddr>()`, with any other server put \
         `tower_keep::PeerAddr(peer)` around each connection's service"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_is_told_in_one_line_that_says_what_to_add() {
        for then in [MissingKey::Shared, MissingKey::Deny, MissingKey::Skip] {
            let line = no_peer(then);
            assert!(line.contains("into_make_service_with_connect_info::<SocketAddr>()"));
            assert!(line.contains("PeerAddr"));
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
