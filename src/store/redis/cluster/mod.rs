//! A cluster: a server, as the rest of this room knows one, for each of its shards.
//!
//! Each shard has connections, a circuit breaker and a reviver of its own, so that one that is
//! frozen or failing over costs the others nothing. Which slot belongs to which shard is
//! [read](read) from the cluster and tells where a command is sent first; where the cluster has
//! moved the slot since, the command [follows](redirect). So a map that is out of date is
//! slower and not wrong.

mod layout;
mod map;
mod read;
mod redirect;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use deadpool_redis::cluster::Pool;
use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use self::{layout::Layout, map::Map};
use super::{
    access::{Access, Address},
    call::Answered,
    claim::Claim,
    command::Commands,
    connection::Shard,
    reply::{Results, all_failed},
    script::Scripts,
    server::Redis,
    source::Source,
};
use crate::store::{
    error::{RefusalKind, StoreError},
    state::StoreState,
};

/// How the servers of a cluster are reached.
pub(crate) enum Members {
    /// By their addresses, of which these are some.
    Nodes(Vec<Access>),
    /// By connections of the application's pool, each of which leads to all of them.
    Pool(Pool),
}

impl Members {
    fn server(&self, shard: Shard, lanes: usize, scripts: Scripts) -> Arc<Redis> {
        let shard = Arc::new(shard);
        let source = match (self, &shard.master) {
            (Self::Pool(pool), _) => Source::ClusterPool {
                pool: pool.clone(),
                shard,
            },
            (Self::Nodes(nodes), Some(address)) => Source::Node {
                access: nodes[0].to(address),
                shard,
            },
            // A cluster that does not tell where a master listens has told somewhere else.
            (Self::Nodes(nodes), None) => Source::Node {
                access: nodes[0].clone(),
                shard,
            },
        };
        Redis::new(source, lanes, scripts)
    }
}

pub(crate) struct Cluster {
    members: Members,
    lanes: usize,
    scripts: Scripts,
    map: RwLock<Arc<Map>>,
    /// Told when the map was read, or that was tried.
    learned: Notify,
    /// Held by who reads the map.
    reading: Claim,
    /// Since when the cluster serves nothing, in microseconds of `born`; 0 while it does.
    down_since: AtomicU64,
    born: Instant,
}

impl Cluster {
    /// Nothing is sent before the first call. By connections of a pool there is one shard until
    /// the map is known, by addresses none.
    pub(crate) fn new(members: Members, lanes: usize, scripts: Scripts) -> Arc<Self> {
        let shards = match &members {
            Members::Nodes(_) => Vec::new(),
            Members::Pool(_) => vec![members.server(Shard::default(), lanes, scripts)],
        };
        Arc::new(Self {
            members,
            lanes,
            scripts,
            map: RwLock::new(Arc::new(Map::unknown(shards))),
            learned: Notify::new(),
            reading: Claim::default(),
            down_since: AtomicU64::new(0),
            born: Instant::now(),
        })
    }

    fn map(&self) -> Arc<Map> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts what `change` makes of the map in its place, if it makes anything.
    fn change(&self, change: impl FnOnce(&Map) -> Option<Map>) {
        let mut place = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = change(&place) {
            *place = Arc::new(map);
        }
    }

    /// The state that most of it is in: degraded while some shards do not answer.
    pub(crate) fn state(&self) -> StoreState {
        self.map().state()
    }

    pub(crate) fn refusals(&self) -> Vec<RefusalKind> {
        let mut kinds = Vec::new();
        for kind in self.map().shards.iter().flat_map(|shard| shard.refusals()) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// What the first shard that knows has said.
    pub(crate) fn server(&self) -> Option<Arc<str>> {
        self.map().shards.iter().find_map(|shard| shard.server())
    }

    pub(crate) fn connections_epoch(&self) -> u64 {
        self.map().epoch()
    }

    /// Executes `commands`, those of each shard in one go and all shards side by side.
    pub(crate) async fn call(
        self: Arc<Self>,
        commands: Commands,
        deadline: Duration,
    ) -> Result<Results, StoreError> {
        let start = Instant::now();
        let map = self.usable_map(deadline).await?;
        if map.is_due(start) {
            self.read_map();
        }
        let mut groups = map.split(commands);
        if groups.len() == 1
            && let Some(group) = groups.pop()
        {
            return Ok(self
                .execute(group.shard, group.commands, start, deadline)
                .await);
        }
        let calls = groups.into_iter().map(async |group| {
            let results = self.execute(group.shard, group.commands, start, deadline);
            group.places.into_iter().zip(results.await)
        });
        let mut ordered: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
        ordered.sort_by_key(|(place, _)| *place);
        Ok(ordered.into_iter().map(|(_, result)| result).collect())
    }

    /// Executes commands on their shard, and those that it redirects where it says.
    async fn execute(
        self: &Arc<Self>,
        shard: Arc<Redis>,
        commands: Commands,
        start: Instant,
        deadline: Duration,
    ) -> Results {
        let count = commands.len();
        // What has no slot is served by a cluster that is down, too.
        let tells = self.was_down() && commands.iter().any(|command| command.slot().is_some());
        let answered = match shard.is_unavailable() {
            true => {
                // Another server may have taken over.
                self.read_map();
                Err(StoreError::Unavailable)
            }
            false => shard.call::<Answered>(commands, deadline).await,
        };
        match answered {
            Ok(answered) if answered.misdirected.is_some() => {
                let left = deadline.saturating_sub(start.elapsed());
                self.follow_all(&shard, answered, left, deadline).await
            }
            Ok(answered) => {
                if tells && answered.results.iter().any(Result::is_ok) {
                    self.is_up();
                }
                answered.results
            }
            Err(error) => all_failed(&error, count),
        }
    }

    /// The map, which is read first if it never was: for that a call waits, and no other does
    /// once one has waited in vain.
    async fn usable_map(self: &Arc<Self>, deadline: Duration) -> Result<Arc<Map>, StoreError> {
        let known = async {
            loop {
                // Before the look at the map, so that a change in between is not missed.
                let learned = self.learned.notified();
                let map = self.map();
                if !map.shards.is_empty() {
                    return Ok(map);
                }
                self.read_map();
                if map.state() == StoreState::Unavailable {
                    return Err(StoreError::Unavailable);
                }
                learned.await;
            }
        };
        timeout(deadline, known).await.unwrap_or_else(|_| {
            self.learn(None);
            Err(StoreError::DeadlineExceeded(deadline))
        })
    }

    /// All shards by the map, of which there is one at least. The map is read first, for as long as
    /// `patience`, if it never was.
    #[cfg(any(feature = "health", feature = "inspect"))]
    pub(crate) async fn shards(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<Vec<Arc<Redis>>, StoreError> {
        if !self.map().is_known {
            let layout = timeout(patience, self.layout()).await;
            self.learn(layout.as_ref().ok().and_then(Option::as_ref));
            match layout {
                Ok(Some(_)) => {}
                Ok(None) => return Err(StoreError::Unavailable),
                Err(_) => return Err(StoreError::DeadlineExceeded(patience)),
            }
        } else if self.map().is_due(Instant::now()) {
            self.read_map();
        }
        Ok(self.map().shards.clone())
    }

    fn learn(&self, layout: Option<&Layout>) {
        self.change(|old| {
            Some(match layout {
                Some(layout) => old.following(layout, |shard| {
                    self.members.server(shard, self.lanes, self.scripts)
                }),
                None => old.unread(),
            })
        });
        self.learned.notify_waiters();
    }

    /// The server at `address`, which the map may not know yet.
    fn node(&self, address: &Address) -> Option<Arc<Redis>> {
        let mut node = None;
        self.change(|map| {
            node = map.node(address);
            if node.is_some() {
                return None;
            }
            let shard = Shard {
                slot: 0,
                master: Some(address.clone()),
            };
            let server = self.members.server(shard, self.lanes, self.scripts);
            let map = map.with(server.clone())?;
            node = Some(server);
            Some(map)
        });
        node
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("shards", &self.map().shards)
            .finish_non_exhaustive()
    }
}
