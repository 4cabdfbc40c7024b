//! What is answered, and to whom.

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode};
use tower::ServiceExt;
use tower_keep::{
    Store,
    health::{Health, Status},
};

use super::{json, ready};
use crate::harness::{connected::PATIENT, redis::Backend};

#[tokio::test]
async fn live_is_200_and_asks_nobody() {
    let backend = Backend::redis();
    let health = Health::new(backend.connected(PATIENT).await);
    backend.reset_stats();
    for _ in 0..3 {
        let request = Request::get("/").body(()).unwrap();
        let response = health.live().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(json(response).await["status"], "live");
    }
    assert!(backend.command_calls().is_empty());
}

#[tokio::test]
async fn embedded_memory_is_ready() {
    let (status, report) = ready(&Health::new(Store::memory())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(report["status"], "ready");
    let store = &report["stores"][0];
    assert_eq!(
        (&store["name"], &store["kind"]),
        (&"store".into(), &"memory".into())
    );
    assert_eq!(store["breaker"], "closed");
    assert!(store["latency_ms"].as_f64().unwrap() < 1000.0);
    for absent in ["error", "refused", "servers"] {
        assert!(store.get(absent).is_none(), "{report}");
    }
}

#[tokio::test]
async fn a_server_is_ready_and_asked_once() {
    let backend = Backend::redis();
    let health = Health::new(backend.connected(PATIENT).await);
    backend.reset_stats();
    let (status, report) = ready(&health).await;
    assert_eq!(
        (status, &report["status"]),
        (StatusCode::OK, &"ready".into())
    );
    assert_eq!(report["stores"][0]["kind"], "redis");
    assert_eq!(
        backend.command_calls().into_iter().collect::<Vec<_>>(),
        [("dbsize".to_owned(), 1)]
    );
}

#[tokio::test]
async fn the_master_behind_sentinels_and_a_restricted_user_are_ready() {
    for backend in [Backend::sentinel(), Backend::restricted()] {
        let (status, report) = ready(&Health::new(backend.connected(PATIENT).await)).await;
        assert_eq!(
            (status, &report["status"]),
            (StatusCode::OK, &"ready".into())
        );
    }
}

#[tokio::test]
async fn every_shard_of_a_cluster_has_a_line() {
    let backend = Backend::cluster();
    // One that has not read the cluster's map yet, too.
    for store in [
        backend.connected(PATIENT).await,
        super::store(&backend.url(), PATIENT),
    ] {
        let (status, report) = ready(&Health::new(store)).await;
        assert_eq!(
            (status, &report["status"]),
            (StatusCode::OK, &"ready".into())
        );
        let store = &report["stores"][0];
        assert_eq!(store["kind"], "redis cluster");
        let servers = store["servers"].as_array().unwrap();
        assert_eq!(servers.len(), 3, "{report}");
        for server in servers {
            assert_eq!(server["status"], "ready");
            assert!(
                server["address"]
                    .as_str()
                    .unwrap()
                    .starts_with("127.0.0.1:")
            );
            assert!(server["latency_ms"].is_number());
        }
    }
}

#[tokio::test]
async fn several_stores_are_as_well_as_the_worst() {
    let nobody = super::store("redis://127.0.0.1:1/", PATIENT);
    let health = Health::new(Store::memory()).and_store("sessions", nobody);
    let report = health.check().await;
    assert_eq!(report.status, Status::Unavailable);
    let each: Vec<_> = report
        .stores
        .iter()
        .map(|store| (&*store.name, store.status))
        .collect();
    assert_eq!(
        each,
        [("store", Status::Ready), ("sessions", Status::Unavailable)]
    );
}

#[tokio::test]
async fn both_are_routes_of_axum_for_get_and_head() {
    let health = Health::new(Store::memory());
    let app: Router = Router::new()
        .route_service("/_health/live", health.live())
        .route_service("/_health/ready", health.ready());
    for path in ["/_health/live", "/_health/ready"] {
        for (method, status) in [
            (Method::GET, StatusCode::OK),
            (Method::HEAD, StatusCode::OK),
            (Method::POST, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(Body::empty());
            let response = app.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(response.status(), status);
            let is_refused = status == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(response.headers().contains_key("allow"), is_refused);
            let expected = match is_refused {
                true => "application/problem+json",
                false => "application/json",
            };
            assert_eq!(response.headers()["content-type"], expected);
        }
    }
}

#[test]
fn the_services_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let health = Health::new(Store::memory());
    shared(&health);
    shared(&health.live());
    shared(&health.ready());
}
