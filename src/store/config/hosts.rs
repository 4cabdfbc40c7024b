//! URLs that name several servers: `scheme://[user:password@]host[:port],…/name[?db=0]`.

use deadpool_redis::redis::ConnectionAddr;
use percent_encoding::percent_decode_str;

/// What such a URL says.
#[derive(Clone, Default)]
pub(super) struct Hosts {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) addresses: Vec<ConnectionAddr>,
    /// What stands behind the hosts.
    pub(super) name: String,
    pub(super) db: i64,
}

impl Hosts {
    /// Reads what follows `://`. Hosts without a port have `port`.
    pub(super) fn parse(rest: &str, port: u16) -> Option<Self> {
        let mut hosts = Self::default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=')? {
                ("db", number) => hosts.db = number.parse().ok().filter(|db| *db >= 0)?,
                _ => return None,
            }
        }
        let (servers, name) = rest.split_once('/').unwrap_or((rest, ""));
        hosts.name = decoded(name)?;
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
            hosts.addresses.push(address(server, port)?);
        }
        Some(hosts)
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

fn address(server: &str, default_port: u16) -> Option<ConnectionAddr> {
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
    valid.then(|| ConnectionAddr::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_hosts_name_and_database_are_read() {
        let hosts = Hosts::parse("us%65r:p%40ss@a,b:7001,[::1]:7002/my%2Dmaster?db=3", 26379);
        let hosts = hosts.unwrap();
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
            "a/m?db=-1",
            "a/m?x=1",
        ] {
            assert!(Hosts::parse(rest, 6379).is_none(), "{rest}");
        }
    }
}
