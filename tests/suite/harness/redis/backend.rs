//! The Redis behind the store of one test, whatever its topology.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use deadpool_redis::redis::{FromRedisValue, RedisResult, Value};
use tower_keep::{Store, StoreConfig};

use super::super::connected::answers;
use super::{
    RedisCluster, RedisSentinel, RedisServer,
    shared::{Lease, Shared},
};

/// What holds the data of a test, which has it to itself and finds it empty.
pub(crate) enum Backend {
    /// A server of the test's own, which it may kill.
    Redis(RedisServer),
    /// Three masters with a replica each.
    Cluster(Lease<RedisCluster>),
    /// A master and a replica that three sentinels watch.
    Sentinel(Lease<RedisSentinel>),
    /// TLS, and a user with the rights that the README lists.
    Restricted(Lease<RedisServer>),
    /// A cluster of the test's own, whose nodes it may kill.
    OwnCluster(RedisCluster),
    /// A master, its replica and three sentinels of the test's own: it may kill the two.
    OwnSentinel(RedisSentinel),
}

impl Backend {
    pub(crate) fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    pub(crate) fn cluster() -> Self {
        Self::Cluster(Lease::take())
    }

    pub(crate) fn sentinel() -> Self {
        Self::Sentinel(Lease::take())
    }

    pub(crate) fn restricted() -> Self {
        Self::Restricted(Lease::take())
    }

    pub(crate) fn own_cluster() -> Self {
        Self::OwnCluster(RedisCluster::start())
    }

    pub(crate) fn own_sentinel() -> Self {
        Self::OwnSentinel(RedisSentinel::start())
    }

    /// The URL an application connects with, credentials included.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
            Self::Sentinel(group) => group.url(),
            Self::Restricted(server) => server.url(),
            Self::OwnCluster(cluster) => cluster.url(),
            Self::OwnSentinel(group) => group.url(),
        }
    }

    /// The certificate that the servers' own are signed by, if they speak TLS.
    pub(crate) fn authority(&self) -> Option<PathBuf> {
        match self {
            Self::Redis(server) => server.authority(),
            Self::Restricted(server) => server.authority(),
            Self::Cluster(_) | Self::Sentinel(_) => None,
            Self::OwnCluster(_) | Self::OwnSentinel(_) => None,
        }
    }

    /// A store with pools of its own, as another process has it, that is connected.
    pub(crate) async fn connected(&self, deadline: Duration) -> Store {
        let config = StoreConfig::from_url(&self.url()).unwrap();
        let config = match self.authority() {
            Some(file) => config.with_root_certificates(std::fs::read(file).unwrap()),
            None => config,
        };
        let store = config.with_deadline(deadline).build().unwrap();
        answers(&store).await;
        store
    }

    /// The servers that take writes.
    fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Self::Redis(server) => vec![server],
            Self::Cluster(cluster) => cluster.data(),
            Self::Sentinel(group) => group.data(),
            Self::Restricted(server) => server.data(),
            Self::OwnCluster(cluster) => cluster.first_masters().iter().collect(),
            Self::OwnSentinel(group) => vec![&group.servers()[0]],
        }
    }

    /// The only server: of what the test shares with others it must not touch the processes.
    #[track_caller]
    fn own(&self) -> &RedisServer {
        match self {
            Self::Redis(server) => server,
            _ => panic!("this test wants a server of its own: give it `Backend::redis()`"),
        }
    }

    /// All servers that hold data, likewise.
    #[track_caller]
    fn all_own(&self) -> Vec<&RedisServer> {
        match self {
            Self::Redis(server) => vec![server],
            Self::OwnCluster(cluster) => cluster.nodes().iter().collect(),
            Self::OwnSentinel(group) => group.servers().iter().collect(),
            _ => panic!("this test wants servers of its own: give it `Backend::own_…()`"),
        }
    }

    #[track_caller]
    fn all_own_mut(&mut self) -> Vec<&mut RedisServer> {
        match self {
            Self::Redis(server) => vec![server],
            Self::OwnCluster(cluster) => cluster.nodes_mut().iter_mut().collect(),
            Self::OwnSentinel(group) => group.servers_mut().iter_mut().collect(),
            _ => panic!("this test wants servers of its own: give it `Backend::own_…()`"),
        }
    }

    /// As [`RedisServer::command`], to the master that has the key.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> Value {
        self.query(words)
    }

    /// As [`RedisServer::query`], to the master that has the key.
    #[track_caller]
    pub(crate) fn query<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_query(words)
            .unwrap_or_else(|error| panic!("{} failed: {error}", words[0]))
    }

    /// As [`RedisServer::try_query`], to the master that has the key.
    pub(crate) fn try_query<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let masters = self.masters();
        let answer = masters[0].try_query(words);
        let Some(address) = answer
            .as_ref()
            .err()
            .and_then(|error| error.redirect_node())
        else {
            return answer;
        };
        let other = (masters.iter())
            .find(|master| master.addr().to_string() == address.0)
            .expect("the key is on one of the masters");
        other.try_query(words)
    }

    /// As [`RedisServer::keys`], of all masters.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let masters = self.masters().into_iter();
        let mut keys: Vec<_> = masters.flat_map(|master| master.keys(pattern)).collect();
        keys.sort();
        keys
    }

    #[track_caller]
    pub(crate) fn assert_every_key_has_a_ttl(&self) {
        for master in self.masters() {
            master.assert_every_key_has_a_ttl();
        }
    }

    /// As [`RedisServer::command_calls`], of all masters together.
    pub(crate) fn command_calls(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for (name, calls) in self.masters().iter().flat_map(|one| one.command_calls()) {
            *sum.entry(name).or_default() += calls;
        }
        sum
    }

    pub(crate) fn reset_stats(&self) {
        self.masters()
            .iter()
            .for_each(|master| master.reset_stats());
    }

    /// Sends a command that names no key to every master.
    #[track_caller]
    pub(crate) fn command_each(&self, words: &[&str]) {
        self.masters().into_iter().for_each(|master| {
            master.command(words);
        });
    }

    pub(crate) fn flush_scripts(&self) {
        (self.masters().iter()).for_each(|master| master.flush_scripts());
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.own().addr()
    }

    /// All servers that hold data do nothing from here on.
    pub(crate) fn pause(&self) {
        self.all_own().into_iter().for_each(RedisServer::pause);
    }

    pub(crate) fn resume(&self) {
        self.all_own()
            .into_iter()
            .for_each(|server| server.resume());
    }

    /// All servers that hold data are gone at once.
    pub(crate) fn kill(&mut self) {
        self.all_own_mut().into_iter().for_each(RedisServer::kill);
    }

    pub(crate) fn restart(&mut self) {
        self.all_own_mut()
            .into_iter()
            .for_each(RedisServer::restart);
    }
}
