//! Limits that only watch.

use http::Response;
use tower_keep::rate_limit::{Key, MissingKey, RateLimitDecision, RateLimitLayer};

use super::stand::Stand;
use super::{around, in_memory, limited, request, statuses};
use crate::harness::{log::Log, on_all_stores};

on_all_stores!(
    what_would_be_denied_passes_and_its_client_is_told_nothing,
    what_would_be_denied_is_logged_with_the_policies_that_it_violates,
);

async fn what_would_be_denied_passes_and_its_client_is_told_nothing(stand: Stand) {
    let layer = RateLimitLayer::from_limiter(stand.limiter(r#""burst";q=2;w=3600"#));
    let layer = layer.with_shadow(true);
    let service = around(&layer, |request| {
        let decision: &RateLimitDecision = request.extensions().get().unwrap();
        let header = if decision.is_admitted() { "yes" } else { "no" };
        Response::builder()
            .header("admitted", header)
            .body(Default::default())
            .unwrap()
    });
    for admitted in ["yes", "yes", "no", "no"] {
        let reply = request(&service).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.field("admitted"), [admitted]);
        let told: &RateLimitDecision = reply.extensions.get().unwrap();
        assert_eq!(told.is_admitted(), admitted == "yes");
        assert!(reply.field("ratelimit").is_empty() && reply.field("ratelimit-policy").is_empty());
        assert_eq!(reply.retry_after(), None);
    }
    let enforced = limited(&layer.with_shadow(false));
    assert_eq!(statuses(&enforced, 1).await, [429]);
}

async fn what_would_be_denied_is_logged_with_the_policies_that_it_violates(stand: Stand) {
    let (log, _guard) = Log::start();
    let layer = RateLimitLayer::from_limiter(stand.limiter(r#""burst";q=2;w=3600"#));
    let layer = layer
        .and_policy(super::policy(r#""wide";q=9;w=3600"#))
        .unwrap();
    let service = limited(&layer.with_shadow(true));
    let told = || {
        let text = log.text();
        let lines = text.lines().filter(|line| line.contains("shadow mode"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&service, 2).await, [200; 2]);
    assert_eq!(told(), [""; 0]);
    assert_eq!(statuses(&service, 2).await, [200; 2]);
    assert_eq!(told().len(), 2);
    for line in told() {
        assert!(line.contains(" INFO tower_keep::rate_limit"), "{line}");
        assert!(
            line.contains(r#"reason=QuotaExceeded violated=["burst"]"#),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_missing_key_passes_too() {
    let key = Key::header("x-api-key".parse().unwrap());
    let layer = in_memory(r#""burst";q=2;w=3600"#).with_key(key);
    let layer = layer.on_missing_key(MissingKey::Deny).with_shadow(true);
    assert_eq!(statuses(&limited(&layer), 3).await, [200; 3]);
}
