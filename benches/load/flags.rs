//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::subjects::{SUBJECTS, Subject};

/// Load on whole servers: the layers beside their peers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Flags {
    /// Only the tables of these names
    tables: Vec<String>,

    /// Measurements of each server
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Milliseconds of a measurement, after a fifth of it to warm up
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,

    /// Connections to the server, each with one request at a time and a client and session of its own
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,

    /// Leave the cores to the system, and give each server a worker for each of them
    #[arg(long)]
    pub(crate) unpinned: bool,

    /// Measure our servers alone, and build no peers
    #[arg(long)]
    no_peers: bool,

    /// List the tables with their servers and end
    #[arg(long)]
    pub(crate) list: bool,

    /// Passed by `cargo bench`; without it (`cargo test --benches`) everything runs once, briefly and
    /// without peers
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be one server
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    pub(crate) server: String,
    pub(crate) redis_url: String,
    pub(crate) workers: usize,
}

impl Flags {
    /// The tables that were asked for; an error for a name that none has.
    pub(crate) fn subjects(&self) -> Result<Vec<&'static Subject>, String> {
        if self.tables.is_empty() {
            return Ok(SUBJECTS.iter().collect());
        }
        let named = |name: &String| {
            let found = SUBJECTS.iter().find(|subject| subject.name == name);
            found.ok_or_else(|| {
                let names: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
                format!("there is no table {name:?}; there are {}", names.join(", "))
            })
        };
        self.tables.iter().map(named).collect()
    }

    pub(crate) fn peers(&self) -> bool {
        self.bench && !self.no_peers
    }

    pub(crate) fn rounds(&self) -> u32 {
        if self.bench { self.rounds } else { 1 }
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(if self.bench { self.millis } else { 20 })
    }
}
