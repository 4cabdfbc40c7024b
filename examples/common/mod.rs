//! What the example servers share: their common flags, the ready line and a clean stop.

use std::{fmt, io::Write as _, net::SocketAddr, time::Duration};

use clap::{Args, Parser};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tower_keep::{Store, StoreConfig};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Flags that every example has.
#[derive(Debug, Args)]
pub struct Common {
    /// Address to listen on.
    #[arg(
        long,
        env = "LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDR"
    )]
    pub listen: SocketAddr,

    /// `memory`, redis://[user:password@]host[:port][/db], rediss://… (TLS), unix://PATH,
    /// redis+cluster://h:p,h:p or redis+sentinel://h:p,h:p/master; without it the environment
    /// (REDIS_URL or REDIS_HOST, …) decides, and without that it is embedded memory.
    // Judged later: clap's own message would show the value, and so a password in it.
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,

    /// Prefix of all keys.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Deadline of a store call in milliseconds.
    #[arg(long, value_name = "N", value_parser = millis)]
    store_timeout_ms: Option<Duration>,
}

/// A URL that may hold a password.
#[derive(Clone)]
struct StoreUrl(String);

impl std::str::FromStr for StoreUrl {
    type Err = std::convert::Infallible;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Ok(Self(url.to_owned()))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl")
    }
}

/// A duration in milliseconds, at least one.
fn millis(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err("expected a whole number of milliseconds, at least 1".to_owned()),
    }
}

impl Common {
    /// The store that the flags or the environment name.
    pub fn store(&self) -> Result<Store, String> {
        let mut config = match &self.store {
            Some(StoreUrl(url)) => {
                StoreConfig::from_url(url).map_err(|error| format!("--store: {error}"))?
            }
            None => StoreConfig::from_env().map_err(|error| error.to_string())?,
        };
        if let Some(namespace) = &self.namespace {
            config = config.with_namespace(namespace);
        }
        if let Some(deadline) = self.store_timeout_ms {
            config = config.with_deadline(deadline);
        }
        config.build().map_err(|error| match &self.namespace {
            Some(namespace) => format!("--namespace {namespace}: {error}"),
            None => error.to_string(),
        })
    }

    /// Listens, and says so on standard output once connections and signals are taken.
    pub async fn bind(&self) -> Result<Bound, Error> {
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let stop = stop()?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on http://{}", listener.local_addr()?)?;
        out.flush()?;
        Ok(Bound { listener, stop })
    }
}

/// A server that takes connections until it is told to stop.
pub struct Bound {
    pub listener: TcpListener,
    /// Cancelled by SIGTERM and SIGINT.
    pub stop: CancellationToken,
}

/// Parses the command line. A wrong value ends the program with code 2 and one line that names
/// the flag, the value and what would be right.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        let text = error.to_string();
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .filter(|line| !line.is_empty())
            .collect();
        fail(lines.join(" ").trim_start_matches("error: "))
    })
}

/// Ends the program because of a wrong flag.
pub fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}

/// Logs go to standard error; `RUST_LOG` chooses them.
pub fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,tower_keep=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// Cancelled by SIGTERM and SIGINT, which from here on do not end the program by themselves.
fn stop() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}
