//! The client's address behind proxies that are trusted to write it down.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded::ForwardingField;

/// Which proxies are trusted to say where a request came from.
///
/// Each proxy appends the address that it was called from to `X-Forwarded-For`, or to `Forwarded`
/// (RFC 7239). So the list is read from the right, several lines as one; what stands on the left
/// of the trusted entries is the client's own word and changes nothing. Where the entry in
/// question is missing or is no address, the client is the connection's peer.
///
/// One field is read, `X-Forwarded-For` unless [`with_field`](Self::with_field) says `Forwarded`; the
/// other is ignored.
///
/// # Security
///
/// The trusted proxies must write this field: what they let through unchanged is the client's to
/// choose.
///
/// ```
/// use tower_keep::rate_limit::{ForwardingField, TrustedProxies};
///
/// // One load balancer: the last address of X-Forwarded-For is the one that it saw.
/// let one = TrustedProxies::hops(1);
/// // Any number of proxies in these networks, which write Forwarded.
/// let internal = TrustedProxies::networks(["10.0.0.0/8".parse()?, "fd00::/8".parse()?])
///     .with_field(ForwardingField::Forwarded);
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

    /// Reads this field and no other. Default: [`XForwardedFor`](ForwardingField::XForwardedFor).
    #[must_use]
    pub fn with_field(self, field: ForwardingField) -> Self {
        Self { field, ..self }
    }

    /// The client's address, or the peer's where nothing better is to be had.
    pub(crate) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut hops = self.field.hops_from_the_right(headers);
        let client = match &self.trust {
            Trust::Hops(count) => count.checked_sub(1).and_then(|index| hops.nth(index)?),
            Trust::Networks(networks) => {
                let trusted = |address: &IpAddr| {
                    let address = address.to_canonical();
                    networks.iter().any(|network| network.contains(&address))
                };
                let mut client = peer;
                while client.as_ref().is_some_and(trusted)
                    && let Some(hop) = hops.next()
                {
                    client = hop;
                }
                client
            }
        };
        client.or(peer)
    }
}

/// The bytes that stand for an address: all of IPv4, mapped into IPv6 or not, and the first
/// `prefix` bits of IPv6 with their number.
pub(crate) fn network(address: IpAddr, prefix: u8) -> ([u8; 17], usize) {
    let mut bytes = [0; 17];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, 4)
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            let network = Ipv6Addr::from_bits(v6.to_bits() & mask);
            bytes[..16].copy_from_slice(&network.octets());
            bytes[16] = prefix;
            (bytes, 17)
        }
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
    fn hops_are_counted_hops_from_the_right_whatever_stands_on_the_left() {
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
    fn one_field_is_read_and_the_other_is_ignored() {
        let one = TrustedProxies::hops(1);
        let other = one.clone().with_field(ForwardingField::Forwarded);
        let both = |forwarded| [(FORWARDED.as_str(), forwarded), (XFF, "192.0.2.2")];
        for forwarded in ["for=192.0.2.1", "for=unknown", "for=\"192.0.2.1", ""] {
            assert_eq!(client(&one, "10.0.0.1", &both(forwarded)), "192.0.2.2");
        }
        assert_eq!(
            client(&other, "10.0.0.1", &both("for=\"[2001:db8::1]:80\"")),
            "2001:db8::1"
        );
        for forwarded in ["for=unknown", "for=\"192.0.2.1", ""] {
            assert_eq!(client(&other, "10.0.0.1", &both(forwarded)), "10.0.0.1");
        }
        assert_eq!(
            client(&other, "10.0.0.1", &[(XFF, "192.0.2.2")]),
            "10.0.0.1"
        );
    }

    #[test]
    fn networks_are_walked_hops_from_the_right_to_the_first_stranger() {
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
    fn ipv6_is_grouped_by_its_prefix_and_mapped_ipv4_is_ipv4() {
        let network = |text: &str, prefix| network(text.parse().unwrap(), prefix);
        let (a, b) = ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        assert_eq!(network(a, 64), network(b, 64));
        assert_ne!(network(a, 128), network(b, 128));
        assert_ne!(network(b, 64), network(b, 128));
        let (c, d) = ("2001:db8:1:2::1", "2001:db8:1:3::1");
        assert_ne!(network(c, 64), network(d, 64));
        assert_eq!(network(c, 48), network(d, 48));
        assert_eq!(network("::ffff:192.0.2.1", 64), network("192.0.2.1", 48));
        assert_ne!(network("192.0.2.1", 64), network("192.0.2.2", 64));
    }
}
