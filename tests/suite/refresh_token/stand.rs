//! Refresh tokens over a store, and a clock that can be driven.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_keep::{
    Store,
    refresh_token::{Grant, Issued, RefreshTokenError, RefreshTokens, Reuse},
};

use crate::harness::{connected::PATIENT, redis::Backend};

pub(super) struct Stand {
    pub(super) store: Store,
    pub(super) tokens: RefreshTokens,
    server: Option<Arc<Backend>>,
    reuses: Arc<Mutex<Vec<Reuse>>>,
}

impl Stand {
    /// Embedded memory, with tokio's clock paused.
    pub(super) fn memory() -> Self {
        tokio::time::pause();
        Self::new(Store::memory(), None)
    }

    /// A Redis of its own, to which the store is connected.
    pub(super) async fn redis() -> Self {
        Self::on(Backend::redis()).await
    }

    /// A store that is connected to this.
    pub(super) async fn on(server: Backend) -> Self {
        let store = server.connected(PATIENT).await;
        Self::new(store, Some(Arc::new(server)))
    }

    /// Embedded memory whose clock is somebody else's business.
    pub(super) fn memory_beside() -> Self {
        Self::new(Store::memory(), None)
    }

    fn new(store: Store, server: Option<Arc<Backend>>) -> Self {
        let reuses = Arc::<Mutex<Vec<Reuse>>>::default();
        let seen = reuses.clone();
        let on_reuse = move |reuse: &Reuse| seen.lock().unwrap().push(reuse.clone());
        Self {
            tokens: RefreshTokens::new(store.clone()).on_reuse(on_reuse),
            store,
            server,
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
        self.server.is_some()
    }

    pub(super) fn server(&self) -> &Backend {
        self.server.as_ref().expect("this stand is on Redis")
    }

    pub(super) fn server_mut(&mut self) -> &mut Backend {
        let server = self.server.as_mut().expect("this stand is on Redis");
        Arc::get_mut(server).expect("no other stand is on it")
    }

    /// Another stand on the same Redis, without what this one was set to and has seen.
    pub(super) fn again(&self) -> Self {
        Self::new(self.store.clone(), self.server.clone())
    }

    /// The names of all keys.
    pub(super) fn keys(&self) -> Vec<String> {
        self.server().keys("*")
    }

    pub(super) fn assert_every_key_has_a_ttl(&self) {
        if let Some(server) = &self.server {
            server.assert_every_key_has_a_ttl();
        }
    }

    /// Lets time pass. Redis' clock cannot be driven, so there all that it has written down moves
    /// back instead.
    pub(super) async fn advance(&self, time: Duration) {
        const BACK: &str = r"
            local key, by = KEYS[1], ARGV[1] + 0
            local families = redis.call('HGETALL', key)
            for i = 1, #families, 2 do
                local ends, generation, rotated, created = struct.unpack('>I6I4I6I6', families[i + 1])
                redis.call('HSET', key, families[i],
                    struct.pack('>I6I4I6I6', ends - by, generation, rotated - by, created - by)
                    .. string.sub(families[i + 1], 23))
            end
            return redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key) - by)";
        let Some(server) = &self.server else {
            return tokio::time::advance(time).await;
        };
        let by = time.as_millis().to_string();
        for key in server.keys("*:refresh_token:*") {
            server.command(&["EVAL", BACK, "1", &key, &by]);
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
