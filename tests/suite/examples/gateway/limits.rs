//! The limits as a client meets them.

use http::StatusCode;

use super::stand::{Stand, answer, get_with, page, stored};
use crate::harness::redis::RedisServer;

const DENIED: StatusCode = StatusCode::TOO_MANY_REQUESTS;

#[tokio::test]
async fn a_miss_then_a_hit_then_a_429_each_with_the_clients_own_limits() {
    let redis = RedisServer::start();
    let limit = ["--limit", "\"burst\";q=2;w=600"];
    for stand in [
        Stand::start(&limit, page),
        Stand::on_redis(&redis, &limit, page),
    ] {
        let client = stand.client();
        let miss = client.get("/a").await;
        assert_eq!(miss.header("ratelimit-policy"), Some("\"burst\";q=2;w=600"));
        assert_eq!(miss.header("ratelimit"), Some("\"burst\";r=1;t=300"));
        let status = miss.header("cache-status").unwrap();
        assert_eq!(status, "tower-keep; fwd=uri-miss; fwd-status=200; stored");

        let hit = client.get("/a").await;
        assert_eq!(hit.header("ratelimit"), Some("\"burst\";r=0;t=300"));
        assert!(hit.header("cache-status").unwrap().contains("; hit; ttl="));
        assert!(hit.header("age").is_some());
        assert_eq!(hit.header("date"), miss.header("date"));

        let denied = client.get("/a").await;
        assert_eq!(denied.status, DENIED);
        assert_eq!(denied.header("cache-control"), Some("no-store"));
        assert_eq!(
            denied.header("content-type"),
            Some("application/problem+json")
        );
        let retry: u64 = denied.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=300).contains(&retry), "{retry}");
        let problem: serde_json::Value = denied.json();
        let kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        assert_eq!(problem["type"], kind);
        assert_eq!(problem["violated-policies"], serde_json::json!(["burst"]));
        assert_eq!(stand.origin.hits(), 1);
    }
}

#[tokio::test]
async fn a_hop_that_is_trusted_names_the_client() {
    let flags = ["--limit", "\"one\";q=1;w=3600", "--trusted-hops", "1"];
    let stand = Stand::start(&flags, page);
    let client = stand.client();
    let mut seen = Vec::new();
    for forwarded in ["9.9.9.9, 192.0.2.1", "8.8.8.8, 192.0.2.1", "192.0.2.2"] {
        seen.push(
            get_with(&client, "/", "x-forwarded-for", forwarded)
                .await
                .status,
        );
    }
    assert_eq!(seen, [StatusCode::OK, DENIED, StatusCode::OK]);
}

#[tokio::test]
async fn one_forwarding_field_is_read_from_the_right_and_the_other_is_ignored() {
    let (xff, forwarded) = ("x-forwarded-for", "forwarded");
    for (flag, read, ignored, entry) in [
        (xff, xff, forwarded, "192.0.2.1"),
        (forwarded, forwarded, xff, "for=192.0.2.1"),
    ] {
        let limit = ["--limit", "\"one\";q=1;w=3600", "--trusted-hops", "1"];
        let flags = [limit.as_slice(), &["--forwarded-field", flag]].concat();
        let stand = Stand::start(&flags, page);
        let client = stand.client();
        let mut seen = Vec::new();
        for left in ["", "for=\"9.9.9.9, ", "for=\", 8.8.8.8, "] {
            let line = format!("{left}{entry}");
            seen.push(get_with(&client, "/", read, &line).await.status);
        }
        assert_eq!(seen, [StatusCode::OK, DENIED, DENIED], "{read}");
        // Without the field the client is the peer, whatever the other one says.
        let mut seen = Vec::new();
        for forged in ["for=9.9.9.9", "8.8.8.8"] {
            seen.push(get_with(&client, "/", ignored, forged).await.status);
        }
        assert_eq!(seen, [StatusCode::OK, DENIED], "{ignored}");
    }
}

#[tokio::test]
async fn without_trust_the_forwarding_fields_are_nothing() {
    let stand = Stand::start(&["--limit", "\"one\";q=1;w=3600"], page);
    let client = stand.client();
    assert_eq!(
        get_with(&client, "/", "x-forwarded-for", "192.0.2.1")
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        get_with(&client, "/", "forwarded", "for=192.0.2.2")
            .await
            .status,
        DENIED
    );
}

#[tokio::test]
async fn by_header_each_value_has_its_budget_and_those_without_share_one() {
    let flags = [
        "--limit",
        "\"one\";q=1;w=3600",
        "--limit-key",
        "header:X-Api-Key",
    ];
    let redis = RedisServer::start();
    let stand = Stand::on_redis(&redis, &flags, page);
    let client = stand.client();
    for key in ["k-secret-1", "k-secret-2"] {
        assert_eq!(
            get_with(&client, "/", "x-api-key", key).await.status,
            StatusCode::OK
        );
        assert_eq!(
            get_with(&client, "/", "x-api-key", key).await.status,
            DENIED
        );
    }
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    assert_eq!(stand.client().get("/").await.status, DENIED);
    assert!(redis.keys("*").iter().all(|key| !key.contains("k-secret")));
    redis.assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn two_gateways_on_one_redis_are_one_limit() {
    let redis = RedisServer::start();
    let flags = [
        "--limit",
        "\"hour\";q=50;w=3600;alg=fixed",
        "--cache",
        "off",
    ];
    let stands = [
        Stand::on_redis(&redis, &flags, page),
        Stand::on_redis(&redis, &flags, page),
    ];
    let clients = stands
        .each_ref()
        .map(Stand::client)
        .map(std::sync::Arc::new);
    let mut requests = tokio::task::JoinSet::new();
    for n in 0..200 {
        let client = clients[n % 2].clone();
        requests.spawn(async move { client.get("/").await.status });
    }
    let statuses = requests.join_all().await;
    let admitted = statuses
        .iter()
        .filter(|status| **status == StatusCode::OK)
        .count();
    assert_eq!(admitted, 50);
    assert!(
        statuses
            .iter()
            .all(|status| [StatusCode::OK, DENIED].contains(status))
    );
}

#[tokio::test]
async fn the_upstream_servers_own_limits_stand_beside_on_a_pass_and_are_not_replayed() {
    let stand = Stand::start(&["--limit", "\"ours\";q=9;w=90"], async |_| {
        answer(
            &[
                ("cache-control", "max-age=60"),
                ("ratelimit", "\"theirs\";r=1;t=1"),
            ],
            "page",
        )
    });
    let lines = |reply: crate::harness::client::Reply| {
        let lines = reply.headers.get_all("ratelimit").iter();
        lines
            .map(|line| line.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let pass = lines(stand.client().get("/").await);
    assert!(pass.contains("theirs") && pass.contains("ours"), "{pass}");
    let hit = lines(stand.client().get("/").await);
    assert!(!hit.contains("theirs") && hit.contains("ours"), "{hit}");
}

#[tokio::test]
async fn a_request_costs_redis_its_own_commands_and_no_more() {
    let redis = RedisServer::start();
    let stand = Stand::on_redis(&redis, &["--limit", "\"burst\";q=1000;w=60"], page);
    stand.client().get("/a").await;
    stored(&redis).await;
    redis.reset_stats();
    for _ in 0..20 {
        stand.client().get("/a").await;
    }
    let calls = redis.command_calls();
    assert_eq!(calls.get("evalsha"), Some(&20), "{calls:?}");
    assert_eq!(calls.get("hmget"), Some(&20), "{calls:?}");
    for needless in [
        "ping",
        "unwatch",
        "script|load",
        "eval",
        "hello",
        "client|setinfo",
    ] {
        assert!(!calls.contains_key(needless), "{calls:?}");
    }
}
