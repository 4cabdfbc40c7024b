//! Load on whole servers: the layers against what one would write by hand, in the same run.
//!
//! ```text
//! cargo bench --bench load                       # everything, about three minutes
//! cargo bench --bench load -- limit              # the contenders whose names hold `limit`
//! cargo bench --bench load -- limit --rounds 50  # steadier medians on a busy machine
//! cargo bench --bench load -- --help
//! ```
//!
//! It needs Linux (CPU times are read from `/proc`) and `redis-server` on the `PATH`, starts one
//! Redis and one server process a contender on loopback, and stops them all. The machine is
//! shared by the load, the server and Redis, so compare contenders, not numbers of other runs.
//!
//! Contenders are `work/way`. The work is `limit` (one policy), `session` (a cookie is sent, the
//! session is read), `cache` (a hit of 1 KiB) or `all` three. The ways:
//!
//! - `naive`: `pool.get()` and the commands for each step, by hand;
//! - `shared`: the same commands by hand on clones of one shared `MultiplexedConnection`;
//! - `ours`: the layers, on a pool that is set up like that of `naive`;
//! - `ours-memory`: the layers on embedded memory.
//!
//! The limiters by hand run the layer's own script, so that Redis has equal work; `bare` is the
//! same server without any of it. All answer the same page from hyper without a router.
//!
//! How to read it: every round measures each contender once, in turn, and a number is the median
//! of the rounds. `server` and `Redis` are the CPU times of these processes for one request;
//! trips and commands are counted on single requests, one after the other (the commands that a
//! script calls count too); `+` marks a server that asked Redis less often under load. Ratios are
//! taken within each round, so that a noisy neighbour hits both sides: median, and smallest to
//! largest. Targets: `limit/ours` has at least 1.8 times the requests/s of `limit/naive`, and
//! takes at most 1.2 times the server CPU of `limit/shared`.

#[path = "load/by_hand.rs"]
mod by_hand;
#[path = "load/client.rs"]
mod client;
#[path = "load/contender.rs"]
mod contender;
#[path = "load/flags.rs"]
mod flags;
#[path = "load/layers.rs"]
mod layers;
#[path = "load/measure.rs"]
mod measure;
#[path = "load/page.rs"]
mod page;
#[path = "load/process.rs"]
mod process;
#[path = "load/redis.rs"]
mod redis;
#[path = "load/report.rs"]
mod report;
#[path = "load/server.rs"]
mod server;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use flags::{Command, Flags};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), BoxError> {
    let flags = Flags::parse();
    match &flags.command {
        Some(Command::Serve(serve)) => server::run(serve),
        None => {
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
    }
}
