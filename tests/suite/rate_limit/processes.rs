//! Two processes, which share a server and nothing else, and one of them is killed.

use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::body;
use crate::harness::client::Client;
use crate::harness::eventually;
use crate::harness::example::{Example, PATIENT};
use crate::harness::origin::Origin;
use crate::harness::redis::Backend;

/// How long a place is kept for a process that does not renew it.
const LEASE: Duration = Duration::from_secs(3);
const TWO_AT_A_TIME: &str = r#""slots";q=2;w=3;alg=concurrency"#;
/// Nothing comes back of it while the test runs.
const UNITS: &str = r#""units";q=1000;w=8640000"#;

/// Answers at once, but for `/wait` when the gate is open.
fn origin(gate: &watch::Sender<bool>) -> Origin {
    let gate = gate.subscribe();
    Origin::start(move |request| {
        let mut gate = gate.clone();
        async move {
            if request.uri().path() == "/wait" {
                let _ = gate.wait_for(|open| *open).await;
            }
            Response::new(body::full("done"))
        }
    })
}

fn gateway(origin: &Origin, backend: &Backend) -> Example {
    let upstream = format!("http://{}", origin.addr());
    let url = backend.url();
    let arguments = [
        ["--upstream", &upstream],
        ["--store", &url],
        ["--cache", "off"],
        ["--limit", TWO_AT_A_TIME],
        ["--limit", UNITS],
        PATIENT,
    ];
    Example::start("gateway", &arguments.concat())
}

/// The status, and what is left of the units.
async fn seen(client: &Client) -> (StatusCode, String) {
    let reply = client.get("/").await;
    let field = reply.header("ratelimit").unwrap();
    let (_, units) = field.split_once(r#""units";r="#).unwrap();
    let left = units.split(';').next().unwrap().to_owned();
    (reply.status, left)
}

/// Two requests that wait for the gate, and are under way at the origin.
async fn hold_two(gateway: &Example, origin: &Origin) -> JoinSet<()> {
    let before = origin.hits();
    let mut requests = JoinSet::new();
    for _ in 0..2 {
        let client = Client::http1(gateway.addr());
        requests.spawn(async move {
            let request = Request::get("/wait").body(body::empty()).unwrap();
            // Where its process is killed there is no answer.
            let _ = client.try_send(request).await;
        });
    }
    eventually("both are under way", async || origin.hits() == before + 2).await;
    requests
}

async fn the_places_of_a_killed_process_come_back_with_their_lease(backend: Backend) {
    let (gate, _) = watch::channel(false);
    let origin = origin(&gate);
    let [mut killed, other] = [(); 2].map(|()| gateway(&origin, &backend));
    let client = Client::http1(other.addr());

    let _held = hold_two(&killed, &origin).await;
    // Its places outlast the lease for as long as it lives.
    let began = Instant::now();
    while began.elapsed() < LEASE + Duration::from_secs(1) {
        let (status, left) = seen(&client).await;
        assert_eq!((status.as_u16(), left.as_str()), (429, "998"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    killed.kill();
    // Nobody knows yet that it is gone.
    assert_eq!(seen(&client).await.0, 429);
    eventually("its places are free", async || {
        let (status, left) = seen(&client).await;
        // What it had taken of a quota comes back by time, as ever.
        let expected = if status == 200 { "997" } else { "998" };
        assert_eq!(left, expected);
        status == 200
    })
    .await;

    // Both are free, and no more than both.
    let mut held = hold_two(&other, &origin).await;
    assert_eq!(seen(&client).await.0, 429);
    gate.send_replace(true);
    while held.join_next().await.is_some() {}
    eventually("all is free", async || seen(&client).await.0 == 200).await;
    backend.assert_every_key_has_a_ttl();
    drop(other);
    eventually("nothing of a place stays", async || {
        backend.keys("keep:rate_limit:*:concurrency:*").is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_places_of_a_killed_process_come_back() {
    the_places_of_a_killed_process_come_back_with_their_lease(Backend::redis()).await;
}

#[tokio::test]
async fn the_places_of_a_killed_process_come_back_on_a_cluster_too() {
    the_places_of_a_killed_process_come_back_with_their_lease(Backend::cluster()).await;
}
