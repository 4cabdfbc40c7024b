//! `axum-login` on our store, by the bridge to `tower-sessions`.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    response::IntoResponse,
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId,
    tower_sessions::{
        SessionManagerLayer, SessionStore as _,
        session::{Id, Record},
    },
};
use http::{Request, Response, StatusCode};
use tower::ServiceExt;
use tower_keep::session::TowerSessionsStore;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    axum_login_runs_on_the_store,
    a_record_that_was_deleted_is_not_brought_back_by_a_late_save,
    a_record_reads_back_until_it_expires,
    a_record_is_saved_as_long_as_it_lives_and_ends_when_the_save_says,
);

#[derive(Debug, Clone)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"the hash of the password"
    }
}

#[derive(Debug, Clone)]
struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(name)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id.clone())))
    }
}

type Auth = AuthSession<Users>;

async fn login(mut auth: Auth) -> impl IntoResponse {
    let user = auth.authenticate("ada".to_owned()).await.unwrap().unwrap();
    auth.login(&user).await.unwrap();
}

async fn logout(mut auth: Auth) -> impl IntoResponse {
    auth.logout().await.unwrap();
}

async fn me(auth: Auth) -> Result<String, StatusCode> {
    auth.user.map(|user| user.0).ok_or(StatusCode::UNAUTHORIZED)
}

fn app(stand: &Stand) -> Router {
    let store = TowerSessionsStore::new(stand.store.clone());
    let sessions = SessionManagerLayer::new(store);
    Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .layer(AuthManagerLayerBuilder::new(Users, sessions).build())
}

async fn ask(app: &Router, method: &str, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("cookie", cookie).body(Body::empty());
    app.clone().oneshot(request.unwrap()).await.unwrap()
}

async fn axum_login_runs_on_the_store(stand: Stand) {
    let app = app(&stand);
    let status = async |cookie: &str| ask(&app, "GET", "/me", cookie).await.status();
    assert_eq!(status("").await, StatusCode::UNAUTHORIZED);
    let response = ask(&app, "POST", "/login", "").await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(status(&cookie).await, StatusCode::OK);
    if stand.is_redis() {
        let key = stand.only_key();
        let id = cookie.split_once('=').unwrap().1;
        assert!(!key.contains(id), "{key}");
    }
    let again = ask(&app, "POST", "/login", &cookie).await;
    assert_eq!(again.status(), StatusCode::OK);
    let cookie = match again.headers().get("set-cookie") {
        Some(cookie) => cookie
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned(),
        None => cookie,
    };
    assert_eq!(status(&cookie).await, StatusCode::OK);
    ask(&app, "POST", "/logout", &cookie).await;
    assert_eq!(status(&cookie).await, StatusCode::UNAUTHORIZED);
    if stand.is_redis() {
        assert_eq!(stand.session_keys(), [""; 0]);
    }
}

fn record(value: &str) -> Record {
    Record {
        id: Id::default(),
        data: [("k".to_owned(), value.into()), (value.to_owned(), 1.into())].into(),
        expiry_date: time_from_now(100),
    }
}

fn time_from_now(seconds: i64) -> cookie::time::OffsetDateTime {
    cookie::time::OffsetDateTime::now_utc() + cookie::time::Duration::seconds(seconds)
}

async fn a_record_that_was_deleted_is_not_brought_back_by_a_late_save(stand: Stand) {
    let store = TowerSessionsStore::new(stand.store.clone());
    let mut record = record("v");
    store.create(&mut record).await.unwrap();
    store.delete(&record.id).await.unwrap();
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn a_record_reads_back_until_it_expires(stand: Stand) {
    let store = TowerSessionsStore::new(stand.store.clone());
    let mut first = record("v");
    store.create(&mut first).await.unwrap();
    let taken = first.id;
    let mut second = Record {
        id: taken,
        ..record("w")
    };
    store.create(&mut second).await.unwrap();
    assert_ne!(second.id, taken);
    let loaded = store.load(&taken).await.unwrap().unwrap();
    assert_eq!(loaded.data, first.data);
    let off = loaded.expiry_date - first.expiry_date;
    assert!(off.abs() < cookie::time::Duration::seconds(10), "{off}");

    // What a save leaves out is gone, and the expiry is the new one.
    first.data.remove("v");
    first.expiry_date = time_from_now(1000);
    store.save(&first).await.unwrap();
    assert_eq!(store.load(&taken).await.unwrap().unwrap().data, first.data);
    stand.advance(std::time::Duration::from_secs(500)).await;
    assert!(store.load(&taken).await.unwrap().is_some());
    assert_eq!(store.load(&second.id).await.unwrap(), None);
    stand.advance(std::time::Duration::from_secs(600)).await;
    assert_eq!(store.load(&taken).await.unwrap(), None);
    if stand.is_redis() {
        stand.server().assert_every_key_has_a_ttl();
    }
}

async fn a_record_is_saved_as_long_as_it_lives_and_ends_when_the_save_says(stand: Stand) {
    let store = TowerSessionsStore::new(stand.store.clone());
    let mut saved = record("v");
    saved.expiry_date = time_from_now(1_000);
    store.create(&mut saved).await.unwrap();
    let load = async || store.load(&saved.id).await.unwrap();
    // The store's clock moves, the record's does not: both have 1,000 seconds each time.
    for round in 0..3 {
        stand.advance(std::time::Duration::from_secs(600)).await;
        let mut again = load().await.unwrap();
        again.data.insert("round".to_owned(), round.into());
        again.expiry_date = time_from_now(1_000);
        store.save(&again).await.unwrap();
        assert_eq!(load().await.unwrap().data["round"], round);
    }
    // Less is left than has passed since the last save.
    stand.advance(std::time::Duration::from_secs(600)).await;
    let mut again = load().await.unwrap();
    again.data.insert("round".to_owned(), 3.into());
    again.expiry_date = time_from_now(100);
    store.save(&again).await.unwrap();
    assert_eq!(load().await.unwrap().data["round"], 3);
    stand.advance(std::time::Duration::from_secs(99)).await;
    assert!(load().await.is_some());
    stand.advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(load().await, None);

    // One that has ended by its own word is gone at once.
    let mut ended = record("v");
    store.create(&mut ended).await.unwrap();
    ended.expiry_date = time_from_now(-10);
    store.save(&ended).await.unwrap();
    stand.advance(std::time::Duration::from_millis(2)).await;
    assert_eq!(store.load(&ended.id).await.unwrap(), None);
}
