//! Looking into a running server: commands, keys and the server's own count of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use deadpool_redis::redis::{
    Client, Cmd, Connection, FromRedisValue, IntoConnectionInfo, RedisResult, Value, cmd,
};

use super::RedisServer;

/// How long a command of the harness may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Commands that only the harness sends and that therefore do not count.
const OWN_COMMANDS: [&str; 4] = ["config", "config|resetstat", "info", "script|flush"];

impl RedisServer {
    /// Sends one command, as in `command(&["SET", "a", "1"])`, and panics on an error reply.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> Value {
        self.query(words)
    }

    /// Sends one command and converts its reply.
    #[track_caller]
    pub(crate) fn query<T: FromRedisValue>(&self, words: &[&str]) -> T {
        // The name alone: arguments may be long.
        self.try_query(words)
            .unwrap_or_else(|error| panic!("{} failed: {error}", words[0]))
    }

    /// Sends one command, for servers that may be dead or paused: waits at most five seconds.
    pub(crate) fn try_query<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let (name, arguments) = words.split_first().expect("a command has a name");
        self.run(cmd(name).arg(arguments))
    }

    /// Calls per command since the server started or [`reset_stats`](Self::reset_stats), lower case, subcommands as
    /// `client|setinfo`. Commands that a script calls count like those a client sends.
    pub(crate) fn command_calls(&self) -> BTreeMap<String, u64> {
        let info: String = self.query(&["INFO", "commandstats"]);
        info.lines()
            .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="))
            .filter(|(name, _)| !OWN_COMMANDS.contains(name))
            .map(|(name, rest)| {
                let calls = rest.split(',').next().unwrap_or_default();
                (
                    name.to_owned(),
                    calls.parse().expect("calls= is followed by a number"),
                )
            })
            .collect()
    }

    /// Starts the count of calls from zero.
    pub(crate) fn reset_stats(&self) {
        self.command(&["CONFIG", "RESETSTAT"]);
    }

    /// The names of the keys that match a glob pattern, sorted.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        self.raw_keys(pattern)
            .iter()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect()
    }

    /// Panics with the names of the keys that would stay for ever.
    #[track_caller]
    pub(crate) fn assert_every_key_has_a_ttl(&self) {
        let mut eternal = Vec::new();
        for key in self.raw_keys("*") {
            let ttl: i64 = self.run(cmd("PTTL").arg(&key)).expect("PTTL answers");
            // -2 is a key that expired since the scan.
            if ttl == -1 {
                eternal.push(String::from_utf8_lossy(&key).into_owned());
            }
        }
        assert!(
            eternal.is_empty(),
            "keys without a TTL: {}",
            eternal.join(", ")
        );
    }

    /// Makes it as it was when it started: without keys, scripts, counts, and clients but those
    /// that watch it.
    pub(crate) fn forget_everything(&self) {
        let own: u64 = self.query(&["CLIENT", "ID"]);
        let clients: String = self.query(&["CLIENT", "LIST", "TYPE", "NORMAL"]);
        for client in clients.lines() {
            let field = |name: &str| client.split(' ').find_map(|field| field.strip_prefix(name));
            let id = field("id=").expect("a client has an id");
            let is_sentinel = field("name=").is_some_and(|name| name.starts_with("sentinel-"));
            if id != own.to_string() && !is_sentinel {
                // It may have gone by itself.
                let _ = self.try_query::<u64>(&["CLIENT", "KILL", "ID", id]);
            }
        }
        self.command(&["FLUSHALL"]);
        self.flush_scripts();
        self.reset_stats();
    }

    /// Forgets all cached scripts, as a restart or a failover does.
    pub(crate) fn flush_scripts(&self) {
        self.command(&["SCRIPT", "FLUSH"]);
    }

    /// A SCAN may name a key twice; the set does not. Keys need not be text.
    fn raw_keys(&self, pattern: &str) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1_000);
            let (next, page): (u64, Vec<Vec<u8>>) = self.run(&scan).expect("SCAN answers");
            keys.extend(page);
            cursor = next;
            if cursor == 0 {
                return keys;
            }
        }
    }

    /// Runs a command over the harness' own connection, which a failure closes.
    fn run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut slot = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => connect(&self.config.admin_url(self.port))?,
        };
        let reply = command.query(&mut connection);
        if reply
            .as_ref()
            .err()
            .is_none_or(|error| !error.is_unrecoverable_error())
        {
            *slot = Some(connection);
        }
        reply
    }

    pub(super) fn disconnect(&self) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The id of the process that answers at `url`, if one does.
pub(super) fn process_id(url: &str) -> Option<u32> {
    let mut connection = connect(url).ok()?;
    cmd("PING").exec(&mut connection).ok()?;
    let info: String = cmd("INFO").arg("server").query(&mut connection).ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix("process_id:"))?
        .trim()
        .parse()
        .ok()
}

fn connect(url: &str) -> RedisResult<Connection> {
    let info = url.into_connection_info()?;
    // Without the library's name the connection costs the server no command of its own to count.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let connection =
        Client::open(info.set_redis_settings(settings))?.get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    Ok(connection)
}
