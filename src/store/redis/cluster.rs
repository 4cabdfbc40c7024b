//! A cluster: a server, as the rest of this room knows one, for each of its shards.
//!
//! Each shard has connections, a circuit breaker and a reviver of its own, so that one that is
//! frozen or failing over costs the others nothing. Which slot belongs to which shard is read from
//! the cluster and only decides whose breaker a command depends on: redirections are followed by the
//! connections, so a map that is out of date is slower and not wrong.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use deadpool_redis::{
    cluster::Pool,
    redis::{
        Value,
        cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
        cmd,
    },
};
use futures_util::future::join_all;

use super::{
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

/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// How often the map is read anew.
const REFRESH: Duration = Duration::from_secs(30);
/// After an attempt to read it that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long reading it may take: a node that does not answer costs a second.
const ATTEMPT: Duration = Duration::from_secs(3);

pub(crate) struct Cluster {
    pool: Pool,
    lanes: usize,
    scripts: Scripts,
    map: RwLock<Arc<Map>>,
    /// Held by who reads the map.
    reading: Claim,
}

#[derive(Debug)]
struct Map {
    shards: Vec<Arc<Redis>>,
    /// The shard of each slot.
    of_slot: Box<[u16]>,
    /// When it was read, or that was tried; never so far.
    read: Option<tokio::time::Instant>,
    is_known: bool,
    /// What the epochs of shards that are gone had come to, and one for each: the sum never
    /// comes back to an earlier one.
    retired: u64,
}

impl Map {
    /// Whether it is to be read anew: now and then, and often while a shard may be failing over.
    fn is_due(&self, now: tokio::time::Instant) -> bool {
        let is_well = |shard: &Arc<Redis>| shard.state() != StoreState::Unavailable;
        let Some(read) = self.read else {
            return true;
        };
        let age = now - read;
        age >= REFRESH || age >= RETRY && !(self.is_known && self.shards.iter().all(is_well))
    }

    /// The shard of a command: of its slot, or any that answers if it has no key.
    fn shard(&self, slot: Option<u16>) -> usize {
        let answers = |shard: &Arc<Redis>| shard.state() != StoreState::Unavailable;
        let shard = match slot {
            Some(slot) => self
                .of_slot
                .get(usize::from(slot))
                .copied()
                .map(usize::from),
            None => self.shards.iter().position(answers),
        };
        shard.unwrap_or(0)
    }
}

impl Cluster {
    /// Nothing is sent before the first call; until the map is known, there is one shard.
    pub(crate) fn new(pool: Pool, lanes: usize, scripts: Scripts) -> Arc<Self> {
        let map = Map {
            shards: vec![shard(
                &pool,
                Shard {
                    slot: 0,
                    master: None,
                },
                lanes,
                scripts,
            )],
            of_slot: vec![0; SLOTS].into(),
            read: None,
            is_known: false,
            retired: 0,
        };
        Arc::new(Self {
            pool,
            lanes,
            scripts,
            map: RwLock::new(Arc::new(map)),
            reading: Claim::default(),
        })
    }

    fn map(&self) -> Arc<Map> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The state that most of it is in: degraded while some shards do not answer.
    pub(crate) fn state(&self) -> StoreState {
        let states: Vec<_> = self
            .map()
            .shards
            .iter()
            .map(|shard| shard.state())
            .collect();
        let all = |state| states.iter().all(|other| *other == state);
        let is_down = |state: &StoreState| *state == StoreState::Unavailable;
        match states.first() {
            Some(first) if all(*first) => *first,
            _ if states.iter().any(is_down) => StoreState::Degraded,
            _ if states.contains(&StoreState::Connecting) => StoreState::Connecting,
            _ => StoreState::Degraded,
        }
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
        let map = self.map();
        let shards = map.shards.iter();
        map.retired + shards.map(|shard| shard.connections_epoch()).sum::<u64>()
    }

    /// Executes `commands`, those of each shard in one go and all shards side by side.
    pub(crate) async fn call(
        self: Arc<Self>,
        commands: Commands,
        deadline: Duration,
    ) -> Result<Results, StoreError> {
        let map = self.map();
        if map.is_due(tokio::time::Instant::now()) {
            self.read_map();
        }
        let mut groups: Vec<(usize, Vec<usize>, Commands)> = Vec::with_capacity(1);
        let count = commands.len();
        for (place, command) in commands.into_iter().enumerate() {
            let shard = map.shard(command.slot());
            match groups.iter_mut().find(|(other, ..)| *other == shard) {
                Some((_, places, commands)) => {
                    places.push(place);
                    commands.push(command);
                }
                None => groups.push((shard, vec![place], [command].into_iter().collect())),
            }
        }
        let calls = groups.into_iter().map(|(shard, places, commands)| {
            let shard = map.shards[shard].clone();
            async move {
                let count = commands.len();
                let results = match shard.is_unavailable() {
                    true => Err(StoreError::Unavailable),
                    false => shard.call(commands, deadline).await,
                };
                let results = results.unwrap_or_else(|error| all_failed(&error, count));
                places.into_iter().zip(results)
            }
        });
        let mut ordered: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
        debug_assert_eq!(ordered.len(), count);
        ordered.sort_by_key(|(place, _)| *place);
        Ok(ordered.into_iter().map(|(_, result)| result).collect())
    }

    /// All shards by the map, which is read first, for as long as `patience`, if it never was.
    #[cfg(any(feature = "health", feature = "inspect"))]
    pub(crate) async fn shards(self: &Arc<Self>, patience: Duration) -> Vec<Arc<Redis>> {
        if !self.map().is_known {
            let slots = tokio::time::timeout(patience, self.slots()).await;
            if let Ok(Some(slots)) = slots {
                self.learn(Some(&slots));
            }
        } else if self.map().is_due(tokio::time::Instant::now()) {
            self.read_map();
        }
        self.map().shards.clone()
    }

    /// Reads the map in the background, unless somebody does so already.
    fn read_map(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ticket) = self.reading.take()
        {
            let cluster = self.clone();
            runtime.spawn(async move {
                let slots = tokio::time::timeout(ATTEMPT, cluster.slots()).await;
                cluster.learn(slots.ok().flatten().as_deref());
                cluster.reading.give_back(&ticket);
            });
        }
    }

    /// The first and the last slot of each range, by master.
    async fn slots(&self) -> Option<Vec<Ranges>> {
        let mut connection = self.pool.get().await.ok()?;
        let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        let reply = connection.route_command(slots, any).await.ok()?;
        masters(reply)
    }

    fn learn(&self, masters: Option<&[Ranges]>) {
        let mut place = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let old = place.clone();
        let now = tokio::time::Instant::now();
        let Some(masters) = masters.filter(|masters| !masters.is_empty()) else {
            *place = Arc::new(Map {
                shards: old.shards.clone(),
                of_slot: old.of_slot.clone(),
                read: Some(now),
                is_known: old.is_known,
                retired: old.retired,
            });
            return;
        };
        let mut of_slot = vec![0; SLOTS];
        let mut shards = Vec::with_capacity(masters.len());
        for (number, (ranges, master)) in masters.iter().enumerate() {
            let new = Shard {
                slot: ranges.first().map_or(0, |(first, _)| *first),
                master: master.clone(),
            };
            // A new master is another server, of which nothing is known yet.
            let mut known = old.shards.iter();
            let same = known.find(|shard| shard.shard() == Some(&new)).cloned();
            shards.push(same.unwrap_or_else(|| shard(&self.pool, new, self.lanes, self.scripts)));
            for (first, last) in ranges {
                let slots = usize::from(*first)..=usize::from(*last).min(SLOTS - 1);
                // A range that no cluster has is no reason to panic.
                if let Some(slots) = of_slot.get_mut(slots) {
                    slots.fill(u16::try_from(number).unwrap_or(0));
                }
            }
        }
        let is_kept = |shard: &&Arc<Redis>| shards.iter().any(|kept| Arc::ptr_eq(kept, shard));
        let gone = old.shards.iter().filter(|shard| !is_kept(shard));
        *place = Arc::new(Map {
            retired: old.retired + gone.map(|shard| shard.connections_epoch() + 1).sum::<u64>(),
            shards,
            of_slot: of_slot.into(),
            read: Some(now),
            is_known: true,
        });
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("shards", &self.map().shards)
            .finish_non_exhaustive()
    }
}

fn shard(pool: &Pool, shard: Shard, lanes: usize, scripts: Scripts) -> Arc<Redis> {
    let (pool, shard) = (pool.clone(), Arc::new(shard));
    Redis::new(Source::Cluster { pool, shard }, lanes, scripts)
}

/// The slots of one master, and where it listens if the cluster says so.
type Ranges = (Vec<(u16, u16)>, Option<(String, u16)>);

/// Reads the reply to `CLUSTER SLOTS`, in the order of the slots.
fn masters(reply: Value) -> Option<Vec<Ranges>> {
    let Value::Array(ranges) = reply else {
        return None;
    };
    let mut masters: Vec<(Value, Ranges)> = Vec::new();
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    for range in ranges {
        let Value::Array(range) = range else {
            return None;
        };
        let [first, last, Value::Array(master), ..] = &range[..] else {
            return None;
        };
        let range = (number(first)?, number(last)?);
        let [host, port, id, ..] = &master[..] else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok(),
            _ => None,
        };
        let address = host.filter(|host| !host.is_empty()).zip(number(port));
        match masters.iter_mut().find(|(other, _)| other == id) {
            Some((_, (ranges, _))) => ranges.push(range),
            None => masters.push((id.clone(), (vec![range], address))),
        }
    }
    let mut masters: Vec<Ranges> = masters.into_iter().map(|(_, master)| master).collect();
    masters
        .iter_mut()
        .for_each(|(ranges, _)| ranges.sort_unstable());
    masters.sort_unstable();
    Some(masters)
}
