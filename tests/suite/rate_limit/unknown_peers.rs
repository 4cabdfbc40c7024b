//! A server that does not tell the peers of its connections apart.

use std::process::Command;

use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::ServiceExt;

use super::in_memory;
use crate::harness::log::Log;

/// What is said once is said once a process, so the test that looks has one of its own.
#[test]
fn what_to_add_is_said_in_one_line_and_once() {
    let this = std::env::current_exe().unwrap();
    let name = "rate_limit::unknown_peers::in_a_process_of_its_own";
    let mut child = Command::new(this);
    let ended = child.args([name, "--exact", "--ignored"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "the test above runs it, in a process of its own"]
async fn in_a_process_of_its_own() {
    let (log, _guard) = Log::start();
    // As with axum's `into_make_service()`: without connect info.
    let app = |item: &str| {
        let router: Router = Router::new().route("/", get(async || "hello"));
        router.layer(in_memory(item))
    };
    for app in [app(r#""a";q=2;w=3600"#), app(r#""b";q=2;w=3600"#)] {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let request = Request::get("/").body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            statuses.push(response.status().as_u16());
        }
        // All of them share one budget.
        assert_eq!(statuses, [200, 200, 429]);
    }
    let text = log.text();
    let warnings: Vec<_> = text
        .lines()
        .filter(|line| line.contains(" WARN "))
        .collect();
    assert_eq!(warnings.len(), 1, "{text}");
    let line = warnings[0];
    let add = "`app.into_make_service_with_connect_info::<SocketAddr>()`";
    assert!(
        line.contains("tower_keep::rate_limit") && line.contains(add),
        "{line}"
    );
}
