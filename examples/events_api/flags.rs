//! The command line.

use std::time::Duration;

use clap::Parser;
use tower_keep::rate_limit::QuotaPolicy;

use crate::common::Common;

/// The API of an event platform.
#[derive(Debug, Parser)]
pub struct Flags {
    #[command(flatten)]
    pub common: Common,

    /// A limit of all routes per address, as in the RateLimit-Policy field; repeatable.
    #[arg(
        long = "limit",
        value_name = "POLICY",
        default_value = r#""burst";q=100;w=60"#
    )]
    pub limits: Vec<QuotaPolicy>,

    /// The limit of logins per address.
    #[arg(long, value_name = "POLICY", default_value = r#""login";q=5;w=60"#)]
    pub login_limit: QuotaPolicy,

    /// Let cookies travel over plain http, for development.
    #[arg(long)]
    pub insecure_cookies: bool,

    /// Seconds after which an unused session ends.
    #[arg(long, value_name = "SECS", default_value = "86400", value_parser = lifetime)]
    pub session_idle: Duration,

    /// Seconds after which a session ends, used or not.
    #[arg(long, value_name = "SECS", default_value = "604800", value_parser = lifetime)]
    pub session_absolute: Duration,

    /// Seconds for which the old id still works when the same user has logged in again.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = grace)]
    pub session_grace: Duration,

    /// Seconds for which a refresh token that was exchanged gives the same successor again.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = grace)]
    pub refresh_grace: Duration,

    /// Bytes that the data of a session may take.
    #[arg(long, value_name = "N", default_value = "65536", value_parser = bytes)]
    pub session_bytes: usize,

    /// Milliseconds that each access to the database takes.
    #[arg(long, value_name = "N", default_value = "0", value_parser = millis)]
    pub db_delay_ms: Duration,
}

/// Longer than nothing and at most ten years.
fn lifetime(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds from 0.001 to 315360000, as in 3600";
    let lifetime = Duration::from_millis(1)..=Duration::from_secs(315_360_000);
    seconds(text)
        .filter(|seconds| lifetime.contains(seconds))
        .ok_or_else(|| expected.to_owned())
}

/// Nothing or up to an hour.
fn grace(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds from 0 to 3600, as in 10";
    seconds(text)
        .filter(|seconds| *seconds <= Duration::from_secs(3600))
        .ok_or_else(|| expected.to_owned())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// As the session layer takes them.
fn bytes(text: &str) -> Result<usize, String> {
    let bytes = text
        .parse()
        .ok()
        .filter(|bytes| (1..=16 << 20).contains(bytes));
    bytes.ok_or_else(|| "expected a number of bytes from 1 to 16777216".to_owned())
}

fn millis(text: &str) -> Result<Duration, String> {
    let millis = text.parse().map(Duration::from_millis);
    millis.map_err(|_| "expected a whole number of milliseconds".to_owned())
}
