//! What a value costs to read, beside a `GET` that is written by hand.
//!
//! ```text
//! cargo bench --bench key_value
//! ```
//!
//! Both sides share a connection among all tasks, on one thread, and read the same JSON into the same
//! type. They take turns; the medians of all rounds are compared. The run starts a Redis of its own.
#![allow(clippy::print_stdout, reason = "its output is the result")]

use std::{
    convert::Infallible,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use deadpool_redis::redis::{AsyncCommands as _, Client, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tower_keep::{
    StoreConfig,
    key_value::{KeyValue, USER_DATA_TTL},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many tasks read at a time.
const TASKS: usize = 64;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    email: String,
    roles: Vec<String>,
}

/// Ways to read the user.
#[derive(Clone)]
enum Contender {
    ByHand(MultiplexedConnection),
    Get(KeyValue),
    GetOrLoad(KeyValue),
}

impl Contender {
    async fn read(&mut self) -> Result<User, BoxError> {
        match self {
            Self::ByHand(connection) => {
                let json: Vec<u8> = connection.get("by_hand:42").await?;
                Ok(serde_json::from_slice(&json)?)
            }
            Self::Get(users) => Ok(users.get(42).await?.ok_or("no value")?),
            Self::GetOrLoad(users) => {
                let never = || async { Ok::<User, Infallible>(unreachable()) };
                Ok(users.get_or_load(42, USER_DATA_TTL, never).await?)
            }
        }
    }
}

fn unreachable() -> User {
    panic!("the value is there")
}

fn main() -> Result<(), BoxError> {
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let user = User {
        id: 42,
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.org".to_owned(),
        roles: vec!["editor".to_owned(), "admin".to_owned()],
    };
    let contenders = runtime.block_on(async {
        let client = Client::open(&*server.url)?;
        let mut by_hand = client.get_multiplexed_async_connection().await?;
        let () = by_hand
            .set("by_hand:42", serde_json::to_vec(&user)?)
            .await?;
        let store = StoreConfig::from_url(&server.url)?
            .with_deadline(Duration::from_secs(1))
            .build()?;
        store.ping().await?;
        let users = KeyValue::new(store, "user")?;
        users.set(42, &user, USER_DATA_TTL).await?;
        Ok::<_, BoxError>([
            ("GET by hand", Contender::ByHand(by_hand)),
            ("get", Contender::Get(users.clone())),
            ("get_or_load, hit", Contender::GetOrLoad(users)),
        ])
    })?;
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for ((_, contender), times) in contenders.iter().zip(&mut times) {
            times.push(runtime.block_on(round(contender, &user))?);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("| {TASKS} tasks, one thread | µs a read | of by hand |");
    println!("|---|---|---|");
    for ((name, _), median) in contenders.iter().zip(medians) {
        println!("| {name} | {median:.2} | {:.3} |", median / medians[0]);
    }
    Ok(())
}

/// A Redis that keeps nothing on disk and ends with this value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Result<Self, BoxError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run redis-server: {error}"))?;
        let url = format!("redis://127.0.0.1:{port}");
        let server = Self { child, url };
        let started = Instant::now();
        while Client::open(&*server.url)?.get_connection().is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads for a while from all tasks; the microseconds that a read takes of the thread.
async fn round(contender: &Contender, expected: &User) -> Result<f64, BoxError> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (mut contender, expected) = (contender.clone(), expected.clone());
        tasks.spawn(async move {
            let mut reads = 0_u64;
            while started.elapsed() < ROUND {
                for _ in 0..16 {
                    if contender.read().await? != expected {
                        return Err("another user".into());
                    }
                    reads += 1;
                }
            }
            Ok::<_, BoxError>(reads)
        });
    }
    let mut reads = 0;
    for task in tasks.join_all().await {
        reads += task?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / reads as f64)
}
