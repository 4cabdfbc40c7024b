//! What a test may ask of its Redis: persistence, credentials, a memory limit.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::RedisServer;

/// Settings of a [`RedisServer`]; by default it keeps nothing on disk and asks for no password.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisConfig {
    persistent: bool,
    password: Option<String>,
    acl_user: Option<(String, String)>,
    directives: Vec<String>,
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

    /// Starts the server and waits until it answers PING.
    pub(crate) fn start(self) -> RedisServer {
        RedisServer::start_with(self)
    }

    fn directive(mut self, line: String) -> Self {
        self.directives.push(line);
        self
    }

    /// The text of `redis.conf`.
    pub(super) fn file(&self, port: u16) -> String {
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            "save \"\"".to_owned(),
            "logfile redis.log".to_owned(),
        ];
        if self.persistent {
            lines.extend(["appendonly yes".to_owned(), "appendfsync always".to_owned()]);
        }
        if let Some(password) = &self.password {
            lines.push(format!("requirepass {}", quoted(password)));
        }
        lines.extend(self.directives.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }

    /// The URL of the user the application connects as.
    pub(super) fn url(&self, port: u16) -> String {
        match &self.acl_user {
            Some((name, password)) => url(name, Some(password), port),
            None => self.admin_url(port),
        }
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
