//! Quotas that depend on who is asking, and costs that depend on what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use tower_keep::Store;
use tower_keep::rate_limit::{Quota, QuotaPolicyError, RateLimitDecision, RateLimitLayer};

use super::{Limited, around, from, in_memory, limited, policy, request, send, statuses, store};
use crate::harness::eventually;
use crate::harness::redis::RedisServer;

fn left(reply: &super::Reply) -> u64 {
    let decision: &RateLimitDecision = reply.extensions.get().unwrap();
    decision.tightest().unwrap().remaining()
}

#[tokio::test]
async fn a_quota_comes_from_the_request_or_a_provider_and_a_raised_one_is_in_force_at_once() {
    let redis = RedisServer::start();
    for store in [Store::memory(), store(&redis)] {
        for asynchronous in [false, true] {
            let plan = Arc::new(AtomicU64::new(2));
            let name = format!("plan{asynchronous}");
            let layer =
                RateLimitLayer::new(store.clone(), policy(&format!(r#""{name}";q=100;w=86400"#)));
            let quota = {
                let plan = plan.clone();
                move |request: &http::request::Parts| {
                    let planned = request.headers.contains_key("planned");
                    planned.then(|| Quota::per_day(plan.load(Ordering::Relaxed)).unwrap())
                }
            };
            let layer = match asynchronous {
                false => layer.with_quota(&name, quota),
                true => layer.with_quota_provider(&name, move |request| {
                    let quota = quota(request);
                    async move {
                        tokio::task::yield_now().await;
                        quota
                    }
                }),
            };
            let service = limited(&layer.unwrap());
            let planned = async || send(&service, from("192.0.2.7").header("planned", "")).await;
            assert_eq!(left(&request(&service).await), 99);
            let first = planned().await;
            let field = format!(r#""{name}";q=2;w=86400"#);
            assert_eq!(first.field("ratelimit-policy"), [field]);
            assert_eq!(planned().await.status, 200);
            assert_eq!(planned().await.status, 429);
            plan.store(20, Ordering::Relaxed);
            // The whole of two is the whole of twenty, so nothing is left yet; but it was asked.
            let reply = planned().await;
            assert_eq!(
                reply.field("ratelimit-policy"),
                [format!(r#""{name}";q=20;w=86400"#)]
            );
        }
    }
}

#[test]
fn a_quota_for_a_policy_that_is_not_there_is_refused_by_name() {
    let error = in_memory(r#""a";q=1;w=1"#)
        .with_quota("b", |_| None)
        .unwrap_err();
    assert_eq!(error, QuotaPolicyError::Unknown("b".to_owned()));
    assert!(error.to_string().contains("\"b\""));
}

#[tokio::test]
async fn a_cost_is_corrected_by_the_response() {
    let redis = RedisServer::start();
    for store in [Store::memory(), store(&redis)] {
        for alg in ["gcra", "fixed", "sliding"] {
            let item = policy(&format!(r#""units";q=10;w=864000;alg={alg}"#));
            let layer =
                RateLimitLayer::new(store.clone(), item).with_settled_cost(|response, charged| {
                    match response.status.is_server_error() {
                        true => 0,
                        false => charged,
                    }
                });
            let service = around(&layer, |request| {
                let status = match request.uri().path() {
                    "/broken" => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::OK,
                };
                let mut response = Response::default();
                *response.status_mut() = status;
                response
            });
            let get = async |path: &str| send(&service, from("192.0.2.1").uri(path)).await;
            assert_eq!(get("/").await.status, 200);
            assert_eq!(get("/broken").await.status, 500);
            eventually("the broken one costs nothing", async || {
                let reply = get("/broken").await;
                left(&reply) == 8
            })
            .await;
        }
    }
    redis.assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn a_handler_settles_and_resets_by_the_decision_that_it_finds() {
    let inner = in_memory(r#""route";q=10;w=864000"#).with_reservations();
    let outer = in_memory(r#""all";q=100;w=864000"#);
    let handler = tower::service_fn(async |request: http::Request<super::Body>| {
        let decision: &RateLimitDecision = request.extensions().get().unwrap();
        match request.uri().path() {
            "/settle" => assert!(decision.settle(5).await.unwrap()),
            "/reset" => assert!(decision.reset("route").await.unwrap()),
            "/none" => assert!(!decision.reset("nothing").await.unwrap()),
            _ => {}
        }
        Ok::<_, std::convert::Infallible>(Response::new(super::Body::default()))
    });
    use tower::Layer;
    let inner = inner.layer(handler);
    let service = outer.layer(inner);
    let get = async |path: &str| -> Vec<u64> {
        use tower::ServiceExt;
        let request = from("192.0.2.1")
            .uri(path)
            .body(super::Body::default())
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let decision: &RateLimitDecision = response.extensions().get().unwrap();
        decision.iter().map(|p| p.remaining()).collect()
    };
    // The inner layer's decision comes first in the response.
    assert_eq!(get("/").await, [9, 99]);
    assert_eq!(get("/settle").await, [8, 98]);
    assert_eq!(get("/none").await, [3, 97]);
    assert_eq!(get("/reset").await, [2, 96]);
    assert_eq!(get("/").await, [9, 95]);
}

#[tokio::test(start_paused = true)]
async fn the_presets_admit_as_many_as_they_say() {
    type Preset = fn(Store, u64) -> Result<RateLimitLayer, tower_keep::rate_limit::QuotaError>;
    let presets: [(Preset, u64); 4] = [
        (RateLimitLayer::per_second, 1),
        (RateLimitLayer::per_minute, 60),
        (RateLimitLayer::per_hour, 3_600),
        (RateLimitLayer::per_day, 86_400),
    ];
    for (preset, seconds) in presets {
        let service: Limited = limited(&preset(Store::memory(), 3).unwrap());
        assert_eq!(statuses(&service, 4).await, [200, 200, 200, 429]);
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(statuses(&service, 4).await, [200, 200, 200, 429]);
        assert!(preset(Store::memory(), 0).is_err());
    }
}
