//! The client's address behind proxies that are trusted to write it down.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded::{forwarded, x_forwarded_for};

/// Which proxies are trusted to say where a request came from.
///
/// Proxies append to `Forwarded` (RFC 7239) or `X-Forwarded-For` the address that they were
/// called from, so the list is read from the right: its left part is the client's own word.
/// `Forwarded` is read where it is present and well-formed, else `X-Forwarded-For`; see
/// [`reading`](Self::reading) to tie it to one of them. Several lines of one field are one list.
/// Where the address in question is missing or does not parse, it is the connection's peer.
///
/// # Security
///
/// A field that your proxies neither write nor remove is the client's to choose. If they write
/// only `X-Forwarded-For` and let a client's `Forwarded` through, use `reading`.
///
/// ```
/// use tower_keep::rate_limit::{ForwardingField, TrustedProxies};
///
/// // One load balancer: the last address of the list is the one that it saw.
/// let one = TrustedProxies::hops(1).reading(ForwardingField::XForwardedFor);
/// // Any number of proxies in these networks.
/// let internal = TrustedProxies::networks(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    trust: Trust,
    field: ForwardingField,
}

#[derive(Debug, Clone)]
enum Trust {
    Hops(usize),
    Networks(Arc<[IpNet]>),
}

/// The field that trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardingField {
    /// `Forwarded` where it is present and well-formed, else `X-Forwarded-For`.
    #[default]
    Either,
    /// `Forwarded` (RFC 7239) only.
    Forwarded,
    /// `X-Forwarded-For` only.
    XForwardedFor,
}

impl TrustedProxies {
    /// So many proxies stand between the client and this server: the client's address is the
    /// `count`-th from the right. With 0 the fields are ignored, and it is the peer's.
    #[must_use]
    pub fn hops(count: usize) -> Self {
        Self {
            trust: Trust::Hops(count),
            field: ForwardingField::default(),
        }
    }

    /// The proxies have addresses in `networks`: the client's is the first from the right that
    /// has not. If the peer has not, nothing is trusted, and it is the client. If all have, the
    /// client is the leftmost.
    #[must_use]
    pub fn networks(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            trust: Trust::Networks(networks.into_iter().collect()),
            field: ForwardingField::default(),
        }
    }

    /// Reads only this field. Default: [`Either`](ForwardingField::Either).
    #[must_use]
    pub fn reading(self, field: ForwardingField) -> Self {
        Self { field, ..self }
    }

    /// The client's address, or the peer's where nothing better is to be had.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let client = match &self.trust {
            Trust::Hops(0) => None,
            Trust::Hops(count) => self.hops_of(headers).and_then(|hops| {
                let index = hops.len().checked_sub(*count)?;
                hops[index]
            }),
            Trust::Networks(networks) => {
                let trusted = |address: &IpAddr| {
                    let address = address.to_canonical();
                    networks.iter().any(|network| network.contains(&address))
                };
                peer.filter(trusted)
                    .and_then(|_| self.hops_of(headers))
                    .and_then(|hops| {
                        let foreign = |hop: &&Option<IpAddr>| !hop.as_ref().is_some_and(trusted);
                        *hops.iter().rev().find(foreign).or(hops.first())?
                    })
            }
        };
        client.or(peer)
    }

    fn hops_of(&self, headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
        match self.field {
            ForwardingField::Either => forwarded(headers).or_else(|| x_forwarded_for(headers)),
            ForwardingField::Forwarded => forwarded(headers),
            ForwardingField::XForwardedFor => x_forwarded_for(headers),
        }
    }
}

/// The bytes that stand for an address: all of IPv4, mapped into IPv6 or not, and the /64 of
/// IPv6, which is what one customer gets.
pub(super) fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::FORWARDED;

    const XFF: &str = "x-forwarded-for";

    fn client(proxies: &TrustedProxies, peer: &str, fields: &[(&str, &str)]) -> String {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
            .into_iter()
            .collect();
        proxies
            .client(Some(peer.parse().unwrap()), &headers)
            .unwrap()
            .to_string()
    }

    #[test]
    fn without_trust_the_fields_are_ignored() {
        let fields = [(XFF, "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(
            client(&TrustedProxies::hops(0), "10.0.0.1", &fields),
            "10.0.0.1"
        );
    }

    #[test]
    fn hops_are_counted_from_the_right_whatever_stands_on_the_left() {
        let one = TrustedProxies::hops(1);
        for random in ["203.0.113.9", "garbage;=\"", "::1, 1.1.1.1", ""] {
            let line = format!("{random}, 192.0.2.1");
            assert_eq!(
                client(&one, "10.0.0.1", &[(XFF, &line)]),
                "192.0.2.1",
                "{line}"
            );
        }
        let two = TrustedProxies::hops(2);
        let lines = [(XFF, "203.0.113.9, 192.0.2.1:80"), (XFF, "10.0.0.2")];
        assert_eq!(client(&two, "10.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn what_does_not_parse_falls_back_to_the_peer() {
        let one = TrustedProxies::hops(1);
        for line in ["192.0.2.1, unknown", "", "192.0.2.1,"] {
            assert_eq!(
                client(&one, "10.0.0.1", &[(XFF, line)]),
                "10.0.0.1",
                "{line}"
            );
        }
        assert_eq!(client(&one, "10.0.0.1", &[]), "10.0.0.1");
        // Fewer addresses than proxies: some of them were gone around.
        assert_eq!(
            client(&TrustedProxies::hops(2), "10.0.0.1", &[(XFF, "192.0.2.1")]),
            "10.0.0.1"
        );
    }

    #[test]
    fn forwarded_wins_where_it_is_well_formed() {
        let one = TrustedProxies::hops(1);
        let both = |forwarded| [(FORWARDED.as_str(), forwarded), (XFF, "192.0.2.2")];
        assert_eq!(
            client(&one, "10.0.0.1", &both("for=\"[2001:db8::1]:80\"")),
            "2001:db8::1"
        );
        assert_eq!(client(&one, "10.0.0.1", &both("for=unknown")), "10.0.0.1");
        assert_eq!(
            client(&one, "10.0.0.1", &both("for=\"192.0.2.1")),
            "192.0.2.2"
        );
        let xff = one.clone().reading(ForwardingField::XForwardedFor);
        assert_eq!(
            client(&xff, "10.0.0.1", &both("for=192.0.2.1")),
            "192.0.2.2"
        );
        let only = one.reading(ForwardingField::Forwarded);
        assert_eq!(client(&only, "10.0.0.1", &[(XFF, "192.0.2.2")]), "10.0.0.1");
    }

    #[test]
    fn networks_are_walked_from_the_right_to_the_first_stranger() {
        let internal =
            TrustedProxies::networks(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let cases = [
            ("10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("::ffff:10.0.0.1", "192.0.2.1, fd00::1", "192.0.2.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "192.0.2.1, garbage, 10.0.0.2", "10.0.0.1"),
            ("192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ];
        for (peer, line, expected) in cases {
            assert_eq!(client(&internal, peer, &[(XFF, line)]), expected, "{line}");
        }
    }

    #[test]
    fn ipv6_is_grouped_by_64_bits_and_mapped_ipv4_is_ipv4() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
