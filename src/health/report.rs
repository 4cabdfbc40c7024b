//! What is found out, as it is answered.

use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::store::{RefusalKind, StoreError, StoreState};

/// How a store, one of its servers, or all of it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// It has answered.
    Ready,
    /// It answers, and refuses something or has lost a part.
    Degraded,
    /// It has not answered.
    Unavailable,
}

impl Status {
    /// 200, or 503 for [`Unavailable`](Self::Unavailable).
    pub fn http(self) -> StatusCode {
        match self {
            Self::Ready | Self::Degraded => StatusCode::OK,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The circuit breaker of a server, or of a store as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Breaker {
    /// Calls are sent.
    Closed,
    /// A connection is being made, and calls wait for it.
    Connecting,
    /// Calls fail at once.
    Open,
}

impl From<StoreState> for Breaker {
    fn from(state: StoreState) -> Self {
        match state {
            StoreState::Ready | StoreState::Degraded => Self::Closed,
            StoreState::Connecting => Self::Connecting,
            StoreState::Unavailable => Self::Open,
        }
    }
}

/// How everything does.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The worst of the stores'.
    pub status: Status,
    /// Each store, in the order in which they were added.
    pub stores: Vec<StoreReport>,
}

/// How a store does.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoreReport {
    /// As it was added.
    pub name: Box<str>,
    /// `memory`, `redis` or `redis cluster`.
    pub kind: &'static str,
    /// Of a cluster: unavailable when no server answers, degraded when not all do.
    pub status: Status,
    /// The breaker; of a cluster, open when all are.
    pub breaker: Breaker,
    /// What the slowest probe took.
    #[serde(rename = "latency_ms", serialize_with = "millis")]
    pub latency: Duration,
    /// What its servers have refused lately.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "codes")]
    pub refused: Vec<RefusalKind>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub error: Option<StoreError>,
    /// The servers of a cluster; none for anything else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerReport>,
}

/// How the master of a shard does.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ServerReport {
    /// Where it listens, as the cluster says.
    pub address: Box<str>,
    /// How it does.
    pub status: Status,
    /// Its breaker.
    pub breaker: Breaker,
    /// What the probe took.
    #[serde(rename = "latency_ms", serialize_with = "millis")]
    pub latency: Duration,
    /// What it has refused lately.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "codes")]
    pub refused: Vec<RefusalKind>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub error: Option<StoreError>,
}

/// Milliseconds with three digits behind the point.
fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_micros() as f64 / 1000.0)
}

fn codes<S: Serializer>(kinds: &[RefusalKind], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kinds.iter().map(|kind| kind.as_str()))
}

fn text<S: Serializer>(error: &Option<StoreError>, serializer: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}
