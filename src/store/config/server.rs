//! What is configured of Redis: which servers, and how they are reached.

mod hosts;
mod pool;
mod single;

use std::fmt;

use deadpool_redis::redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
};

use self::hosts::Hosts;
use super::{ConfigError, pieces::Pieces, without_secrets};
use crate::store::{
    Store,
    redis::{Access, Members, Sentinels, Source},
};

/// Redis takes a user's name with a password only: alone it would be left out.
const LONELY_USER: &str = "expected a password beside the user's name: user:password@host";
const SENTINEL_PORT: u16 = 26_379;
const PORT: u16 = 6379;

/// One server, or several that belong together.
#[derive(Clone)]
pub(super) enum Server {
    Single(ConnectionInfo),
    Sentinel(Hosts),
    Cluster(Hosts),
}

impl Server {
    /// Reads a URL; an error says what would be right.
    pub(super) fn from_url(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
        let is_tls = scheme.starts_with("rediss");
        if is_tls && cfg!(not(feature = "redis-tls")) {
            return Err("expected no TLS: this build has no feature `redis-tls`");
        }
        match scheme {
            "redis+sentinel" | "rediss+sentinel" => {
                let hosts = Hosts::parse(rest, SENTINEL_PORT, is_tls);
                let hosts = hosts.filter(|hosts| !hosts.name.is_empty()).ok_or(
                    "expected redis+sentinel://[user:password@]host[:port],…/master\
                     [?db=0&sentinel_username=name&sentinel_password=password], or \
                     rediss+sentinel://…, percent-encoded; the database is ?db=",
                )?;
                with_whole_user(hosts).map(Self::Sentinel)
            }
            "redis+cluster" | "rediss+cluster" => {
                let hosts = Hosts::parse(rest, PORT, is_tls);
                let is_one_database = |hosts: &Hosts| {
                    hosts.name.is_empty() && hosts.db == 0 && !hosts.has_credentials_of_sentinels()
                };
                let hosts = hosts.filter(is_one_database).ok_or(
                    "expected redis+cluster://[user:password@]host[:port],… or \
                     rediss+cluster://…, percent-encoded; a cluster has one database",
                )?;
                with_whole_user(hosts).map(Self::Cluster)
            }
            "redis" | "rediss" | "unix" | "redis+unix" => {
                let info = url.into_connection_info().map_err(|_| {
                    "expected redis://[user:password@]host[:port][/db] or \
                     unix:///path[?db=0&user=name&pass=password], percent-encoded; several hosts \
                     are a redis+cluster:// or redis+sentinel://"
                })?;
                if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
                    return Err("expected no #insecure: a server's certificate is always checked");
                }
                single::checked(&info, url)?;
                Ok(Self::Single(info))
            }
            _ => Err(
                "expected memory, redis://[user:password@]host[:port][/db], rediss://…, \
                 unix:///path, redis+cluster://host[:port],… or redis+sentinel://host[:port],…/master",
            ),
        }
    }

    /// A server by the variables that name it piece by piece.
    pub(super) fn from_pieces(pieces: Pieces) -> Result<Self, ConfigError> {
        let host = pieces.host;
        let invalid = |value: &str, expected| ConfigError::Invalid {
            name: "REDIS_HOST",
            value: value.to_owned(),
            expected,
        };
        let no_host = "expected a host name or address; a URL goes into REDIS_URL";
        if host.contains("//") || host.contains('@') {
            return Err(invalid(&without_secrets(&host), no_host));
        }
        if host.contains(|c: char| c == '/' || c == '[' || c.is_whitespace()) {
            return Err(invalid(&host, no_host));
        }
        if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
            // What stands behind the colon may be a password, if this was to be a URL.
            let (name, _) = host.split_once(':').unwrap_or((&host, ""));
            return Err(invalid(
                &format!("{name}:…"),
                "expected a host name or address alone; the port goes into REDIS_PORT",
            ));
        }
        let info = ConnectionAddr::Tcp(host.clone(), pieces.port.unwrap_or(PORT))
            .into_connection_info()
            .map_err(|_| invalid(&host, no_host))?;
        if pieces.username.is_some() && pieces.password.is_none() {
            return Err(ConfigError::Incomplete {
                name: "REDIS_USERNAME",
                expected: "expected REDIS_PASSWORD beside it, which Redis takes a user's name with",
            });
        }
        let user = credentials(pieces.username, pieces.password);
        let user = user.set_db(i64::from(pieces.db.unwrap_or(0)));
        Ok(Self::Single(info.set_redis_settings(user)))
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Single(info) => matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            Self::Sentinel(hosts) | Self::Cluster(hosts) => hosts.is_tls,
        }
    }

    /// A store on it. Certificates are there for TLS only.
    pub(super) fn store(
        self,
        pool_size: usize,
        root_certificates: Option<&[u8]>,
    ) -> Result<Store, ConfigError> {
        let access = |info: ConnectionInfo, user: Option<RedisConnectionInfo>| {
            let info = match user {
                Some(user) => info.set_redis_settings(user),
                None => info,
            };
            pool::trusting(info, root_certificates).map(Access::new)
        };
        match self {
            Self::Single(info) => {
                let access = access(info, None)?;
                Ok(Store::redis(pool::single(&access, pool_size)?))
            }
            Self::Sentinel(hosts) => {
                let user = credentials(
                    hosts.sentinel_username.clone(),
                    hosts.sentinel_password.clone(),
                );
                let sentinels: Result<Vec<_>, _> = (hosts.infos().into_iter())
                    .map(|info| access(info, Some(user.clone())))
                    .collect();
                let sentinels = sentinels?;
                let user = credentials(hosts.username, hosts.password).set_db(hosts.db);
                // Its address is replaced by those that the sentinels name.
                let master = sentinels[0].info().clone().set_redis_settings(user);
                let sentinels = Sentinels::new(sentinels, hosts.name, Access::new(master));
                Ok(Store::by_sentinels(Source::Sentinels(sentinels)))
            }
            Self::Cluster(hosts) => {
                let user = credentials(hosts.username.clone(), hosts.password.clone());
                let nodes: Result<Vec<_>, _> = (hosts.infos().into_iter())
                    .map(|info| access(info, Some(user.clone())))
                    .collect();
                Ok(Store::of_members(Members::Nodes(nodes?)))
            }
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(info) => info.addr().fmt(f),
            Self::Sentinel(hosts) => write!(f, "{} by sentinels", hosts.name),
            Self::Cluster(_) => f.write_str("a cluster"),
        }
    }
}

fn with_whole_user(hosts: Hosts) -> Result<Hosts, &'static str> {
    match (&hosts.username, &hosts.password) {
        (Some(_), None) => Err(LONELY_USER),
        _ => Ok(hosts),
    }
}

fn credentials(username: Option<String>, password: Option<String>) -> RedisConnectionInfo {
    let mut user = RedisConnectionInfo::default();
    if let Some(username) = username {
        user = user.set_username(username);
    }
    if let Some(password) = password {
        user = user.set_password(password);
    }
    user
}

#[cfg(test)]
mod tests;
