//! The run: every server of a table once a round.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf, process::Command, time::Duration};

use crate::{
    BoxError,
    client::{self, Bounds, Connection},
    cores::Cores,
    flags::Flags,
    peers,
    process::ServerProcess,
    redis::{Calls, Redis},
    report,
    subjects::{SUBJECTS, Subject, has_sessions, is_peer},
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
    /// Microseconds of an EVALSHA, with the commands that it calls, by Redis' own measure.
    pub(crate) script: Option<f64>,
    /// Commands that Redis executed for a request.
    commands: f64,
}

/// A server and all that was measured of it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// Round trips to Redis for a single request.
    pub(crate) trips: f64,
    /// Commands of Redis for a single request.
    pub(crate) commands: BTreeMap<String, f64>,
    server: ServerProcess,
    connections: Vec<Connection>,
}

impl Measured {
    /// Whether Redis was asked less often under load: the server went without it at times, and
    /// its numbers tell less than they seem to.
    pub(crate) fn went_without_redis(&self) -> bool {
        let expected: f64 = self.commands.values().sum();
        let less = |sample: &Sample| sample.commands < expected * 0.99;
        // One that takes blocks of units asks when it has to.
        expected >= 1.0 && self.samples.iter().any(less)
    }
}

pub(crate) async fn run(flags: &Flags) -> Result<(), BoxError> {
    if flags.list {
        for subject in &SUBJECTS {
            let Subject { name, about, .. } = subject;
            writeln!(std::io::stdout(), "{name}: {about}")?;
            for server in subject.servers {
                writeln!(std::io::stdout(), "    {server}")?;
            }
        }
        return Ok(());
    }
    let subjects = flags.subjects()?;
    let peers = match flags.peers().then(peers::build) {
        Some(Ok(program)) => Some(program),
        Some(Err(error)) => {
            writeln!(std::io::stderr(), "without peers: {error}")?;
            None
        }
        None => None,
    };
    let cores = match flags.unpinned {
        true => None,
        false => match Cores::take() {
            Ok(cores) => Some(cores),
            Err(error) => {
                writeln!(std::io::stderr(), "nothing is pinned: {error}")?;
                None
            }
        },
    };
    let run = Run {
        flags,
        peers,
        cores,
    };
    for (number, subject) in subjects.into_iter().enumerate() {
        // One that no other table has left anything in.
        let mut redis = Redis::start()?;
        if number == 0 {
            report::heading(flags, cores, &redis.version()?)?;
        }
        let measured = run.subject(subject, &mut redis).await?;
        report::table(subject, &measured)?;
    }
    Ok(())
}

struct Run<'a> {
    flags: &'a Flags,
    peers: Option<PathBuf>,
    cores: Option<Cores>,
}

impl Run<'_> {
    async fn subject(
        &self,
        subject: &Subject,
        redis: &mut Redis,
    ) -> Result<Vec<Measured>, BoxError> {
        let mut all = Vec::new();
        for name in subject.servers {
            if self.peers.is_some() || !is_peer(name) {
                all.push(self.start(name, subject.path, redis).await?);
            }
        }
        for round in 0..self.flags.rounds() {
            // There and back, so that nobody is always measured after the same one.
            let order: Box<dyn Iterator<Item = &mut Measured>> = match round % 2 {
                0 => Box::new(all.iter_mut()),
                _ => Box::new(all.iter_mut().rev()),
            };
            for measured in order {
                let sample = self.measure(measured, redis).await?;
                measured.samples.push(sample);
            }
        }
        Ok(all)
    }

    async fn start(
        &self,
        name: &'static str,
        path: &str,
        redis: &mut Redis,
    ) -> Result<Measured, BoxError> {
        let command = match &self.peers {
            Some(program) if is_peer(name) => {
                let mut command = Command::new(program);
                command.arg(name);
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["serve", name]);
                command
            }
        };
        let server = ServerProcess::start(command, &redis.url, self.cores)?;
        let mut connections = Vec::new();
        for number in 0..self.flags.connections {
            let sessions = has_sessions(name);
            connections.push(Connection::open(server.addr, number, path, sessions).await?);
        }
        let probes = Bounds {
            duration: Duration::from_secs(10),
            requests: PROBES as usize,
        };
        // The first ones connect to Redis, load scripts and fill the cache; and a session is not
        // confirmed before it came back.
        connections = client::load(connections, probes).await?.connections;
        let others = connections.split_off(1);
        let before = redis.counters()?;
        let probed = client::load(connections, probes).await?;
        let after = redis.counters()?;
        let each = |count: u64| count as f64 / PROBES as f64;
        let commands = after.calls_since(&before).into_iter();
        Ok(Measured {
            name,
            samples: Vec::new(),
            trips: each(after.reads_since(&before)),
            commands: commands
                .map(|(name, Calls { calls, .. })| (name, each(calls)))
                .collect(),
            server,
            connections: probed.connections.into_iter().chain(others).collect(),
        })
    }

    async fn measure(
        &self,
        measured: &mut Measured,
        redis: &mut Redis,
    ) -> Result<Sample, BoxError> {
        let of = |duration| Bounds {
            duration,
            requests: usize::MAX,
        };
        let connections = std::mem::take(&mut measured.connections);
        let warm = client::load(connections, of(self.flags.duration() / 5)).await?;

        let server = &measured.server.process;
        let counters = redis.counters()?;
        let cpu = (server.cpu_time()?, redis.process.cpu_time()?);
        let answered = client::load(warm.connections, of(self.flags.duration())).await?;
        let cpu = (
            server.cpu_time()? - cpu.0,
            redis.process.cpu_time()? - cpu.1,
        );
        let calls = redis.counters()?.calls_since(&counters);

        measured.connections = answered.connections;
        let mut latencies = answered.latencies;
        latencies.sort_unstable();
        if latencies.is_empty() {
            return Err("no request was answered in time".into());
        }
        let count = latencies.len() as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
        let script = calls.get("evalsha");
        Ok(Sample {
            requests_per_second: count / answered.elapsed.as_secs_f64(),
            p50: latencies[latencies.len() / 2],
            p99: latencies[latencies.len() * 99 / 100],
            server_cpu: micros(cpu.0),
            redis_cpu: micros(cpu.1),
            script: script.map(|script| script.micros as f64 / script.calls as f64),
            commands: calls.values().map(|calls| calls.calls).sum::<u64>() as f64 / count,
        })
    }
}
