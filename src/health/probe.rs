//! Asking a store, and each of its servers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Breaker, Report, ServerReport, Status, StoreReport};
use crate::{
    Store, StoreError,
    store::{RefusalKind, Server},
};

/// Where the servers are known the deadline of a call ends it, and not this module.
const SLACK: Duration = Duration::from_millis(5);

/// All stores side by side.
pub(super) async fn report(stores: &[(Box<str>, Store)]) -> Report {
    let probes = stores.iter().map(|(name, store)| probe(name, store));
    let stores = join_all(probes).await;
    let worst = stores.iter().map(|store| store.status).max();
    Report {
        status: worst.unwrap_or(Status::Ready),
        stores,
    }
}

async fn probe(name: &str, store: &Store) -> StoreReport {
    let start = Instant::now();
    let mut error = None;
    let mut answers = Vec::new();
    match store.servers().await {
        Ok(servers) => {
            let left = store
                .deadline()
                .saturating_add(SLACK)
                .saturating_sub(start.elapsed());
            let asked = servers.into_iter().map(|server| ask(server, left));
            answers = join_all(asked).await;
        }
        // Which servers there are is not known, so none has answered.
        Err(unknown) => error = Some(unknown),
    }
    let mut report = StoreReport {
        name: name.into(),
        kind: store.kind(),
        status: Status::Unavailable,
        breaker: store.state().into(),
        latency: start.elapsed(),
        refused: store.refusals(),
        error,
        servers: Vec::new(),
    };
    let (mut best, mut worst) = (Status::Unavailable, Status::Ready);
    for (server, took, error) in answers {
        let refused = server.store.refusals();
        let status = status(error.as_ref(), &refused);
        worst = worst.max(status);
        best = best.min(status);
        if report.error.is_none() {
            report.error = error.clone();
        }
        if let Some(address) = &server.address {
            report.servers.push(ServerReport {
                address: address.clone(),
                status,
                breaker: Breaker::from(server.store.state()),
                latency: took,
                refused,
                error,
            });
        }
    }
    report.status = match (best, worst) {
        (Status::Unavailable, _) => Status::Unavailable,
        // A cluster of which a part answers is of use.
        (_, Status::Unavailable) => Status::Degraded,
        _ => worst,
    };
    report
}

fn status(error: Option<&StoreError>, refused: &[RefusalKind]) -> Status {
    match (error, refused) {
        // It serves no key.
        (
            Some(StoreError::Refused {
                kind: RefusalKind::ClusterDown,
                ..
            }),
            _,
        ) => Status::Unavailable,
        // It has answered, if only to refuse.
        (Some(StoreError::Refused { .. }), _) => Status::Degraded,
        (Some(_), _) => Status::Unavailable,
        (None, []) => Status::Ready,
        (None, _) => Status::Degraded,
    }
}

/// Waits for what is `left` of the deadline, of which finding the servers has taken a part.
async fn ask(server: Server, left: Duration) -> (Server, Duration, Option<StoreError>) {
    let start = Instant::now();
    let answer = match timeout(left, server.serves()).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::DeadlineExceeded(server.store.deadline())),
    };
    (server, start.elapsed(), answer.err())
}
