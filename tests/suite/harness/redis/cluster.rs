//! A real Redis Cluster: three masters with a replica each, on loopback.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use deadpool_redis::redis::Value;

use super::{RedisConfig, RedisServer};

/// Slots of a cluster; what is in none of them does not exist.
const SLOTS: u16 = 16_384;
const MASTERS: usize = 3;
/// How long the nodes may take to agree, and a replica to take over.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Six nodes. The first three were made masters, node `n + 3` the replica of node `n`; a failover
/// changes the roles, not the numbers.
pub(crate) struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and waits until all of them say that the cluster is well.
    pub(crate) fn start() -> Self {
        Self::start_with(RedisConfig::default())
    }

    /// As [`start`](Self::start), each node with these settings.
    pub(crate) fn start_with(config: RedisConfig) -> Self {
        let node = || config.clone().cluster_node().start();
        let nodes: Vec<_> = (0..2 * MASTERS).map(|_| node()).collect();
        let cluster = Self { nodes };
        cluster.join();
        cluster
    }

    fn join(&self) {
        let ids: Vec<String> = (self.nodes.iter())
            .map(|node| node.query(&["CLUSTER", "MYID"]))
            .collect();
        // Different epochs from the start, so that nothing has to be settled by an election.
        for (n, node) in self.nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for (n, node) in self.nodes[..MASTERS].iter().enumerate() {
            let (from, to) = slots_of(n);
            let (from, to) = (from.to_string(), (to - 1).to_string());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &from, &to]);
        }
        for other in &self.nodes[1..] {
            let port = other.group_port().to_string();
            let bus = other.bus_port().to_string();
            self.nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        self.eventually("every node knows every other", |node| {
            let known: String = node.query(&["CLUSTER", "NODES"]);
            ids.iter().all(|id| known.contains(id.as_str())) && !known.contains("handshake")
        });
        for (n, node) in self.nodes[MASTERS..].iter().enumerate() {
            node.command(&["CLUSTER", "REPLICATE", &ids[n]]);
        }
        self.eventually("the cluster is well", |node| {
            let info: String = node.query(&["CLUSTER", "INFO"]);
            let known: String = node.query(&["CLUSTER", "NODES"]);
            let replicas = known.lines().filter(|line| line.contains("slave")).count();
            info.contains("cluster_state:ok") && replicas == MASTERS
        });
        self.eventually("replicas are in step", |node| {
            let role: String = node.query(&["INFO", "replication"]);
            role.contains("role:master") || role.contains("master_link_status:up")
        });
    }

    /// The URL that names the first three nodes, credentials included.
    pub(crate) fn url(&self) -> String {
        let first = self.nodes[0].url();
        let (scheme, rest) = first.split_once("://").expect("it is a URL");
        let (credentials, _) = (rest.rsplit_once('@'))
            .map_or((String::new(), ""), |(user, rest)| {
                (format!("{user}@"), rest)
            });
        let hosts: Vec<_> = (self.nodes[..MASTERS].iter())
            .map(|node| node.user_addr().to_string())
            .collect();
        format!("{scheme}+cluster://{credentials}{}", hosts.join(","))
    }

    /// Takes no node for dead on a busy machine: for tests in which all are well.
    pub(super) fn be_patient(&self) {
        self.set_node_timeout(Duration::from_secs(30));
    }

    /// How long a node may be silent until the others take it for dead.
    pub(crate) fn set_node_timeout(&self, timeout: Duration) {
        let millis = timeout.as_millis().to_string();
        for node in &self.nodes {
            node.command(&["CONFIG", "SET", "cluster-node-timeout", &millis]);
        }
    }

    /// All nodes, by number.
    pub(crate) fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The nodes that were made masters.
    pub(super) fn first_masters(&self) -> &[RedisServer] {
        &self.nodes[..MASTERS]
    }

    /// The slot of a key, as the cluster counts it.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        self.nodes[0].query(&["CLUSTER", "KEYSLOT", key])
    }

    /// The number of the node that was made the master of `slot`.
    pub(crate) fn first_master_of(&self, slot: u16) -> usize {
        (0..MASTERS)
            .find(|&n| (slots_of(n).0..slots_of(n).1).contains(&slot))
            .expect("every slot has a master")
    }

    /// The numbers of the nodes that are masters now, by their own word.
    pub(crate) fn masters(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&n| self.is_master(n))
            .collect()
    }

    fn is_master(&self, number: usize) -> bool {
        self.nodes[number]
            .try_query::<String>(&["INFO", "replication"])
            .is_ok_and(|info| info.contains("role:master"))
    }

    /// Lets the replica of the master `number`, which is alive, take its place.
    pub(crate) fn hand_over(&self, number: usize) {
        self.nodes[number + MASTERS].command(&["CLUSTER", "FAILOVER"]);
        let end = Instant::now() + PATIENCE;
        while !self.is_master(number + MASTERS) || self.is_master(number) {
            assert!(Instant::now() < end, "the replica does not take over");
            std::thread::sleep(POLL);
        }
    }

    pub(super) fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    pub(crate) fn node_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// Kills the master `number` and waits until its replica has taken over.
    pub(crate) fn fail_over(&mut self, number: usize) {
        self.nodes[number].kill();
        let end = Instant::now() + PATIENCE;
        while !self.is_master(number + MASTERS) {
            assert!(Instant::now() < end, "the replica does not take over");
            std::thread::sleep(POLL);
        }
    }

    /// Lets keys of `slot` that are new come about on another master.
    pub(crate) fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let id = |n: usize| -> String { self.nodes[n].query(&["CLUSTER", "MYID"]) };
        let slot = slot.to_string();
        self.nodes[to].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        self.nodes[from].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    }

    /// Moves `slot` and its keys to another master, key by key as `redis-cli --cluster reshard`
    /// does, so that clients meet ASK on the way and MOVED after it.
    pub(crate) fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.begin_move(slot, from, to);
        let target: String = self.nodes[to].query(&["CLUSTER", "MYID"]);
        let slot = slot.to_string();
        let port = self.nodes[to].group_port().to_string();
        loop {
            let keys: Vec<String> =
                self.nodes[from].query(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]);
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"];
                if let Some(password) = self.nodes[to].password() {
                    migrate.extend(["AUTH", password]);
                }
                self.nodes[from].command(&migrate);
            }
        }
        for node in [to, from] {
            self.nodes[node].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
        let number = slot.parse().expect("it is the slot's number");
        self.eventually("every node knows the slot's new place", |node| {
            let ranges: Vec<Value> = node.query(&["CLUSTER", "SLOTS"]);
            ranges.iter().any(|range| is_of(range, number, &target))
        });
    }

    /// The names of the keys of all masters, sorted.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let masters = self.masters();
        let keys: BTreeSet<_> = (masters.iter())
            .flat_map(|&n| self.nodes[n].keys(pattern))
            .collect();
        keys.into_iter().collect()
    }

    fn eventually(&self, what: &str, ask: impl Fn(&RedisServer) -> bool) {
        let end = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while !ask(node) {
                assert!(Instant::now() < end, "in vain: {what}");
                std::thread::sleep(POLL);
            }
        }
    }
}

/// Whether a range of `CLUSTER SLOTS` has `slot` and its master is `id`.
fn is_of(range: &Value, slot: i64, id: &str) -> bool {
    let Value::Array(range) = range else {
        return false;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = &range[..]
    else {
        return false;
    };
    let is_id = |value: &Value| matches!(value, Value::BulkString(text) if text == id.as_bytes());
    (*first..=*last).contains(&slot) && master.get(2).is_some_and(is_id)
}

/// The slots of the master `number`: the first, and the one behind the last.
fn slots_of(number: usize) -> (u16, u16) {
    let edge = |n: usize| u16::try_from(n * usize::from(SLOTS) / MASTERS).unwrap_or(SLOTS);
    (edge(number), edge(number + 1))
}
