//! Whose answer a client that waits can use, and who does not wait at all.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    on_all_stores,
    stand::{Answer, Reply, Site, Stand, eventually, ok, request, status},
};

on_all_stores!(
    clients_of_two_variants_are_two_requests,
    a_client_that_forbids_storing_neither_leads_nor_shares,
    a_reload_waits_for_nothing_that_began_before_it,
    others_still_share_the_fill_that_a_reload_passed_by,
    a_slow_failure_is_shared_by_those_who_waited_and_not_remembered,
    a_failure_that_is_for_one_client_is_not_shared,
    an_error_of_the_inner_service_is_shared_by_those_who_waited,
    a_stale_answer_to_a_failure_is_shared,
    conditions_reach_the_origin_of_what_is_not_stored,
    conditions_of_a_request_of_ones_own_reach_the_origin,
);

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A site that answers with what `handler` makes of a request and its number, when it is let.
fn gated(
    stand: &Stand,
    handler: impl Fn(usize, Request<String>) -> Answer + Clone + Send + Sync + 'static,
) -> (Site, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (entry, count) = (gate.clone(), AtomicUsize::new(0));
    let site = stand.site(move |request| {
        let (entry, number) = (entry.clone(), count.fetch_add(1, Ordering::Relaxed));
        let handler = handler.clone();
        async move {
            entry.acquire().await.unwrap().forget();
            handler(number, request)
        }
    });
    (site, gate)
}

fn crowd(site: &Site, clients: usize, lines: &[(&'static str, &'static str)]) -> JoinSet<Reply> {
    let mut crowd = JoinSet::new();
    join(&mut crowd, site, clients, lines);
    crowd
}

fn join(
    crowd: &mut JoinSet<Reply>,
    site: &Site,
    clients: usize,
    lines: &[(&'static str, &'static str)],
) {
    for _ in 0..clients {
        let (site, lines) = (site.clone(), lines.to_vec());
        crowd.spawn(async move { site.send("GET", "/", &lines).await });
    }
}

/// Time enough for requests to get where they wait.
async fn settle(stand: &Stand) {
    if stand.is_redis() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

async fn clients_of_two_variants_are_two_requests(stand: Stand) {
    let (site, gate) = gated(&stand, |_, request: Request<String>| {
        let encoding = request.headers()["accept-encoding"].to_str().unwrap();
        Ok(ok(
            &[FRESH, ("vary", "accept-encoding")],
            encoding.to_owned(),
        ))
    });
    let mut clients = crowd(&site, 25, &[("accept-encoding", "gzip")]);
    join(&mut clients, &site, 25, &[("accept-encoding", "br")]);
    settle(&stand).await;
    assert_eq!(site.hits(), 1);
    gate.add_permits(1);
    eventually(|| site.hits() == 2).await;
    settle(&stand).await;
    gate.add_permits(100);
    let replies = clients.join_all().await;
    let of = |body| replies.iter().filter(|reply| reply.body == body).count();
    assert_eq!((of("gzip"), of("br"), site.hits()), (25, 25, 2));
}

async fn a_client_that_forbids_storing_neither_leads_nor_shares(stand: Stand) {
    let (site, gate) = gated(&stand, |number, _| Ok(ok(&[FRESH], number.to_string())));
    let forbidding = [("cache-control", "no-store")];
    let first = crowd(&site, 1, &forbidding);
    eventually(|| site.hits() == 1).await;
    let others = crowd(&site, 20, &[]);
    eventually(|| site.hits() == 2).await;
    let last = crowd(&site, 1, &forbidding);
    eventually(|| site.hits() == 3).await;
    settle(&stand).await;
    assert_eq!(site.hits(), 3);
    gate.add_permits(3);
    let detail = "fwd=uri-miss; fwd-status=200; detail=request-no-store";
    for client in [first, last] {
        assert_eq!(client.join_all().await[0].cache_status(), detail);
    }
    assert!(
        others
            .join_all()
            .await
            .iter()
            .all(|reply| reply.body == "1")
    );
}

async fn a_reload_waits_for_nothing_that_began_before_it(stand: Stand) {
    let (site, gate) = gated(&stand, |number, _| Ok(ok(&[FRESH], number.to_string())));
    let mut clients = crowd(&site, 1, &[]);
    eventually(|| site.hits() == 1).await;
    for (n, reload) in ["no-cache", "max-age=0"].into_iter().enumerate() {
        join(&mut clients, &site, 1, &[("cache-control", reload)]);
        eventually(|| site.hits() == n + 2).await;
    }
    gate.add_permits(3);
    let mut bodies: Vec<_> = clients
        .join_all()
        .await
        .into_iter()
        .map(|r| r.body)
        .collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["0", "1", "2"]);
}

async fn others_still_share_the_fill_that_a_reload_passed_by(stand: Stand) {
    let (site, gate) = gated(&stand, |number, _| Ok(ok(&[FRESH], number.to_string())));
    let mut clients = crowd(&site, 1, &[]);
    eventually(|| site.hits() == 1).await;
    join(&mut clients, &site, 1, &[("cache-control", "no-cache")]);
    eventually(|| site.hits() == 2).await;
    join(&mut clients, &site, 20, &[]);
    settle(&stand).await;
    gate.add_permits(2);
    let bodies: Vec<_> = clients
        .join_all()
        .await
        .into_iter()
        .map(|r| r.body)
        .collect();
    assert_eq!(bodies.iter().filter(|body| *body == "0").count(), 21);
    assert_eq!(site.hits(), 2);
}

async fn a_slow_failure_is_shared_by_those_who_waited_and_not_remembered(stand: Stand) {
    let (site, gate) = gated(&stand, |number, _| {
        let mut response = ok(&[("retry-after", "9")], format!("busy {number}"));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        Ok(response)
    });
    let clients = crowd(&site, 30, &[]);
    settle(&stand).await;
    gate.add_permits(1);
    let replies = clients.join_all().await;
    assert_eq!(site.hits(), 1);
    assert!(
        replies
            .iter()
            .all(|reply| (reply.status, &*reply.body) == (503, "busy 0")),
        "{replies:?}"
    );
    let collapsed = |reply: &&Reply| reply.cache_status() == "fwd=uri-miss; collapsed";
    assert_eq!(replies.iter().filter(collapsed).count(), 29);
    gate.add_permits(1);
    assert_eq!(site.get("/").await.body, "busy 1");
}

async fn a_failure_that_is_for_one_client_is_not_shared(stand: Stand) {
    for (n, line) in [
        ("cache-control", "private"),
        ("cache-control", "no-store"),
        ("set-cookie", "a=b"),
        ("vary", "*"),
    ]
    .into_iter()
    .enumerate()
    {
        let (site, gate) = gated(&stand, move |_, _| Ok(status(503, &[line])));
        let mut clients = JoinSet::new();
        for _ in 0..5 {
            let site = site.clone();
            clients.spawn(async move { site.get(&format!("/{n}")).await });
        }
        settle(&stand).await;
        assert_eq!(site.hits(), 1);
        gate.add_permits(5);
        clients.join_all().await;
        assert_eq!(site.hits(), 5, "{line:?}");
    }
}

async fn an_error_of_the_inner_service_is_shared_by_those_who_waited(stand: Stand) {
    let (site, gate) = gated(&stand, |_, _| Err(io::ErrorKind::ConnectionRefused.into()));
    let first = tokio::spawn({
        let site = site.clone();
        async move { site.open(request("GET", "/", &[])).await.map(drop) }
    });
    eventually(|| site.hits() == 1).await;
    let others = crowd(&site, 20, &[]);
    settle(&stand).await;
    gate.add_permits(1);
    let error = first.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    for reply in others.join_all().await {
        assert_eq!(reply.status, 502);
        assert_eq!(reply.field("content-type"), ["application/problem+json"]);
        assert_eq!(reply.cache_status(), "fwd=uri-miss; collapsed");
    }
    assert_eq!(site.hits(), 1);
}

async fn a_stale_answer_to_a_failure_is_shared(stand: Stand) {
    let (site, gate) = gated(&stand, |number, _| match number {
        0 => {
            let lines = [("cache-control", "max-age=1, stale-if-error=60")];
            Ok(ok(&lines, "good"))
        }
        _ => Ok(status(503, &[])),
    });
    gate.add_permits(1);
    site.get("/").await;
    stand.advance(Duration::from_secs(3)).await;
    let clients = crowd(&site, 30, &[]);
    settle(&stand).await;
    gate.add_permits(1);
    let replies = clients.join_all().await;
    assert_eq!(site.hits(), 2);
    let stale = |reply: &Reply| {
        reply.body == "good" && reply.cache_status().ends_with("detail=stale-if-error")
    };
    assert!(replies.iter().all(stale), "{replies:?}");
}

async fn conditions_reach_the_origin_of_what_is_not_stored(stand: Stand) {
    let site = stand.site(|request: Request<String>| {
        let lines = [("cache-control", "private"), ("etag", "\"a\"")];
        let known = request.headers().get("if-none-match");
        let response = match known.is_some_and(|tag| tag == "\"a\"") {
            true => status(304, &lines),
            false => ok(&lines, "a long body"),
        };
        async { Ok(response) }
    });
    assert_eq!(site.get("/").await.body, "a long body");
    let reply = site.send("GET", "/", &[("if-none-match", "\"a\"")]).await;
    assert_eq!(reply.status, 304);
    assert!(reply.cache_status().contains("fwd-status=304"), "{reply:?}");
    let reply = site.send("GET", "/", &[("if-none-match", "\"b\"")]).await;
    assert_eq!((reply.status, &*reply.body), (200, "a long body"));
}

async fn conditions_of_a_request_of_ones_own_reach_the_origin(stand: Stand) {
    let site = stand.site(|request: Request<String>| {
        let conditional = request.headers().contains_key("if-none-match");
        let response = if conditional {
            status(304, &[])
        } else {
            ok(&[FRESH], "body")
        };
        async { Ok(response) }
    });
    for line in [("authorization", "x"), ("cache-control", "no-store")] {
        let lines = [("if-none-match", "\"a\""), line];
        let reply = site.send("GET", "/", &lines).await;
        assert!(reply.cache_status().contains("fwd-status=304"), "{reply:?}");
    }
}

#[tokio::test]
async fn without_a_store_many_clients_are_still_one_request() {
    let mut stand = Stand::redis().await;
    let (site, gate) = gated(&stand, |number, _| Ok(ok(&[FRESH], number.to_string())));
    stand.server_mut().kill();
    let clients = crowd(&site, 50, &[]);
    eventually(|| site.hits() == 1).await;
    settle(&stand).await;
    gate.add_permits(1);
    let replies = clients.join_all().await;
    assert_eq!(site.hits(), 1);
    for reply in &replies {
        assert_eq!(reply.body, "0");
        assert!(
            reply.cache_status().ends_with("detail=store-unavailable"),
            "{reply:?}"
        );
        assert!(!reply.cache_status().contains("stored"), "{reply:?}");
    }
    gate.add_permits(1);
    assert_eq!(site.get("/").await.body, "1");
}
