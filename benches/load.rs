//! Load on whole servers: the layers beside what else one would use, in the same run.
//!
//! ```text
//! cargo bench --all-features --bench load                           # all tables, some three minutes
//! cargo bench --all-features --bench load -- limit session          # two of them
//! cargo bench --all-features --bench load -- limit --rounds 30      # steadier on a busy machine
//! cargo bench --all-features --bench load -- --help
//! ```
//!
//! It needs Linux (CPU times are read from `/proc`) and `redis-server` on the `PATH`. The first run
//! builds the peers, the package in `benches/peers`, which is none of the crate's dependencies. Per
//! table one Redis and one process a server are started on loopback, and stopped with it.
//!
//! All servers are the same axum router with the same pages of 1 KiB, built with the same settings;
//! `bare` has no layer. The servers whose second word is `redis` or `memory` are ours, on that store.
//! The peers are crates by their names, and the same work written by hand on one connection that all
//! requests share (`by-hand-shared`) or one out of the pool for each (`by-hand-pooled`).
//!
//! Where the system can pin, the server has a core to itself with one worker, and Redis and the load
//! share another. Each of the 64 connections is a client, and a session, of its own, and has one
//! request under way.
//!
//! How to read it: every round measures each server of a table once, in turn, and a number is the
//! median of the rounds; a ratio is taken within each round, so that a noisy neighbour hits both
//! sides, and is given with the smallest and the largest where it is a goal. The CPU times and the commands
//! are steady on a busy machine, requests per second and latencies are not. `server µs` and `Redis
//! µs` are the CPU times of these processes for one request, `script µs` is what Redis says that an
//! EVALSHA takes. Trips and commands are counted on single requests, one after the other (the commands
//! that a script calls count too); `+` marks a server that asked Redis less often under load.

#[path = "load/client.rs"]
mod client;
#[path = "load/cores.rs"]
mod cores;
#[path = "load/flags.rs"]
mod flags;
#[path = "load/measure.rs"]
mod measure;
#[path = "load/peers.rs"]
mod peers;
#[path = "load/process.rs"]
mod process;
#[path = "load/redis.rs"]
mod redis;
#[path = "load/report.rs"]
mod report;
#[path = "load/servers.rs"]
mod servers;
#[path = "load/site.rs"]
mod site;
#[path = "load/subjects.rs"]
mod subjects;

use axum::BoxError;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use flags::{Command, Flags, Serve};

fn main() -> Result<(), BoxError> {
    let flags = Flags::parse();
    if let Some(Command::Serve(serve)) = flags.command {
        let Serve {
            server,
            redis_url,
            workers,
        } = serve;
        return site::run(workers, async move {
            servers::router(&server, &redis_url).await
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // So that Redis is stopped too.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            done = measure::run(&flags) => done,
            _ = terminate.recv() => Err("stopped by SIGTERM".into()),
            _ = interrupt.recv() => Err("stopped by SIGINT".into()),
        }
    })
}
