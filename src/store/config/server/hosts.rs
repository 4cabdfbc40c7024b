//! URLs that name several servers: `scheme://[user:password@]host[:port],…/name[?db=0&…]`.

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use percent_encoding::percent_decode_str;

/// What such a URL says.
#[derive(Clone, Default)]
pub(in crate::store::config) struct Hosts {
    pub(super) is_tls: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// Of the sentinels themselves, which know no users of the servers.
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) addresses: Vec<ConnectionAddr>,
    /// What stands behind the hosts.
    pub(super) name: String,
    pub(super) db: i64,
}

impl Hosts {
    /// Reads what follows `://`. Hosts without a port have `port`.
    pub(super) fn parse(rest: &str, port: u16, is_tls: bool) -> Option<Self> {
        let mut hosts = Self {
            is_tls,
            ..Self::default()
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=')? {
                ("db", number) => hosts.db = number.parse().ok().filter(|db| *db >= 0)?,
                ("sentinel_username", name) => hosts.sentinel_username = Some(decoded(name)?),
                ("sentinel_password", word) => hosts.sentinel_password = Some(decoded(word)?),
                _ => return None,
            }
        }
        let (servers, name) = rest.split_once('/').unwrap_or((rest, ""));
        // Nothing follows it: what looks like a database would be part of the name.
        hosts.name = decoded(name).filter(|name| !name.contains('/'))?;
        let servers = match servers.rsplit_once('@') {
            Some((user, servers)) => {
                let (name, password) = match user.split_once(':') {
                    Some((name, password)) => (name, Some(decoded(password)?)),
                    None => (user, None),
                };
                hosts.username = Some(decoded(name)?).filter(|name| !name.is_empty());
                hosts.password = password;
                servers
            }
            None => servers,
        };
        for server in servers.split(',') {
            hosts.addresses.push(address(server, port, is_tls)?);
        }
        // A user without a password is none.
        let is_whole = hosts.sentinel_username.is_none() || hosts.sentinel_password.is_some();
        is_whole.then_some(hosts)
    }

    pub(super) fn has_credentials_of_sentinels(&self) -> bool {
        self.sentinel_password.is_some()
    }

    /// Of each host, without credentials.
    pub(super) fn infos(&self) -> Vec<ConnectionInfo> {
        let addresses = self.addresses.iter().cloned();
        addresses
            .filter_map(|address| address.into_connection_info().ok())
            .collect()
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

fn address(server: &str, default_port: u16, is_tls: bool) -> Option<ConnectionAddr> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default_port,
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let valid = !host.is_empty() && host.chars().all(is_host);
    let host = host.to_owned();
    valid.then_some(match is_tls {
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        false => ConnectionAddr::Tcp(host, port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_hosts_name_and_database_are_read() {
        let hosts = Hosts::parse(
            "us%65r:p%40ss@a,b:7001,[::1]:7002/my%2Dmaster?db=3&sentinel_password=s%26w",
            26379,
            false,
        );
        let hosts = hosts.unwrap();
        assert_eq!(hosts.sentinel_password.as_deref(), Some("s&w"));
        assert_eq!(hosts.username.as_deref(), Some("user"));
        assert_eq!(hosts.password.as_deref(), Some("p@ss"));
        assert_eq!((&*hosts.name, hosts.db), ("my-master", 3));
        let addresses = [("a", 26379), ("b", 7001), ("::1", 7002)]
            .map(|(host, port)| ConnectionAddr::Tcp(host.to_owned(), port));
        assert_eq!(hosts.addresses, addresses);
    }

    #[test]
    fn what_is_no_list_of_hosts_is_refused() {
        for rest in [
            "",
            "a,,b",
            "a:0",
            "a:x",
            "a:70000",
            "a b",
            "[::1",
            "[a]:1",
            "a/m/0",
            "a/m%2F0",
            "a/m?db=-1",
            "a/m?x=1",
            "a/m?sentinel_username=x",
        ] {
            assert!(Hosts::parse(rest, 6379, false).is_none(), "{rest}");
        }
    }
}
