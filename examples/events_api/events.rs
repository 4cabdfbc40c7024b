//! Events: public, and kept by the response cache.

use std::num::NonZeroUsize;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tower_keep::cache::CacheLayer;

use crate::{
    answer::{Error, Json, Path, Query},
    app::App,
    login::LoggedIn,
    repository::Event,
};

/// All that a new event makes out of date is one group (RFC 9875).
const GROUP: &str = r#""events""#;
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

pub fn routes(cache: CacheLayer) -> Router<App> {
    Router::new()
        .route("/events", get(list).post(create))
        .route("/events/{id}", get(read))
        .layer(cache)
}

#[derive(Debug, Deserialize)]
struct Pages {
    page: Option<NonZeroUsize>,
}

#[derive(Debug, Serialize)]
struct Page {
    page: NonZeroUsize,
    events: Vec<Event>,
}

async fn list(
    State(app): State<App>,
    Query(Pages { page }): Query<Pages>,
) -> Result<Response, Error> {
    let page = page.unwrap_or(NonZeroUsize::MIN);
    let events = app.repository.events(page).await;
    Ok(public(&Page { page, events }))
}

async fn read(State(app): State<App>, Path(id): Path<u64>) -> Result<Response, Error> {
    Ok(public(&app.repository.event(id).await?))
}

#[derive(Debug, Deserialize)]
struct NewEvent {
    title: String,
}

async fn create(
    State(app): State<App>,
    _: LoggedIn,
    Json(NewEvent { title }): Json<NewEvent>,
) -> Result<impl IntoResponse, Error> {
    let event = app.repository.create_event(title).await;
    let headers = [
        (LOCATION, format!("/events/{}", event.id)),
        (CACHE_GROUP_INVALIDATION, GROUP.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, Json(event)))
}

/// JSON that any cache may keep for five minutes.
fn public(value: &impl Serialize) -> Response {
    let json = serde_json::to_vec(value).expect("a page or an event can be written as JSON");
    let digest = &Sha256::digest(&json)[..12];
    let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(digest));
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CACHE_CONTROL, "public, max-age=300".to_owned()),
        (CACHE_GROUPS, GROUP.to_owned()),
        (ETAG, etag),
    ];
    (headers, json).into_response()
}
