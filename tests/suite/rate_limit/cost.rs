//! Requests that cost more than one unit, or nothing, or are not counted at all.

use std::time::Duration;

use http::Request;
use http::request::{Builder, Parts};
use tower_keep::rate_limit::RateLimitLayer;

use super::{Limited, from, in_memory, limited, send};

/// A layer whose requests cost what their header says.
fn costed(item: &str) -> RateLimitLayer {
    in_memory(item).with_cost(|request: &Parts| {
        let cost = request.headers.get("cost").unwrap();
        cost.to_str().unwrap().parse().unwrap()
    })
}

fn costing(cost: u64) -> Builder {
    from("192.0.2.1").header("cost", cost)
}

/// The status and what is left.
async fn take(service: &Limited, cost: u64) -> (u16, u64) {
    let reply = send(service, costing(cost)).await;
    let field = reply.field("ratelimit")[0];
    let remaining = field.split("r=").nth(1).unwrap().split(';').next().unwrap();
    (reply.status.as_u16(), remaining.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_does_not_fit_leaves_what_there_is_to_a_smaller_one() {
    let service = limited(&costed(r#""units";q=5;w=10"#));
    assert_eq!(take(&service, 3).await, (200, 2));
    assert_eq!(take(&service, 3).await, (429, 2));
    assert_eq!(take(&service, 2).await, (200, 0));
    assert_eq!(take(&service, 3).await, (429, 0));
    assert_eq!(take(&service, 1).await, (429, 0));
}

#[tokio::test(start_paused = true)]
async fn a_denied_cost_denies_no_smaller_one_and_larger_ones_with_their_own_wait() {
    let service = limited(&costed(r#""units";q=5;w=10"#));
    assert_eq!(take(&service, 2).await, (200, 3));
    tokio::time::advance(Duration::from_millis(100)).await;
    let four = send(&service, costing(4)).await;
    assert_eq!((four.status.as_u16(), four.retry_after()), (429, Some(2)));
    let five = send(&service, costing(5)).await;
    assert_eq!((five.status.as_u16(), five.retry_after()), (429, Some(4)));
    assert_eq!(take(&service, 1).await, (200, 2));
}

#[tokio::test(start_paused = true)]
async fn what_costs_nothing_looks_and_passes() {
    let service = limited(&costed(r#""units";q=2;w=10"#));
    assert_eq!(take(&service, 0).await, (200, 2));
    assert_eq!(take(&service, 2).await, (200, 0));
    assert_eq!(take(&service, 1).await, (429, 0));
    for _ in 0..3 {
        assert_eq!(take(&service, 0).await, (200, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_costs_more_than_the_quota_is_denied_without_a_time_to_come_again() {
    let service = limited(&costed(r#""units";q=5;w=10"#));
    for cost in [6, 7, u64::MAX] {
        let reply = send(&service, costing(cost)).await;
        assert_eq!((reply.status.as_u16(), reply.retry_after()), (429, None));
        assert_eq!(reply.field("ratelimit"), [r#""units";r=5;t=0"#]);
    }
    assert_eq!(take(&service, 5).await, (200, 0));
}

#[tokio::test]
async fn skipped_requests_are_neither_counted_nor_told_a_limit() {
    let layer = in_memory(r#""burst";q=1;w=10"#).with_skip(|r| r.uri.path() == "/health");
    let service = limited(&layer);
    for _ in 0..3 {
        let reply = send(&service, Request::get("/health")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.field("ratelimit").is_empty() && reply.field("ratelimit-policy").is_empty());
    }
    assert_eq!(send(&service, Request::get("/")).await.status, 200);
    assert_eq!(send(&service, Request::get("/")).await.status, 429);
}
