//! Refresh tokens over a store, and a clock that can be driven.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_keep::{
    Store,
    refresh_token::{Grant, Issued, RefreshTokenError, RefreshTokens, Reuse},
};

use crate::harness::{
    connected::{PATIENT, connected},
    redis::{RedisCluster, RedisSentinel, RedisServer},
};

/// What stands behind the store.
enum Servers {
    None,
    One(Arc<RedisServer>),
    Cluster(Arc<RedisCluster>),
    Sentinel(Arc<RedisSentinel>),
}

pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) tokens: RefreshTokens,
    servers: Servers,
    reuses: Arc<Mutex<Vec<Reuse>>>,
}

impl Stand {
    /// Embedded memory, with tokio's clock paused.
    pub(super) fn memory() -> Self {
        tokio::time::pause();
        Self::new(Store::memory(), Servers::None)
    }

    /// A Redis of its own, to which the store is connected.
    pub(super) async fn redis() -> Self {
        let server = RedisServer::start();
        let store = connected(&server.url(), PATIENT).await;
        Self::new(store, Servers::One(Arc::new(server)))
    }

    /// An empty cluster.
    pub(super) async fn cluster(cluster: &Arc<RedisCluster>) -> Self {
        let store = connected(&cluster.url(), PATIENT).await;
        let stand = Self::new(store, Servers::Cluster(cluster.clone()));
        stand.flush();
        stand
    }

    /// An empty master behind sentinels.
    pub(super) async fn sentinel(group: &Arc<RedisSentinel>) -> Self {
        let store = connected(&group.url(), PATIENT).await;
        let stand = Self::new(store, Servers::Sentinel(group.clone()));
        stand.flush();
        stand
    }

    /// Embedded memory whose clock is somebody else's business.
    pub(super) fn memory_beside() -> Self {
        Self::new(Store::memory(), Servers::None)
    }

    fn new(store: Store, servers: Servers) -> Self {
        let reuses = Arc::<Mutex<Vec<Reuse>>>::default();
        let seen = reuses.clone();
        let on_reuse = move |reuse: &Reuse| seen.lock().unwrap().push(reuse.clone());
        Self {
            tokens: RefreshTokens::new(store.clone()).on_reuse(on_reuse),
            store,
            servers,
            reuses,
        }
    }

    pub(super) fn with(mut self, settings: impl FnOnce(RefreshTokens) -> RefreshTokens) -> Self {
        self.tokens = settings(self.tokens);
        self
    }

    pub(super) fn with_grace(self, seconds: u64) -> Self {
        self.with(|tokens| tokens.with_grace(Duration::from_secs(seconds)).unwrap())
    }

    pub(super) fn is_redis(&self) -> bool {
        !matches!(self.servers, Servers::None)
    }

    /// The servers that hold the data.
    fn masters(&self) -> Vec<&RedisServer> {
        match &self.servers {
            Servers::None => Vec::new(),
            Servers::One(server) => vec![server],
            Servers::Cluster(cluster) => {
                let masters = cluster.masters();
                masters.iter().map(|&n| &cluster.nodes()[n]).collect()
            }
            Servers::Sentinel(group) => vec![&group.servers()[group.master()]],
        }
    }

    pub(super) fn server(&self) -> &RedisServer {
        match &self.servers {
            Servers::One(server) => server,
            _ => panic!("the stand is one on a single Redis"),
        }
    }

    pub(super) fn server_mut(&mut self) -> &mut RedisServer {
        match &mut self.servers {
            Servers::One(server) => Arc::get_mut(server).expect("no other stand is on it"),
            _ => panic!("the stand is one on a single Redis"),
        }
    }

    /// Another stand on the same Redis, without what this one was set to and has seen.
    pub(super) fn again(&self) -> Self {
        match &self.servers {
            Servers::One(server) => Self::new(self.store.clone(), Servers::One(server.clone())),
            _ => panic!("the stand is one on a single Redis"),
        }
    }

    fn flush(&self) {
        for master in self.masters() {
            master.command(&["FLUSHALL"]);
        }
    }

    /// The names of all keys.
    pub(super) fn keys(&self) -> Vec<String> {
        let masters = self.masters();
        masters.iter().flat_map(|master| master.keys("*")).collect()
    }

    pub(super) fn assert_every_key_has_a_ttl(&self) {
        for master in self.masters() {
            master.assert_every_key_has_a_ttl();
        }
    }

    /// Lets time pass. Redis' clock cannot be driven, so there all that it has written down moves
    /// back instead.
    pub(super) async fn advance(&self, time: Duration) {
        const BACK: &str = r"
            local by = ARGV[1] + 0
            for _, key in ipairs(redis.call('KEYS', '*:refresh_token:*')) do
                local families = redis.call('HGETALL', key)
                for i = 1, #families, 2 do
                    local ends, generation, rotated, created = struct.unpack('>I6I4I6I6', families[i + 1])
                    redis.call('HSET', key, families[i],
                        struct.pack('>I6I4I6I6', ends - by, generation, rotated - by, created - by)
                        .. string.sub(families[i + 1], 23))
                end
                redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key) - by)
            end
            return 1";
        if !self.is_redis() {
            return tokio::time::advance(time).await;
        }
        for master in self.masters() {
            master.command(&["EVAL", BACK, "0", &time.as_millis().to_string()]);
        }
    }

    pub(super) async fn advance_seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds)).await;
    }

    /// The first token of a family of `user`, whose client is `web`.
    pub(super) async fn login(&self, user: &str) -> String {
        let issued = self.tokens.issue(Grant::new(user, "web")).await.unwrap();
        issued.token.into_string()
    }

    /// As the client `web`.
    pub(super) async fn rotate(&self, token: &str) -> Result<Issued, RefreshTokenError> {
        self.tokens.rotate(token, "web").await
    }

    /// The next token.
    pub(super) async fn next(&self, token: &str) -> String {
        self.rotate(token).await.unwrap().token.into_string()
    }

    pub(super) async fn assert_invalid(&self, token: &str) {
        let result = self.rotate(token).await;
        assert!(
            matches!(result, Err(RefreshTokenError::Invalid)),
            "{result:?}"
        );
    }

    pub(super) async fn assert_reused(&self, token: &str) {
        let result = self.rotate(token).await;
        assert!(
            matches!(result, Err(RefreshTokenError::Reused)),
            "{result:?}"
        );
    }

    /// The events so far.
    pub(super) fn reuses(&self) -> Vec<Reuse> {
        self.reuses.lock().unwrap().clone()
    }

    /// How many families the user has.
    pub(super) async fn families(&self, user: &str) -> usize {
        self.tokens.list(user).await.unwrap().len()
    }
}
