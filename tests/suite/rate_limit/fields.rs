//! What clients, handlers and outer layers are told.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::Store;
use tower_keep::rate_limit::{
    DenialReason, HeaderDialect, PolicyDecision, RateLimitDecision, RateLimitLayer,
};

use super::stand::{Stand, on_memory_and_redis};
use super::{Reply, around, in_memory, limited, policy, request, statuses};

on_memory_and_redis!(
    responses_carry_the_fields_of_draft_10_and_a_denial_when_to_come_again,
    every_policy_is_listed_and_the_denied_request_has_consumed_of_none,
    of_two_violated_policies_the_longer_wait_counts,
    stacked_layers_and_the_upstream_stand_beside_each_other,
    handlers_and_outer_layers_see_the_decision,
    other_dialects_tell_the_tightest_policy,
    where_there_is_room_for_one_the_tighter_layer_is_told,
    the_tighter_layer_is_the_one_with_the_smaller_part_left,
    a_factory_changes_or_replaces_the_denial_which_stays_unstorable,
    the_fields_are_structured_and_have_the_parameters_of_the_draft,
);

fn layer(stand: &Stand, item: &str) -> RateLimitLayer {
    RateLimitLayer::from_limiter(stand.limiter(item))
}

/// A time of so many seconds, of which a busy machine has used up some.
fn about(seconds: u64) -> RangeInclusive<u64> {
    seconds - 30..=seconds
}

async fn responses_carry_the_fields_of_draft_10_and_a_denial_when_to_come_again(stand: Stand) {
    let service = limited(&layer(&stand, r#""burst";q=5;w=1000"#));
    let first = request(&service).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.field("ratelimit-policy"), [r#""burst";q=5;w=1000"#]);
    // In the microsecond in which it was taken.
    assert_eq!(first.field("ratelimit"), [r#""burst";r=4;t=200"#]);
    assert_eq!(first.retry_after(), None);
    assert_eq!(statuses(&service, 4).await, [200; 4]);

    let sixth = request(&service).await;
    assert_eq!(sixth.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sixth.field("ratelimit-policy"), [r#""burst";q=5;w=1000"#]);
    let wait = sixth.retry_after().unwrap();
    assert!(about(200).contains(&wait), "{wait}");
    assert_eq!(
        sixth.field("ratelimit"),
        [format!(r#""burst";r=0;t={wait}"#)]
    );
    assert_eq!(sixth.field("content-type"), ["application/problem+json"]);
    assert_eq!(sixth.field("cache-control"), ["no-store"]);
    assert_eq!(
        sixth.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "violated-policies": ["burst"],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn t_is_the_time_until_more_of_the_quota_is_available() {
    let service = limited(&in_memory(r#""gcra";q=5;w=10"#));
    for remaining in [4, 3, 2, 1, 0] {
        let expected = format!(r#""gcra";r={remaining};t=2"#);
        // Past the first request's own microsecond, so that rounding up cannot tip over.
        assert_eq!(request(&service).await.field("ratelimit"), [expected]);
        advance(Duration::from_millis(10)).await;
    }
    let service = limited(&in_memory(r#""fixed";q=5;w=10;alg=fixed"#));
    let first = request(&service).await;
    assert_eq!(first.field("ratelimit-policy"), [r#""fixed";q=5;w=10"#]);
    assert_eq!(first.field("ratelimit"), [r#""fixed";r=4;t=10"#]);
    advance(Duration::from_millis(7_500)).await;
    assert_eq!(
        request(&service).await.field("ratelimit"),
        [r#""fixed";r=3;t=3"#]
    );
}

async fn every_policy_is_listed_and_the_denied_request_has_consumed_of_none(stand: Stand) {
    let layer = layer(&stand, r#""burst";q=3;w=900"#);
    let layer = layer
        .and_policy(policy(r#""hourly";q=10;w=36000"#))
        .unwrap();
    let service = limited(&layer);
    assert_eq!(statuses(&service, 5).await, [200, 200, 200, 429, 429]);
    let denied = request(&service).await;
    assert_eq!(
        denied.field("ratelimit-policy"),
        [r#""burst";q=3;w=900, "hourly";q=10;w=36000"#]
    );
    let [burst, hourly] = told(&denied).try_into().unwrap();
    assert_eq!((&*burst.name, burst.remaining), ("burst", 0));
    assert!(about(300).contains(&burst.time), "{burst:?}");
    assert_eq!((&*hourly.name, hourly.remaining), ("hourly", 7));
    assert!(about(3_600).contains(&hourly.time), "{hourly:?}");
    assert_eq!(denied.retry_after(), Some(burst.time));
    assert_eq!(denied.json()["violated-policies"], json!(["burst"]));
}

async fn of_two_violated_policies_the_longer_wait_counts(stand: Stand) {
    for algorithm in ["gcra", "fixed", "sliding"] {
        let item = |name: &str, window| format!(r#""{name}";q=3;w={window};alg={algorithm}"#);
        let layer = layer(&stand, &item("burst", 900));
        let layer = layer.and_policy(policy(&item("hourly", 36_000))).unwrap();
        let service = limited(&layer);
        assert_eq!(statuses(&service, 3).await, [200; 3]);
        let denied = request(&service).await;
        let violated = &denied.json()["violated-policies"];
        assert_eq!(*violated, json!(["burst", "hourly"]), "{algorithm}");
        let [burst, hourly] = told(&denied).try_into().unwrap();
        assert_eq!([burst.remaining, hourly.remaining], [0, 0]);
        let units = if algorithm == "gcra" { 3 } else { 1 };
        assert!(about(900 / units).contains(&burst.time), "{burst:?}");
        assert!(about(36_000 / units).contains(&hourly.time), "{hourly:?}");
        assert_eq!(denied.retry_after(), Some(hourly.time), "{algorithm}");
    }
}

async fn stacked_layers_and_the_upstream_stand_beside_each_other(stand: Stand) {
    let inner = layer(&stand, r#""route";q=5;w=10"#);
    let outer = layer(&stand, r#""all";q=100;w=60"#);
    let service = service_fn(async |request: http::Request<()>| {
        let decision: &RateLimitDecision = request.extensions().get().unwrap();
        let names: Vec<_> = decision.iter().map(|p| p.policy().name()).collect();
        assert_eq!(names, ["all", "route"]);
        let upstream = Response::builder()
            .header("ratelimit-policy", r#""upstream";q=1;w=1"#)
            .header("ratelimit", r#""upstream";r=1;t=1"#);
        Ok::<_, std::convert::Infallible>(upstream.body(Full::<Bytes>::default()).unwrap())
    });
    let service = outer.layer(inner.layer(service));
    let response = service.oneshot(http::Request::default()).await.unwrap();
    let lines = |name| -> Vec<_> {
        let lines = response.headers().get_all(name).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    };
    assert_eq!(
        lines("ratelimit-policy"),
        [
            r#""upstream";q=1;w=1"#,
            r#""route";q=5;w=10"#,
            r#""all";q=100;w=60"#
        ]
    );
    assert_eq!(
        lines("ratelimit"),
        [
            r#""upstream";r=1;t=1"#,
            r#""route";r=4;t=2"#,
            r#""all";r=99;t=1"#
        ]
    );
    let decision: &RateLimitDecision = response.extensions().get().unwrap();
    let remaining: Vec<_> = decision.iter().map(PolicyDecision::remaining).collect();
    assert_eq!(remaining, [4, 99]);
    assert_eq!(decision.tightest().unwrap().policy().name(), "route");
}

async fn handlers_and_outer_layers_see_the_decision(stand: Stand) {
    let layer = layer(&stand, r#""burst";q=1;w=1000"#);
    let service = around(&layer, |request| {
        let decision: &RateLimitDecision = request.extensions().get().unwrap();
        let policy = decision.tightest().unwrap();
        assert!(decision.is_admitted() && !decision.is_degraded());
        assert_eq!((policy.limit(), policy.remaining()), (1, 0));
        assert_eq!(policy.reset_after(), Duration::from_secs(1_000));
        Response::default()
    });
    let admitted = request(&service).await;
    let decision: &RateLimitDecision = admitted.extensions.get().unwrap();
    assert!(decision.is_admitted());
    // By the store and then by the process.
    for _ in 0..2 {
        let denied = request(&service).await;
        let decision: &RateLimitDecision = denied.extensions.get().unwrap();
        assert!(!decision.is_admitted());
        let wait = decision.retry_after().unwrap().as_secs();
        assert!(about(1_000).contains(&wait), "{wait}");
    }
}

async fn other_dialects_tell_the_tightest_policy(stand: Stand) {
    let two = |dialect| {
        let burst = format!(r#""burst {dialect:?}";q=5;w=10"#);
        let hourly = format!(r#""hourly {dialect:?}";q=1000;w=3600"#);
        let layer = layer(&stand, &burst).with_headers(dialect);
        limited(&layer.and_policy(policy(&hourly)).unwrap())
    };
    let reply = request(&two(HeaderDialect::Draft07)).await;
    assert_eq!(reply.field("ratelimit-policy"), ["5;w=10, 1000;w=3600"]);
    assert_eq!(reply.field("ratelimit"), ["limit=5, remaining=4, reset=2"]);

    let reply = request(&two(HeaderDialect::XRateLimit)).await;
    let fields = ["limit", "remaining", "reset"].map(|f| reply.field(&format!("x-ratelimit-{f}")));
    assert_eq!(fields, [["5"], ["4"], ["2"]]);
    assert!(reply.field("ratelimit").is_empty() && reply.field("ratelimit-policy").is_empty());

    let service = two(HeaderDialect::None);
    statuses(&service, 5).await;
    let denied = request(&service).await;
    assert!(denied.retry_after().is_some());
    assert!(
        denied
            .headers
            .keys()
            .all(|name| !name.as_str().contains("ratelimit"))
    );
}

async fn where_there_is_room_for_one_the_tighter_layer_is_told(stand: Stand) {
    for dialect in [HeaderDialect::Draft07, HeaderDialect::XRateLimit] {
        for (outer, inner) in [(100, 3), (3, 100)] {
            let layer = |q: u32| {
                let item = format!(r#""{dialect:?} {outer} {q}";q={q};w=10"#);
                layer(&stand, &item).with_headers(dialect)
            };
            let service =
                layer(outer).layer(layer(inner).layer(service_fn(async |_: http::Request<()>| {
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
                })));
            let response = service.oneshot(http::Request::default()).await.unwrap();
            let told = match dialect {
                HeaderDialect::Draft07 => &response.headers()["ratelimit"],
                _ => &response.headers()["x-ratelimit-remaining"],
            };
            let told = told.to_str().unwrap();
            assert!(
                told == "2" || told == "limit=3, remaining=2, reset=4",
                "{told}"
            );
        }
    }
}

/// 50 of 1,000 are a smaller part than 9 of 10.
async fn the_tighter_layer_is_the_one_with_the_smaller_part_left(stand: Stand) {
    for dialect in [HeaderDialect::Draft07, HeaderDialect::XRateLimit] {
        for (outer, inner) in [(1_000, 10), (10, 1_000)] {
            let layer = |q: u64| {
                let item = format!(r#""{dialect:?} {outer} {q}";q={q};w=1000000"#);
                let cost = if q == 1_000 { 950 } else { 1 };
                layer(&stand, &item)
                    .with_headers(dialect)
                    .with_cost(move |_| cost)
            };
            let service =
                layer(outer).layer(layer(inner).layer(service_fn(async |_: http::Request<()>| {
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
                })));
            let response = service.oneshot(http::Request::default()).await.unwrap();
            let told = match dialect {
                HeaderDialect::Draft07 => &response.headers()["ratelimit"],
                _ => &response.headers()["x-ratelimit-remaining"],
            };
            let told = told.to_str().unwrap();
            assert!(
                told == "50" || told.starts_with("limit=1000, remaining=50,"),
                "{told}"
            );
        }
    }
}

async fn a_factory_changes_or_replaces_the_denial_which_stays_unstorable(stand: Stand) {
    let layer = layer(&stand, r#""burst";q=1;w=1000"#).with_response(|denial, default| {
        assert_eq!(denial.reason(), DenialReason::QuotaExceeded);
        assert_eq!(denial.request().uri.path(), "/");
        assert!(!denial.decision().unwrap().is_admitted());
        assert!(default.headers().contains_key("ratelimit"));
        let seconds = denial.retry_after().unwrap().as_secs();
        Response::builder()
            .status(503)
            .header("x-wait", seconds)
            .body("slow down".into())
            .unwrap()
    });
    let service = limited(&layer);
    assert_eq!(statuses(&service, 1).await, [200]);
    let denied = request(&service).await;
    assert_eq!(denied.status, StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = denied.field("x-wait")[0].parse().unwrap();
    assert!(about(1_000).contains(&wait), "{wait}");
    assert_eq!(denied.body, "slow down");
    assert_eq!(denied.field("cache-control"), ["no-store"]);
}

#[test]
fn two_policies_of_a_layer_need_two_names() {
    let layer = RateLimitLayer::new(Store::memory(), policy(r#""a";q=1;w=1"#));
    let error = layer.and_policy(policy(r#""a";q=2;w=60"#)).unwrap_err();
    assert!(
        error.to_string().contains(r#"policy "a" is given twice"#),
        "{error}"
    );
}

/// A member of the `RateLimit` field.
#[derive(Debug)]
struct Told {
    name: String,
    remaining: u64,
    /// In seconds.
    time: u64,
}

/// The `RateLimit` field, as a strict parser reads it.
fn told(reply: &Reply) -> Vec<Told> {
    let member = |(name, params): (String, Vec<(String, String)>)| {
        let [(r, remaining), (t, time)] = params.try_into().unwrap();
        assert_eq!([&*r, &*t], ["r", "t"]);
        Told {
            name,
            remaining: remaining.parse().unwrap(),
            time: time.parse().unwrap(),
        }
    };
    parsed(reply, "ratelimit").into_iter().map(member).collect()
}

/// The members of all lines of a field, as a strict parser reads them: names, and parameters with
/// their values.
fn parsed(reply: &Reply, field: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut members = Vec::new();
    for line in reply.field(field) {
        let list: sfv::List = sfv::Parser::new(line).parse().unwrap();
        for member in list {
            let sfv::ListEntry::Item(item) = member else {
                panic!("an inner list in {line}");
            };
            let name = item.bare_item.as_string().unwrap().as_str().to_owned();
            let params = item.params.iter().map(|(key, value)| {
                let value = match value {
                    sfv::BareItem::Integer(number) => number.to_string(),
                    sfv::BareItem::String(text) => text.as_str().to_owned(),
                    sfv::BareItem::ByteSequence(bytes) => format!("{bytes:?}"),
                    other => panic!("{other:?} in {line}"),
                };
                (key.as_str().to_owned(), value)
            });
            members.push((name, params.collect()));
        }
    }
    members
}

async fn the_fields_are_structured_and_have_the_parameters_of_the_draft(stand: Stand) {
    let layer = layer(&stand, r#""a \"quoted\" name";q=5;w=10"#)
        .and_policy(policy(r#""slots";q=3;w=10;alg=concurrency"#))
        .unwrap();
    let layer = layer
        .and_policy(policy(r#""bytes";q=9;w=1;qu="content-bytes""#))
        .unwrap();
    let plain = request(&limited(&layer)).await;
    let member = |name: &str, params: &[(&str, &str)]| {
        let params = params.iter();
        let params = params.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        (name.to_owned(), params.collect::<Vec<_>>())
    };
    let quoted = "a \"quoted\" name";
    assert_eq!(
        parsed(&plain, "ratelimit-policy"),
        [
            member(quoted, &[("q", "5"), ("w", "10")]),
            member("slots", &[("q", "3"), ("qu", "concurrent-requests")]),
            member("bytes", &[("q", "9"), ("w", "1"), ("qu", "content-bytes")]),
        ]
    );
    assert_eq!(
        parsed(&plain, "ratelimit"),
        [
            member(quoted, &[("r", "4"), ("t", "2")]),
            member("slots", &[("r", "2")]),
            member("bytes", &[("r", "8"), ("t", "1")]),
        ]
    );
    let keyed = limited(&layer.with_partition_key());
    let [one, other] = [
        request(&keyed).await,
        super::send(&keyed, super::from("192.0.2.99")).await,
    ];
    for field in ["ratelimit-policy", "ratelimit"] {
        for (_, params) in parsed(&one, field) {
            assert!(params.iter().any(|(key, _)| key == "pk"), "{params:?}");
        }
    }
    // Of each client another one, which says nothing of its address.
    assert_ne!(one.field("ratelimit"), other.field("ratelimit"));
}
