//! Keys as they stand in configuration files.

use std::str::FromStr;

use super::{ForwardingField, Key, KeyError, TrustedProxies};

const EXPECTED: &str = "peer_ip, client_ip:HOPS, client_ip:NETWORK,…, header:NAME, cookie:NAME, \
    session_user, method, matched_path or global, joined by ` + `";

/// From parts joined by ` + `: `peer_ip`, `client_ip:1` with the number of trusted proxies or
/// `client_ip:10.0.0.0/8,fd00::/8` with their networks (each with ` forwarded` behind it where they
/// write `Forwarded`), `header:x-api-key`, `cookie:visitor`, `session_user`, `method`,
/// `matched_path`, `global`.
impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let unknown = || KeyError::Unknown {
            given: text.chars().take(100).collect(),
            expected: EXPECTED,
        };
        let parts = text
            .split(" + ")
            .map(|text| part(text.trim()).ok_or_else(unknown));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let key = parts.into_iter().reduce(Self::and);
        key.ok_or_else(unknown)
    }
}

fn part(text: &str) -> Option<Key> {
    Some(match text.split_once(':') {
        None => match text {
            "peer_ip" => Key::peer_ip(),
            #[cfg(feature = "session")]
            "session_user" => Key::session_user(),
            "method" => Key::method(),
            #[cfg(feature = "axum")]
            "matched_path" => Key::matched_path(),
            "global" => Key::global(),
            _ => return None,
        },
        Some(("client_ip", proxies)) => Key::client_ip(trusted(proxies)?),
        Some(("header", name)) => Key::header(name.parse().ok()?),
        Some(("cookie", name)) if !name.is_empty() => Key::cookie(name),
        Some(_) => return None,
    })
}

fn trusted(text: &str) -> Option<TrustedProxies> {
    let (proxies, field) = match text.strip_suffix(" forwarded") {
        Some(proxies) => (proxies, ForwardingField::Forwarded),
        None => (text, ForwardingField::XForwardedFor),
    };
    let trusted = match proxies.parse() {
        Ok(hops) => TrustedProxies::hops(hops),
        Err(_) => {
            let networks = proxies.split(',').map(|network| network.trim().parse());
            TrustedProxies::networks(networks.collect::<Result<Vec<_>, _>>().ok()?)
        }
    };
    Some(trusted.with_field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_from_its_parts() {
        for (text, debug) in [
            ("peer_ip", "{peer_ip}"),
            ("global", "{}"),
            ("header:X-Api-Key + method", "{header(x-api-key), method}"),
            ("cookie:visitor", "{cookie(visitor)}"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Key>().unwrap()), debug);
        }
        for text in ["client_ip:1", "client_ip:10.0.0.0/8, fd00::/8 forwarded"] {
            assert!(format!("{:?}", text.parse::<Key>().unwrap()).contains("client_ip"));
        }
        for text in [
            "",
            "ip",
            "client_ip",
            "client_ip:x",
            "header:",
            "cookie:",
            "a + b",
        ] {
            let error = text.parse::<Key>().unwrap_err().to_string();
            assert!(error.contains("expected peer_ip"), "{text}: {error}");
        }
    }
}
