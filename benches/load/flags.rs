//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::contender::Contender;

/// Load on whole servers: the layers against what one would write by hand.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Flags {
    /// Only contenders whose names contain one of these
    filters: Vec<String>,

    /// Measurements of each contender
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Milliseconds of a measurement, after a fifth of it to warm up
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,

    /// Requests of a measurement, at most
    #[arg(long, default_value_t = 200_000)]
    pub(crate) max_requests: usize,

    /// Connections to the server, each with one request at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,

    #[command(flatten)]
    pub(crate) server: ServerFlags,

    /// List the contenders and end
    #[arg(long)]
    pub(crate) list: bool,

    /// Passed by `cargo bench`; without it (`cargo test --benches`) everything runs once, briefly
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be the server of one contender
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    pub(crate) contender: Contender,
    pub(crate) redis_url: String,
    #[command(flatten)]
    pub(crate) flags: ServerFlags,
}

/// How each server is set up.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerFlags {
    /// Worker threads of each server [default: as many as cores]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: Option<u32>,

    /// Connections of each server's pool [default: deadpool's, two a core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) pool_size: Option<u32>,
}

impl ServerFlags {
    /// As arguments of the `serve` command.
    pub(crate) fn args(&self) -> Vec<String> {
        let workers = self.workers.map(|n| format!("--workers={n}"));
        let pool_size = self.pool_size.map(|n| format!("--pool-size={n}"));
        workers.into_iter().chain(pool_size).collect()
    }
}

impl Flags {
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        Contender::ALL
            .into_iter()
            .filter(|contender| {
                let name = contender.to_string();
                self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
            })
            .collect()
    }

    pub(crate) fn rounds(&self) -> u32 {
        if self.bench { self.rounds } else { 1 }
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(if self.bench { self.millis } else { 20 })
    }
}
