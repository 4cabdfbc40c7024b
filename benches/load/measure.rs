//! The run: every contender once a round, and what came of it.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    BoxError,
    client::{self, Bounds, Connection},
    contender::Contender,
    flags::Flags,
    process::ServerProcess,
    redis::Redis,
    report,
};

/// Requests by which trips and commands are counted.
const PROBES: u64 = 100;

/// One measurement.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Microseconds of CPU a request.
    pub(crate) server_cpu: f64,
    pub(crate) redis_cpu: f64,
    /// Commands that Redis executed for a request.
    commands: f64,
}

/// A contender's server and all that was measured of it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) contender: Contender,
    pub(crate) samples: Vec<Sample>,
    /// Round trips to Redis for a single request.
    pub(crate) trips: f64,
    /// Commands of Redis for a single request.
    pub(crate) commands: BTreeMap<String, f64>,
    server: ServerProcess,
    request: Arc<str>,
}

impl Measured {
    /// Whether Redis was asked less often under load: the server went without it at times, and
    /// its numbers tell less than they seem to.
    pub(crate) fn went_without_redis(&self) -> bool {
        let expected: f64 = self.commands.values().sum();
        let less = |sample: &Sample| sample.commands < expected * 0.99;
        self.samples.iter().any(less)
    }
}

pub(crate) async fn run(flags: &Flags) -> Result<(), BoxError> {
    let contenders = flags.contenders();
    if flags.list || contenders.is_empty() {
        let names = if flags.list {
            contenders
        } else {
            Contender::ALL.to_vec()
        };
        for contender in &names {
            writeln!(std::io::stdout(), "{contender}")?;
        }
        return match flags.list {
            true => Ok(()),
            false => Err("no contender's name contains that; above are all".into()),
        };
    }
    let mut redis = Redis::start()?;
    let mut measured = Vec::new();
    for contender in contenders {
        measured.push(start(contender, &mut redis, flags).await?);
    }
    let started = Instant::now();
    for round in 0..flags.rounds() {
        for measured in &mut measured {
            let sample = measure(measured, &mut redis, flags).await?;
            measured.samples.push(sample);
        }
        let (round, rounds) = (round + 1, flags.rounds());
        let seconds = started.elapsed().as_secs();
        writeln!(
            std::io::stderr(),
            "round {round} of {rounds}, {seconds} s so far"
        )?;
    }
    report::print(flags, &redis.version()?, &measured)?;
    Ok(())
}

async fn start(
    contender: Contender,
    redis: &mut Redis,
    flags: &Flags,
) -> Result<Measured, BoxError> {
    let server = ServerProcess::start(contender, &redis.url, &flags.server)?;
    let request = client::request_for(server.addr, contender.work.reads_session()).await?;
    let request: Arc<str> = request.into();
    let one_at_a_time = Bounds {
        duration: Duration::from_secs(10),
        requests: PROBES as usize,
    };
    // The first ones connect to Redis, load scripts and fill the cache.
    let probe = vec![Connection::open(server.addr).await?];
    let probe = client::load(probe, &request, one_at_a_time).await?;
    let before = redis.counters()?;
    client::load(probe.connections, &request, one_at_a_time).await?;
    let after = redis.counters()?;
    let each = |count: u64| count as f64 / PROBES as f64;
    let commands = after.commands_since(&before).into_iter();
    Ok(Measured {
        contender,
        samples: Vec::new(),
        trips: each(after.reads_since(&before)),
        commands: commands.map(|(name, calls)| (name, each(calls))).collect(),
        server,
        request,
    })
}

async fn measure(
    measured: &Measured,
    redis: &mut Redis,
    flags: &Flags,
) -> Result<Sample, BoxError> {
    let bounds = Bounds {
        duration: flags.duration(),
        requests: flags.max_requests,
    };
    let warm_up = Bounds {
        duration: bounds.duration / 5,
        requests: bounds.requests / 5,
    };
    let mut connections = Vec::new();
    for _ in 0..flags.connections {
        connections.push(Connection::open(measured.server.addr).await?);
    }
    let warm = client::load(connections, &measured.request, warm_up).await?;

    let server = &measured.server.process;
    let counters = redis.counters()?;
    let cpu = (server.cpu_time()?, redis.process.cpu_time()?);
    let answered = client::load(warm.connections, &measured.request, bounds).await?;
    let cpu = (
        server.cpu_time()? - cpu.0,
        redis.process.cpu_time()? - cpu.1,
    );
    let commands = redis.counters()?.commands_since(&counters);

    let mut latencies = answered.latencies;
    latencies.sort_unstable();
    if latencies.is_empty() {
        return Err("no request was answered in time".into());
    }
    let count = latencies.len() as f64;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
    Ok(Sample {
        requests_per_second: count / answered.elapsed.as_secs_f64(),
        p50: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
        server_cpu: micros(cpu.0),
        redis_cpu: micros(cpu.1),
        commands: commands.values().sum::<u64>() as f64 / count,
    })
}
