//! The Redis of the run, and what it counts.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use deadpool_redis::redis::{Client, Connection, InfoDict, cmd};
use tempfile::TempDir;

use crate::{BoxError, process::Process};

/// How long the server may take to answer its first command.
const PATIENCE: Duration = Duration::from_secs(10);

/// A `redis-server` on a free port that keeps nothing on disk.
pub(crate) struct Redis {
    pub(crate) process: Process,
    pub(crate) url: String,
    connection: Connection,
    // Dropped after the process.
    _dir: TempDir,
}

/// Redis' counters at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    calls: BTreeMap<String, Calls>,
    reads: u64,
}

/// Of one command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    pub(crate) calls: u64,
    /// What they took, by Redis' own measure.
    pub(crate) micros: u64,
}

impl Redis {
    pub(crate) fn start() -> Result<Self, BoxError> {
        let dir = tempfile::tempdir()?;
        // Free now; should somebody else be faster, the process ids below differ.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut process = Process::spawn(
            Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null()),
        )?;
        let url = format!("redis://127.0.0.1:{port}");
        let client = Client::open(&*url)?;
        let started = Instant::now();
        loop {
            if let Ok(mut connection) = client.get_connection()
                && info(&mut connection, "server")?.get("process_id") == Some(process.id())
            {
                return Ok(Self {
                    process,
                    url,
                    connection,
                    _dir: dir,
                });
            }
            if process.has_ended() || started.elapsed() > PATIENCE {
                return Err("redis-server does not start".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn version(&mut self) -> Result<String, BoxError> {
        let version = info(&mut self.connection, "server")?.get("redis_version");
        Ok(version.unwrap_or_default())
    }

    pub(crate) fn counters(&mut self) -> Result<Counters, BoxError> {
        let stats = info(&mut self.connection, "all")?;
        let reads = stats.get("total_reads_processed");
        let text: String = cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection)?;
        let calls = text.lines().filter_map(|line| {
            let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let mut stats = stats.split(',').map_while(|stat| stat.split_once('='));
            let mut next = |wanted| {
                let (name, value) = stats.next()?;
                (name == wanted).then(|| value.parse().ok())?
            };
            let calls = Calls {
                calls: next("calls")?,
                micros: next("usec")?,
            };
            Some((name.to_owned(), calls))
        });
        Ok(Counters {
            calls: calls.filter(|(name, _)| name != "info").collect(),
            // Redis counts the reads of the two INFO too.
            reads: reads.ok_or("this Redis counts no reads: it is older than 6")?,
        })
    }
}

fn info(connection: &mut Connection, section: &str) -> Result<InfoDict, BoxError> {
    Ok(cmd("INFO").arg(section).query(connection)?)
}

impl Counters {
    /// The calls of each command since `earlier`.
    pub(crate) fn calls_since(&self, earlier: &Self) -> BTreeMap<String, Calls> {
        let since = |(name, now): (&String, &Calls)| {
            let before = earlier.calls.get(name).copied().unwrap_or_default();
            let calls = Calls {
                calls: now.calls - before.calls,
                micros: now.micros - before.micros,
            };
            (name.clone(), calls)
        };
        let calls = self.calls.iter().map(since);
        calls.filter(|(_, calls)| calls.calls > 0).collect()
    }

    /// How often Redis has read from its connections since `earlier`: as often as there were
    /// round trips while there is but one request at a time.
    pub(crate) fn reads_since(&self, earlier: &Self) -> u64 {
        // Less the two reads for INFO, the second of `earlier` and the first of `self`.
        (self.reads - earlier.reads).saturating_sub(2)
    }
}
