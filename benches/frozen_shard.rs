//! What a frozen shard of a cluster costs the keys of the others.
//!
//! ```text
//! cargo bench --all-features --bench frozen_shard
//! ```
//!
//! Starts three masters of its own. Tasks read keys of two of them, others one of the third, which
//! is frozen every other round. Compared are the 99th percentiles of the first two.
#![allow(clippy::print_stdout, reason = "its output is the result")]

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use deadpool_redis::redis::{Client, Connection, cmd};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tower_keep::{StoreConfig, key_value::KeyValue};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many tasks read keys of a shard at a time.
const TASKS: usize = 8;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(1_500);
const HOUR: Duration = Duration::from_secs(3600);
const SLOTS: u16 = 16_384;

struct Node {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Node {
    fn start() -> Result<Self, BoxError> {
        let port = || TcpListener::bind("127.0.0.1:0")?.local_addr();
        let (port, bus) = (port()?.port(), port()?.port());
        let dir = tempfile::tempdir()?;
        let program = std::env::var_os("TEST_REDIS_SERVER");
        let process = Command::new(program.unwrap_or_else(|| "redis-server".into()))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--cluster-enabled", "yes"])
            .args(["--cluster-port", &bus.to_string()])
            // Nobody is taken for dead.
            .args(["--cluster-node-timeout", "600000"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()?;
        let node = Self {
            process,
            port,
            _dir: dir,
        };
        let end = Instant::now() + Duration::from_secs(10);
        while node.connection().is_err() {
            if Instant::now() > end {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(node)
    }

    fn connection(&self) -> Result<Connection, BoxError> {
        Ok(Client::open(format!("redis://127.0.0.1:{}", self.port))?.get_connection()?)
    }

    fn signal(&self, signal: Signal) -> Result<(), BoxError> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Three masters that know each other and share the slots.
fn cluster() -> Result<Vec<Node>, BoxError> {
    let nodes = [Node::start()?, Node::start()?, Node::start()?];
    for (number, node) in (0..).zip(&nodes) {
        let mut connection = node.connection()?;
        let edge = |number: u32| number * u32::from(SLOTS) / 3;
        cmd("CLUSTER")
            .arg("SET-CONFIG-EPOCH")
            .arg(number + 1)
            .exec(&mut connection)?;
        cmd("CLUSTER")
            .arg("ADDSLOTSRANGE")
            .arg(edge(number))
            .arg(edge(number + 1) - 1)
            .exec(&mut connection)?;
        let bus: Vec<String> = cmd("CONFIG")
            .arg("GET")
            .arg("cluster-port")
            .query(&mut connection)?;
        cmd("CLUSTER")
            .arg("MEET")
            .arg("127.0.0.1")
            .arg(node.port)
            .arg(&bus[1])
            .exec(&mut nodes[0].connection()?)?;
    }
    for node in &nodes {
        let mut connection = node.connection()?;
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let info: String = cmd("CLUSTER").arg("INFO").query(&mut connection)?;
            if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                break;
            }
            if Instant::now() > end {
                return Err("the cluster does not come about".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(nodes.into())
}

/// A key of each master, by their number.
fn keys(nodes: &[Node]) -> Result<[u64; 3], BoxError> {
    let mut connection = nodes[0].connection()?;
    let mut found = [None; 3];
    for id in 0.. {
        let key = format!("keep:user:{id}");
        let slot: u32 = cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(key)
            .query(&mut connection)?;
        // The last slot of each is not the first of the next.
        let master = (slot * 3 / u32::from(SLOTS)).min(2);
        found[master as usize].get_or_insert(id);
        if let [Some(one), Some(two), Some(three)] = found {
            return Ok([one, two, three]);
        }
    }
    Err("there are no keys left".into())
}

/// Reads for a round and answers how long each read took.
async fn round(users: &KeyValue, id: u64) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let users = users.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            let end = Instant::now() + ROUND;
            while Instant::now() < end {
                let begun = Instant::now();
                let _ = users.get::<String>(id).await;
                times.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            times
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// The 99th percentile of the shards that are well.
async fn p99(users: &KeyValue, [third, one, other]: [u64; 3]) -> Duration {
    let (_, mut times, more) =
        tokio::join!(round(users, third), round(users, one), round(users, other));
    times.extend(more);
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let nodes = cluster()?;
    let hosts: Vec<_> = (nodes.iter())
        .map(|node| format!("127.0.0.1:{}", node.port))
        .collect();
    let url = format!("redis+cluster://{}", hosts.join(","));
    let store = StoreConfig::from_url(&url)?.build()?;
    let users = KeyValue::new(store.clone(), "user")?;
    let keys = keys(&nodes)?;
    for id in keys {
        users.set(id, "ada", HOUR).await?;
    }
    p99(&users, keys).await;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let before = p99(&users, keys).await;
        nodes[0].signal(Signal::STOP)?;
        // The first reads of it wait out their deadline.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let frozen = p99(&users, keys).await;
        nodes[0].signal(Signal::CONT)?;
        while users.get::<String>(keys[0]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ratio = frozen.as_secs_f64() / before.as_secs_f64();
        println!("p99 before {before:>10.1?}   frozen {frozen:>10.1?}   ratio {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!("median of the ratios: {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}
