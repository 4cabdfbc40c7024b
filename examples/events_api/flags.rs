//! The command line.

use std::time::Duration;

use clap::Parser;
use tower_keep::rate_limit::Policy;

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
    pub limits: Vec<Policy>,

    /// The limit of logins per address.
    #[arg(long, value_name = "POLICY", default_value = r#""login";q=5;w=60"#)]
    pub login_limit: Policy,

    /// Let cookies travel over plain http, for development.
    #[arg(long)]
    pub insecure_cookies: bool,

    /// Seconds after which an unused session ends.
    #[arg(long, value_name = "SECS", default_value = "86400", value_parser = seconds)]
    pub session_idle: Duration,

    /// Seconds after which a session ends, used or not.
    #[arg(long, value_name = "SECS", default_value = "604800", value_parser = seconds)]
    pub session_absolute: Duration,

    /// Seconds for which the old id still works after a login has renewed it.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    pub session_grace: Duration,

    /// Milliseconds that each access to the database takes.
    #[arg(long, value_name = "N", default_value = "0", value_parser = millis)]
    pub db_delay_ms: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds, as in 10".to_owned())
}

fn millis(text: &str) -> Result<Duration, String> {
    let millis = text.parse().map(Duration::from_millis);
    millis.map_err(|_| "expected a whole number of milliseconds".to_owned())
}
