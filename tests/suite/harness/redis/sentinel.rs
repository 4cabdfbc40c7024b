//! A master, its replica and three sentinels that watch them.

use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{RedisConfig, RedisServer, config::SENTINEL_PASSWORD};

/// The name under which the sentinels know the master.
const NAME: &str = "keep";
const SENTINELS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// The servers that hold the data are numbers 0 and 1; number 0 begins as the master.
pub(crate) struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts all five and waits until the sentinels know each other and the replica.
    pub(crate) fn start() -> Self {
        Self::start_with(RedisConfig::default())
    }

    /// As [`start`](Self::start), the servers with these settings. With a password the sentinels
    /// have one of their own.
    pub(crate) fn start_with(config: RedisConfig) -> Self {
        let master = config.clone().master_password().start();
        let replica = config.clone().replica_of(master.group_port()).start();
        let monitor = RedisConfig::sentinel(NAME, master.group_port(), &config);
        let sentinels: Vec<_> = (0..SENTINELS).map(|_| monitor.clone().start()).collect();
        let group = Self {
            servers: vec![master, replica],
            sentinels,
        };
        group.eventually("the sentinels know everybody", |group| {
            group.sentinels.iter().all(|sentinel| {
                let seen: Vec<String> = sentinel.query(&["SENTINEL", "MASTER", NAME]);
                let field = |name: &str| {
                    let place = seen.iter().position(|word| word == name)?;
                    seen.get(place + 1).cloned()
                };
                field("num-slaves").as_deref() == Some("1")
                    && field("num-other-sentinels").as_deref() == Some("2")
                    && field("flags").as_deref() == Some("master")
            })
        });
        group.eventually("the replica is in step", |group| {
            let info: String = group.servers[1].query(&["INFO", "replication"]);
            info.contains("master_link_status:up")
        });
        group
    }

    /// The URL that names the three sentinels and the master.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = (self.sentinels.iter())
            .map(|sentinel| sentinel.user_addr().to_string())
            .collect();
        let server = self.servers[0].url();
        let (scheme, rest) = server.split_once("://").expect("it is a URL");
        match rest.rsplit_once('@') {
            Some((user, _)) => format!(
                "{scheme}+sentinel://{user}@{}/{NAME}?sentinel_password={}",
                hosts.join(","),
                utf8_percent_encode(SENTINEL_PASSWORD, NON_ALPHANUMERIC)
            ),
            None => format!("{scheme}+sentinel://{}/{NAME}", hosts.join(",")),
        }
    }

    /// Takes no server for dead on a busy machine: for tests in which all are well.
    pub(super) fn be_patient(&self) {
        for sentinel in &self.sentinels {
            sentinel.command(&["SENTINEL", "SET", NAME, "down-after-milliseconds", "30000"]);
        }
    }

    /// All processes: the servers, and the sentinels.
    pub(super) fn processes(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().chain(&self.sentinels)
    }

    /// What the sentinels call the master.
    pub(crate) fn name(&self) -> &'static str {
        NAME
    }

    /// The servers that hold the data, by number.
    pub(crate) fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    pub(crate) fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    pub(super) fn servers_mut(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    pub(crate) fn server_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// The number of the server that the sentinels take for the master.
    pub(crate) fn master(&self) -> usize {
        let (_, port): (String, u16) =
            self.sentinels[0].query(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        (self.servers.iter())
            .position(|server| server.group_port() == port)
            .expect("the master is one of the two")
    }

    /// Waits until the sentinels have made the server `number` the master.
    pub(crate) fn wait_for_master(&self, number: usize) {
        self.eventually("the sentinels agree on the new master", |group| {
            let role = group.servers[number].try_query::<String>(&["INFO", "replication"]);
            group.master() == number && role.is_ok_and(|info| info.contains("role:master"))
        });
    }

    /// Lets the sentinels swap the roles of two servers that are both alive.
    pub(crate) fn fail_over(&self) {
        let next = 1 - self.master();
        self.eventually("a sentinel begins the failover", |group| {
            let began = group.sentinels[0].try_query::<String>(&["SENTINEL", "FAILOVER", NAME]);
            began.is_ok() || group.master() == next
        });
        self.wait_for_master(next);
    }

    fn eventually(&self, what: &str, ask: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !ask(self) {
            assert!(Instant::now() < end, "in vain: {what}");
            std::thread::sleep(POLL);
        }
    }
}
