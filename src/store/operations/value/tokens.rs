//! Leases on embedded memory: the tokens of the loads that are under way for a key, one after
//! another.

use bytes::Bytes;

use crate::store::{Timestamp, memory::Live, operations::generation::Generation};

/// Names one load; of a fixed length.
pub(crate) type Token = Generation;

/// Adds a token, and lets the lease stand until `lapse` at least.
pub(super) fn add(lease: &mut Option<Live<Bytes>>, token: &Token, lapse: Timestamp) {
    let (tokens, expires_at) = match lease.take() {
        Some(live) => (
            [live.value, token.0.clone()].concat(),
            live.expires_at.max(lapse),
        ),
        None => (token.0.to_vec(), lapse),
    };
    *lease = Some(Live {
        value: tokens.into(),
        expires_at,
    });
}

pub(super) fn has(lease: &Option<Live<Bytes>>, token: &Token) -> bool {
    let length = token.0.len();
    (lease.as_ref()).is_some_and(|live| live.value.chunks_exact(length).any(|own| own == token.0))
}

/// Takes a token out, and the lease away with its last one.
pub(super) fn remove(lease: &mut Option<Live<Bytes>>, token: &Token) {
    let Some(live) = lease else { return };
    let others = live.value.chunks_exact(token.0.len());
    let rest = others.filter(|other| *other != token.0).collect::<Vec<_>>();
    match rest.is_empty() {
        true => *lease = None,
        false => live.value = rest.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1);
    const LATER: Timestamp = Timestamp::from_micros(2);

    #[test]
    fn a_lease_stands_from_its_first_token_to_its_last() {
        let (one, two) = (Token::random(), Token::random());
        let mut lease = None;
        add(&mut lease, &one, LATER);
        add(&mut lease, &two, NOW);
        assert_eq!(lease.as_ref().unwrap().expires_at, LATER);
        assert!(has(&lease, &one) && has(&lease, &two));
        remove(&mut lease, &one);
        remove(&mut lease, &one);
        assert!(!has(&lease, &one) && has(&lease, &two));
        remove(&mut lease, &two);
        assert!(lease.is_none());
        remove(&mut lease, &two);
        assert!(!has(&lease, &two));
    }
}
