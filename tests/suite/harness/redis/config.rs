//! What a test may ask of its Redis: persistence, credentials, a memory limit.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use std::sync::Arc;

use super::{RedisServer, tls::Certificates};

/// Settings of a [`RedisServer`]; by default it keeps nothing on disk and asks for no password.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisConfig {
    persistent: bool,
    password: Option<String>,
    acl_user: Option<(String, String)>,
    role: Role,
    tls: Option<Arc<Certificates>>,
    directives: Vec<String>,
    /// Such that want others before them.
    late_directives: Vec<String>,
}

/// Of sentinels whose servers have a password.
pub(super) const SENTINEL_PASSWORD: &str = "s&ntinel";

/// What the server is beside others.
#[derive(Clone, Debug, Default)]
enum Role {
    #[default]
    Alone,
    ClusterNode,
    Sentinel,
}

impl RedisConfig {
    /// Every write is on disk before its reply, so that a killed server comes back with its data.
    pub(crate) fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// A password for the default user (`requirepass`).
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A user of its own for the application, limited to `rules` (as in `~app:* +@all -@dangerous`).
    ///
    /// [`RedisServer::url`] then names this user; the harness keeps the default one.
    pub(crate) fn acl_user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.acl_user = Some((name.to_owned(), password.to_owned()));
        self.directive(format!(
            "user {name} on {} {rules}",
            quoted(&format!(">{password}"))
        ))
    }

    /// A memory limit in bytes and what Redis evicts at it (as in `allkeys-lru`).
    pub(crate) fn maxmemory(self, bytes: u64, policy: &str) -> Self {
        self.directive(format!("maxmemory {bytes}"))
            .directive(format!("maxmemory-policy {policy}"))
    }

    /// One node of a [cluster](super::RedisCluster).
    pub(super) fn cluster_node(mut self) -> Self {
        self.role = Role::ClusterNode;
        self.directive("cluster-enabled yes".to_owned())
            .directive("cluster-node-timeout 1000".to_owned())
            .directive("repl-diskless-sync-delay 0".to_owned())
            .master_password()
    }

    /// Of a cluster that serves the slots it has when it has not all of them.
    pub(crate) fn partial_coverage(self) -> Self {
        self.directive("cluster-require-full-coverage no".to_owned())
    }

    /// A replica of the server on this port of the same machine.
    pub(super) fn replica_of(self, port: u16) -> Self {
        self.directive(format!("replicaof 127.0.0.1 {port}"))
            .directive("repl-diskless-sync-delay 0".to_owned())
            .master_password()
    }

    /// What it takes to follow a server with the same password.
    pub(super) fn master_password(self) -> Self {
        match &self.password {
            Some(password) => {
                let line = format!("masterauth {}", quoted(password));
                self.directive(line)
            }
            None => self,
        }
    }

    /// A sentinel that watches the master `name` on `port`, with two of three votes, and
    /// speaks as `servers` do.
    pub(super) fn sentinel(name: &str, port: u16, servers: &Self) -> Self {
        let config = Self {
            role: Role::Sentinel,
            tls: servers.tls.clone(),
            password: (servers.password.as_ref()).map(|_| SENTINEL_PASSWORD.to_owned()),
            ..Self::default()
        };
        let config = match &servers.password {
            Some(password) => config
                .directive(format!("sentinel sentinel-pass {SENTINEL_PASSWORD}"))
                .late_directive(format!("sentinel auth-pass {name} {}", quoted(password))),
            None => config,
        };
        config
            .directive(format!("sentinel monitor {name} 127.0.0.1 {port} 2"))
            .directive(format!("sentinel down-after-milliseconds {name} 500"))
            .directive(format!("sentinel failover-timeout {name} 3000"))
    }

    /// TLS for the application, with these certificates; the harness stays with the plain port.
    pub(crate) fn tls(mut self, certificates: Certificates) -> Self {
        self.tls = Some(Arc::new(certificates));
        self
    }

    /// A Unix socket beside the port.
    pub(crate) fn unix_socket(self) -> Self {
        self.directive("unixsocket redis.sock".to_owned())
    }

    /// A server that does not know the command.
    pub(crate) fn without_command(self, name: &str) -> Self {
        self.directive(format!("rename-command {name} \"\""))
    }

    /// Starts the server and waits until it answers PING.
    pub(crate) fn start(self) -> RedisServer {
        RedisServer::start_with(self)
    }

    fn directive(mut self, line: String) -> Self {
        self.directives.push(line);
        self
    }

    fn late_directive(mut self, line: String) -> Self {
        self.late_directives.push(line);
        self
    }

    /// The text of `redis.conf`.
    pub(super) fn file(&self, port: u16, bus: u16, tls: u16) -> String {
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            "logfile redis.log".to_owned(),
        ];
        match self.role {
            Role::Alone => lines.push("save \"\"".to_owned()),
            Role::ClusterNode => {
                lines.extend(["save \"\"".to_owned(), format!("cluster-port {bus}")]);
            }
            Role::Sentinel => {}
        }
        if let Some(certificates) = &self.tls {
            lines.extend(certificates.directives(tls));
            lines.push("tls-replication yes".to_owned());
            if matches!(self.role, Role::ClusterNode) {
                lines.push("tls-cluster yes".to_owned());
            }
        }
        if self.persistent {
            lines.extend(["appendonly yes".to_owned(), "appendfsync always".to_owned()]);
        }
        if let Some(password) = &self.password {
            lines.push(format!("requirepass {}", quoted(password)));
        }
        lines.extend(self.directives.iter().cloned());
        lines.extend(self.late_directives.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }

    /// Arguments of `redis-server` behind the file's name.
    pub(super) fn arguments(&self) -> &'static [&'static str] {
        match self.role {
            Role::Sentinel => &["--sentinel"],
            Role::Alone | Role::ClusterNode => &[],
        }
    }

    /// The URL of the user the application connects as.
    pub(super) fn url(&self, port: u16, tls: u16) -> String {
        let url = |port| match &self.acl_user {
            Some((name, password)) => url(name, Some(password), port),
            None => self.admin_url(port),
        };
        match &self.tls {
            Some(_) => url(tls).replacen("redis://", "rediss://", 1),
            None => url(port),
        }
    }

    /// The certificate that clients have to trust.
    pub(super) fn authority(&self) -> Option<std::path::PathBuf> {
        self.tls
            .as_ref()
            .map(|certificates| certificates.authority())
    }

    /// The password of the user the application connects as.
    pub(super) fn user_password(&self) -> Option<&str> {
        let named = self.acl_user.as_ref().map(|(_, password)| password);
        named.or(self.password.as_ref()).map(String::as_str)
    }

    /// The URL of the default user, who may do everything.
    pub(super) fn admin_url(&self, port: u16) -> String {
        url("", self.password.as_deref(), port)
    }
}

fn url(user: &str, password: Option<&str>, port: u16) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    match password {
        Some(password) => format!(
            "redis://{}:{}@127.0.0.1:{port}/",
            encoded(user),
            encoded(password)
        ),
        None => format!("redis://127.0.0.1:{port}/"),
    }
}

/// A word of `redis.conf` with the characters escaped that would end it.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
