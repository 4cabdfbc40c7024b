//! Two real processes on one server: together they admit exactly the quota.

use std::sync::Arc;

use http::{Request, Response};
use tokio::task::JoinSet;

use crate::harness::body;
use crate::harness::client::Client;
use crate::harness::example::{Example, PATIENT};
use crate::harness::origin::Origin;
use crate::harness::redis::Backend;

const ROUNDS: usize = 20;

async fn two_processes_admit_exactly_the_quota_in_every_round(backend: Backend) {
    let origin = Origin::start(|_| async { Response::new(body::full("done")) });
    let (upstream, url) = (format!("http://{}", origin.addr()), backend.url());
    let arguments = [
        ["--upstream", &upstream],
        ["--store", &url],
        ["--cache", "off"],
        // Nothing comes back while a round runs.
        ["--limit", r#""fifty";q=50;w=8640000"#],
        ["--limit-key", "header:x-round"],
        PATIENT,
    ];
    let processes = [(); 2].map(|()| Example::start("gateway", &arguments.concat()));
    let clients = processes
        .each_ref()
        .map(|process| Arc::new(Client::http1(process.addr())));
    for round in 0..ROUNDS {
        let mut requests = JoinSet::new();
        for client in clients.iter().cycle().take(200) {
            let client = client.clone();
            requests.spawn(async move {
                let request = Request::get("/").header("x-round", round);
                let request = request.body(body::empty()).unwrap();
                client.send(request).await.status.as_u16()
            });
        }
        let statuses = requests.join_all().await;
        let count = |status| statuses.iter().filter(|other| **other == status).count();
        assert_eq!((count(200), count(429)), (50, 150), "round {round}");
    }
    backend.assert_every_key_has_a_ttl();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_admit_exactly_the_quota_in_twenty_rounds() {
    two_processes_admit_exactly_the_quota_in_every_round(Backend::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_admit_exactly_the_quota_on_a_cluster_too() {
    two_processes_admit_exactly_the_quota_in_every_round(Backend::cluster()).await;
}
