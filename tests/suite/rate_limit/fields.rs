//! What clients, handlers and outer layers are told.

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

use super::{around, in_memory, limited, policy, request, statuses};

#[tokio::test(start_paused = true)]
async fn responses_carry_the_fields_of_draft_10_and_a_denial_when_to_come_again() {
    let service = limited(&in_memory(r#""burst";q=5;w=10"#));
    let first = request(&service).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.field("ratelimit-policy"), [r#""burst";q=5;w=10"#]);
    assert_eq!(first.field("ratelimit"), [r#""burst";r=4;t=2"#]);
    assert_eq!(first.retry_after(), None);
    advance(Duration::from_millis(500)).await;
    assert_eq!(statuses(&service, 4).await, [200; 4]);

    let sixth = request(&service).await;
    assert_eq!(sixth.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sixth.field("ratelimit-policy"), [r#""burst";q=5;w=10"#]);
    assert_eq!(sixth.field("ratelimit"), [r#""burst";r=0;t=2"#]);
    assert_eq!(sixth.retry_after(), Some(2));
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

    advance(Duration::from_secs(2)).await;
    assert_eq!(request(&service).await.status, StatusCode::OK);
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

#[tokio::test(start_paused = true)]
async fn every_policy_is_listed_and_the_denied_request_has_consumed_of_none() {
    let layer = in_memory(r#""burst";q=3;w=10"#);
    let layer = layer.and_policy(policy(r#""hourly";q=10;w=3600"#)).unwrap();
    let service = limited(&layer);
    assert_eq!(statuses(&service, 5).await, [200, 200, 200, 429, 429]);
    advance(Duration::from_millis(500)).await;
    let denied = request(&service).await;
    assert_eq!(
        denied.field("ratelimit-policy"),
        [r#""burst";q=3;w=10, "hourly";q=10;w=3600"#]
    );
    assert_eq!(
        denied.field("ratelimit"),
        [r#""burst";r=0;t=3, "hourly";r=7;t=360"#]
    );
    assert_eq!(denied.retry_after(), Some(3));
    assert_eq!(denied.json()["violated-policies"], json!(["burst"]));
}

#[tokio::test(start_paused = true)]
async fn of_two_violated_policies_the_longer_wait_counts() {
    let layer = in_memory(r#""burst";q=3;w=10;alg=fixed"#);
    let layer = layer
        .and_policy(policy(r#""hourly";q=3;w=3600;alg=fixed"#))
        .unwrap();
    let service = limited(&layer);
    statuses(&service, 3).await;
    advance(Duration::from_millis(500)).await;
    let denied = request(&service).await;
    assert_eq!(
        denied.json()["violated-policies"],
        json!(["burst", "hourly"])
    );
    assert_eq!(
        denied.field("ratelimit"),
        [r#""burst";r=0;t=10, "hourly";r=0;t=3600"#]
    );
    assert_eq!(denied.retry_after(), Some(3_600));
}

#[tokio::test]
async fn stacked_layers_and_the_upstream_stand_beside_each_other() {
    let inner = in_memory(r#""route";q=5;w=10"#);
    let outer = in_memory(r#""all";q=100;w=60"#);
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

#[tokio::test(start_paused = true)]
async fn handlers_and_outer_layers_see_the_decision() {
    let layer = in_memory(r#""burst";q=1;w=10"#);
    let service = around(&layer, |request| {
        let decision: &RateLimitDecision = request.extensions().get().unwrap();
        let policy = decision.tightest().unwrap();
        assert!(decision.is_admitted() && !decision.is_degraded());
        assert_eq!((policy.limit(), policy.remaining()), (1, 0));
        assert_eq!(policy.reset_after(), Duration::from_secs(10));
        Response::default()
    });
    let admitted = request(&service).await;
    assert!(
        admitted
            .extensions
            .get::<RateLimitDecision>()
            .unwrap()
            .is_admitted()
    );
    advance(Duration::from_secs(4)).await;
    let denied = request(&service).await;
    let decision = denied.extensions.get::<RateLimitDecision>().unwrap();
    assert!(!decision.is_admitted());
    let wait = decision.retry_after().unwrap().as_secs_f64();
    assert!((wait - 6.0).abs() < 0.1, "{wait}");
}

#[tokio::test(start_paused = true)]
async fn other_dialects_tell_the_tightest_policy() {
    let two = |dialect| {
        let layer = in_memory(r#""burst";q=5;w=10"#).with_headers(dialect);
        limited(
            &layer
                .and_policy(policy(r#""hourly";q=1000;w=3600"#))
                .unwrap(),
        )
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

#[tokio::test]
async fn where_there_is_room_for_one_the_tighter_layer_is_told() {
    for dialect in [HeaderDialect::Draft07, HeaderDialect::XRateLimit] {
        for (outer, inner) in [(100, 3), (3, 100)] {
            let layer = |q: u32| in_memory(&format!(r#""p{q}";q={q};w=10"#)).with_headers(dialect);
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

#[tokio::test]
async fn a_factory_changes_or_replaces_the_denial_which_stays_unstorable() {
    let layer = in_memory(r#""burst";q=1;w=10"#).with_response(|denial, default| {
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
    assert_eq!(
        (denied.field("x-wait"), &*denied.body),
        (vec!["9"], &b"slow down"[..])
    );
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

/// Each line of both fields, as a strict parser reads them: names, and parameters by name.
fn parsed(reply: &super::Reply, field: &str) -> Vec<(String, Vec<String>)> {
    let mut members = Vec::new();
    for line in reply.field(field) {
        let list: sfv::List = sfv::Parser::new(line).parse().unwrap();
        for member in list {
            let sfv::ListEntry::Item(item) = member else {
                panic!("an inner list in {line}");
            };
            let name = item.bare_item.as_string().unwrap().as_str().to_owned();
            let params = item.params.keys().map(|key| key.as_str().to_owned());
            members.push((name, params.collect()));
        }
    }
    members
}

#[tokio::test]
async fn the_fields_are_structured_and_have_the_parameters_of_the_draft() {
    let layer = in_memory(r#""a \"quoted\" name";q=5;w=10"#)
        .and_policy(policy(r#""slots";q=3;w=10;alg=concurrency"#))
        .unwrap();
    let layer = layer
        .and_policy(policy(r#""bytes";q=9;w=1;qu="content-bytes""#))
        .unwrap();
    let plain = request(&limited(&layer)).await;
    let names = |params: &[&str]| {
        params
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let quoted = "a \"quoted\" name".to_owned();
    assert_eq!(
        parsed(&plain, "ratelimit-policy"),
        [
            (quoted.clone(), names(&["q", "w"])),
            ("slots".to_owned(), names(&["q", "qu"])),
            ("bytes".to_owned(), names(&["q", "w", "qu"])),
        ]
    );
    assert_eq!(
        parsed(&plain, "ratelimit"),
        [
            (quoted, names(&["r", "t"])),
            ("slots".to_owned(), names(&["r"])),
            ("bytes".to_owned(), names(&["r", "t"])),
        ]
    );
    let keyed = limited(&layer.with_partition_key());
    let [one, other] = [
        request(&keyed).await,
        super::send(&keyed, super::from("192.0.2.99")).await,
    ];
    for field in ["ratelimit-policy", "ratelimit"] {
        for (_, params) in parsed(&one, field) {
            assert!(params.contains(&"pk".to_owned()), "{params:?}");
        }
    }
    // Of each client another one, which says nothing of its address.
    assert_ne!(one.field("ratelimit"), other.field("ratelimit"));
}
