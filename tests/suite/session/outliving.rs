//! A stream of events and an upgraded connection that write to their session, over real sockets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::get};
use http::{Response, StatusCode};
use http_body_util::Channel;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tower_keep::session::{Session, SessionError};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::raw::RawClient;

on_all_stores!(
    a_stream_of_events_writes_to_its_session_until_its_user_logs_out,
    an_upgraded_connection_writes_to_its_session_until_its_user_logs_out,
);

/// What a save has come to, in four bytes.
fn word(saved: &Result<(), SessionError>) -> &'static str {
    match saved {
        Ok(()) => "okay",
        Err(SessionError::Ended) => "over",
        Err(SessionError::TooLateForCookie) => "late",
        Err(_) => "fail",
    }
}

async fn write(session: &Session, n: u32) -> Result<(), SessionError> {
    session.insert("n", n)?;
    session.save().await
}

/// A server whose `/events` writes to the session and sends an event whenever it is told a number,
/// and whose `/socket` does so for each byte that it gets.
struct Site {
    addr: SocketAddr,
    tell: mpsc::UnboundedSender<u32>,
}

async fn site(stand: &Stand) -> Site {
    if !stand.is_redis() {
        // Sockets know nothing of a clock that is driven.
        tokio::time::resume();
    }
    let (tell, told) = mpsc::unbounded_channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let events = async move |session: Session| -> Result<_, SessionError> {
        session.save().await?;
        let mut told = told.lock().unwrap().take().expect("one stream of events");
        let (mut events, body) = Channel::<bytes::Bytes>::new(1);
        tokio::spawn(async move {
            while let Some(n) = told.recv().await {
                let saved = write(&session, n).await;
                if events.send_data(word(&saved).into()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Body::new(body)))
    };
    let socket = async |session: Session, request: Request| -> Result<_, SessionError> {
        session.save().await?;
        tokio::spawn(async move {
            let socket = hyper::upgrade::on(request).await.unwrap();
            let mut socket = TokioIo::new(socket);
            while let Ok(n) = socket.read_u8().await {
                let saved = write(&session, n.into()).await;
                socket.write_all(word(&saved).as_bytes()).await.unwrap();
            }
        });
        let head = [("connection", "upgrade"), ("upgrade", "bytes")];
        Ok((StatusCode::SWITCHING_PROTOCOLS, head).into_response())
    };
    let app = Router::new()
        .route("/events", get(events))
        .route("/socket", get(socket))
        .layer(stand.layer.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Site { addr, tell }
}

impl Site {
    /// A connection whose request to `path` was answered.
    async fn open(&self, path: &str, client: &Client) -> RawClient {
        let cookie = (client.id()).map(|id| format!("cookie: __Host-id={id}\r\n"));
        let cookie = cookie.unwrap_or_default();
        let upgrade = "connection: upgrade\r\nupgrade: bytes\r\n";
        let mut connection = RawClient::connect(self.addr).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{upgrade}{cookie}\r\n");
        connection.send(request).await;
        let head = connection.head().await;
        assert!(!head.contains("set-cookie"), "{head}");
        connection
    }

    /// Has `/events` write `n`, and answers the event that comes of it.
    async fn event(&self, connection: &mut RawClient, n: u32) -> String {
        self.tell.send(n).unwrap();
        // A chunk of four bytes.
        let chunk = String::from_utf8(connection.read(9).await).unwrap();
        assert!(
            chunk.starts_with("4\r\n") && chunk.ends_with("\r\n"),
            "{chunk:?}"
        );
        chunk[3..7].to_owned()
    }
}

async fn a_stream_of_events_writes_to_its_session_until_its_user_logs_out(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let site = site(&stand).await;
    let mut events = site.open("/events", &client).await;
    for n in 0..3 {
        assert_eq!(site.event(&mut events, n).await, "okay");
        assert_eq!(client.get("n").await, Some(json!(n)));
        client.renew().await;
        client.login("ada").await;
    }
    client.copy().logout().await;
    assert_eq!(site.event(&mut events, 4).await, "over");
    assert_eq!(client.get("n").await, None);
    if stand.is_redis() {
        // Only pointers are left, which have one field.
        for key in stand.session_keys() {
            assert_eq!(stand.server().query::<i64>(&["HLEN", &key]), 1);
        }
    }
}

async fn an_upgraded_connection_writes_to_its_session_until_its_user_logs_out(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let site = site(&stand).await;
    let mut socket = site.open("/socket", &client).await;
    for n in 0..3_u8 {
        socket.send([n]).await;
        assert_eq!(socket.read(4).await, b"okay");
        assert_eq!(client.get("n").await, Some(json!(n)));
    }
    client.copy().logout().await;
    socket.send([4]).await;
    assert_eq!(socket.read(4).await, b"over");
    assert_eq!(client.get("n").await, None);
    // Without a session before the head there is none after it.
    let mut socket = site.open("/socket", &stand.client()).await;
    socket.send([1]).await;
    assert_eq!(socket.read(4).await, b"late");
}

/// The save fails within the deadline, and the next one stores what that could not.
#[tokio::test]
async fn a_save_that_the_store_fails_is_an_error_and_can_be_tried_again() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let stand = Stand::redis().await.with_deadline(DEADLINE);
    let client = stand.logged_in("ada").await;
    let session = client
        .visit(async |session| {
            session.save().await.unwrap();
            session
        })
        .await;
    session.insert("n", 1).unwrap();
    session.insert("m", 1).unwrap();
    stand.server().pause();
    let start = Instant::now();
    let error = session.save().await.unwrap_err();
    assert!(matches!(error, SessionError::Unavailable(_)), "{error}");
    assert!(start.elapsed() < DEADLINE * 3, "{:?}", start.elapsed());
    session.insert("n", 2).unwrap();
    stand.server().resume();
    crate::harness::eventually("the store answers", async || {
        stand.store.ping().await.is_ok()
    })
    .await;
    session.save().await.unwrap();
    assert_eq!(client.get("n").await, Some(json!(2)));
    assert_eq!(client.get("m").await, Some(json!(1)));
}

#[tokio::test]
async fn what_is_never_saved_is_a_warning() {
    let (log, _guard) = crate::harness::log::Log::start();
    let stand = Stand::memory();
    let client = stand.logged_in("ada").await;
    for saves in [true, false] {
        let session = client
            .visit(async |session| {
                session.save().await.unwrap();
                session
            })
            .await;
        session.insert("n", 1).unwrap();
        if saves {
            session.save().await.unwrap();
        }
        drop(session);
        assert_eq!(log.text().contains("never saved"), !saves, "{}", log.text());
    }
}
