//! Asking a store, and each of its servers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{Breaker, Report, ServerReport, Status, StoreReport};
use crate::{
    Store, StoreError,
    store::{RefusalKind, Server},
};

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
    let servers = store.servers().await;
    let answers = join_all(servers.iter().map(ask)).await;
    let mut report = StoreReport {
        name: name.into(),
        kind: store.kind(),
        status: Status::Ready,
        breaker: store.state().into(),
        latency: start.elapsed(),
        refused: store.refusals(),
        error: None,
        servers: Vec::new(),
    };
    let mut best = Status::Unavailable;
    for (server, (took, error)) in servers.iter().zip(answers) {
        let refused = server.store.refusals();
        let status = status(error.as_ref(), &refused);
        report.status = report.status.max(status);
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
    // A cluster of which a part answers is of use.
    if report.status == Status::Unavailable && best != Status::Unavailable {
        report.status = Status::Degraded;
    }
    report
}

fn status(error: Option<&StoreError>, refused: &[RefusalKind]) -> Status {
    match (error, refused) {
        // It has answered, if only to refuse.
        (Some(StoreError::Refused { .. }), _) => Status::Degraded,
        (Some(_), _) => Status::Unavailable,
        (None, []) => Status::Ready,
        (None, _) => Status::Degraded,
    }
}

async fn ask(server: &Server) -> (Duration, Option<StoreError>) {
    let start = Instant::now();
    let answer = server.store.ping().await;
    (start.elapsed(), answer.err())
}
