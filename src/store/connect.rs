//! A store over the application's own pool.

use super::{
    Backend, Store,
    operations::SCRIPTS,
    redis::{Members, Source, Topology},
};

/// Connections that all calls share, to a server.
const LANES: usize = 2;
/// To a shard of a cluster.
const LANES_OF_A_SHARD: usize = 1;

impl Store {
    /// A single Redis server over the application's pool, on two connections of it.
    ///
    /// Nothing is sent before the first call, so an unreachable server is no error here. While
    /// all connections of the pool are in use there are none for the store to take: it is
    /// unavailable until one comes back. On a user that may not `SCRIPT`, scripts go by source.
    /// The pool's own response timeout does not apply to the store's connections.
    pub fn redis(pool: deadpool_redis::Pool) -> Self {
        Self::redis_with_lanes(pool, LANES)
    }

    /// As [`redis`](Self::redis), on `lanes` connections, at least one. More lanes help when
    /// large cached bodies hold up small replies.
    pub fn redis_with_lanes(pool: deadpool_redis::Pool, lanes: usize) -> Self {
        Self::new(Backend::Redis(Topology::single(pool, lanes, SCRIPTS)))
    }

    /// The master that Redis Sentinel names, over the application's pool, on two connections of it.
    ///
    /// As [`redis`](Self::redis). The store is connected to a new master within a second of its
    /// promotion. What the old one executed until then is lost, as is what it had not replicated.
    ///
    /// An old master that is alive takes writes for some ten seconds more. So the store asks the
    /// sentinels twice a second, each time by a connection of its own that the pool's manager
    /// makes (one sentinel after the other, where a store by a URL asks all at once), and compares `INFO server`. Where the user may not `INFO`, an old master is left only
    /// when it refuses a write or breaks its connections.
    pub fn sentinel(pool: deadpool_redis::sentinel::Pool) -> Self {
        Self::by_sentinels(Source::SentinelPool(pool))
    }

    /// A Redis Cluster over the application's pool, on one connection of it for each shard.
    ///
    /// The deadline and the circuit breaker are each shard's own: one that is frozen or fails over
    /// costs the others nothing, and [`state`](Self::state) says `Degraded` meanwhile. Keys that
    /// belong together share a slot, so no operation spans two.
    ///
    /// The pool's connections send a command again by themselves when they lose a node, so that one
    /// whose reply was lost may count twice. A store by a URL, `redis+cluster://…`
    /// ([`StoreConfig`](crate::StoreConfig)), makes connections that never do, and reaches
    /// servers whose certificate an authority of one's own has signed.
    pub fn cluster(pool: deadpool_redis::cluster::Pool) -> Self {
        Self::of_members(Members::Pool(pool))
    }

    pub(super) fn by_sentinels(source: Source) -> Self {
        Self::new(Backend::Redis(Topology::sentinel(source, LANES, SCRIPTS)))
    }

    pub(super) fn of_members(members: Members) -> Self {
        let topology = Topology::cluster(members, LANES_OF_A_SHARD, SCRIPTS);
        Self::new(Backend::Redis(topology))
    }
}
