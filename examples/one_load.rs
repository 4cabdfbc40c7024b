//! One load over several processes: start it twice on one Redis and give both the same ids.
//!
//! ```text
//! cargo run --example one_load -- --redis-url redis://127.0.0.1
//! ```
//!
//! It reads ids from its standard input, a line each, and asks for each of them from many tasks at
//! once. Whoever has to load a value says so.
#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

use std::{
    io::{BufRead as _, Write as _},
    time::Duration,
};

use clap::Parser;
use tokio::task::JoinSet;
use tower_keep::{
    StoreConfig,
    key_value::{KeyValue, LIST_TTL},
};

/// One load over several processes.
#[derive(Debug, Parser)]
struct Flags {
    /// Where the values are kept
    #[arg(long, env = "REDIS_URL", default_value = "memory")]
    redis_url: String,
    /// How many tasks ask for each id
    #[arg(long, default_value_t = 100)]
    tasks: usize,
    /// How long a load takes, in milliseconds
    #[arg(long, default_value_t = 200)]
    load_ms: u64,
    /// How long a call to the store may take, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    store_timeout_ms: u64,
    /// A tag for all values
    #[arg(long)]
    tag: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("a load fails in this example by no means")]
struct Impossible;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse();
    let store = StoreConfig::from_url(&flags.redis_url)?
        .with_deadline(Duration::from_millis(flags.store_timeout_ms))
        .build()?;
    store.ping().await?;
    let values = KeyValue::new(store, "one_load")?;
    let (sender, mut ids) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        lines
            .map_while(Result::ok)
            .try_for_each(|id| sender.send(id))
    });
    say("ready");
    while let Some(id) = ids.recv().await {
        let mut tasks = JoinSet::new();
        for _ in 0..flags.tasks {
            let load = load(id.clone(), Duration::from_millis(flags.load_ms));
            let (values, id, tag) = (values.clone(), id.clone(), flags.tag.clone());
            tasks.spawn(async move {
                let entry = values.entry(id).ttl(LIST_TTL).tags(tag);
                entry.or_load(|| load).await
            });
        }
        for value in tasks.join_all().await {
            assert_eq!(value?, format!("the value of {id}"));
        }
        say(&format!("done {id}"));
    }
    Ok(())
}

async fn load(id: String, time: Duration) -> Result<String, Impossible> {
    say(&format!("loading {id}"));
    tokio::time::sleep(time).await;
    Ok(format!("the value of {id}"))
}

/// A line at once, whatever reads it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening any more.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
