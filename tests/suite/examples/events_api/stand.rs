//! The server as a child process, with or without a Redis of its own behind it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    client::{Client, Reply},
    eventually,
    example::{Example, PATIENT},
    redis::{Backend, RedisConfig},
};

/// What the tests want of every server: cookies over http, and no limit but those they test.
const FLAGS: [&str; 3] = ["--insecure-cookies", "--limit", r#""burst";q=100000;w=60"#];

pub(super) struct Stand {
    // Stopped before its Redis is.
    example: Example,
    redis: Option<Backend>,
}

impl Stand {
    pub(super) fn memory() -> Self {
        Self {
            example: start(None, &[]),
            redis: None,
        }
    }

    /// A server that has found its Redis.
    pub(super) async fn redis() -> Self {
        Self::on(Backend::redis()).await
    }

    /// A server that has found this.
    pub(super) async fn on(redis: Backend) -> Self {
        Self::found(redis, &PATIENT).await
    }

    pub(super) async fn with_redis(config: RedisConfig, flags: &[&str]) -> Self {
        Self::found(Backend::Redis(config.start()), flags).await
    }

    async fn found(redis: Backend, flags: &[&str]) -> Self {
        let stand = Self {
            example: start(Some(&redis), flags),
            redis: Some(redis),
        };
        let client = stand.client();
        // On a busy machine its first connection may take longer than an attempt may.
        eventually("it has found its Redis", async || {
            client.login("nobody").await.status == StatusCode::OK
        })
        .await;
        client.ask(Method::POST, "/logout").await;
        stand
    }

    /// Starts the server anew, with other flags; on embedded memory that forgets everything.
    pub(super) fn restart(&mut self, flags: &[&str]) {
        let patient: Vec<_> = PATIENT.iter().chain(flags).copied().collect();
        self.example = start(self.redis.as_ref(), &patient);
    }

    /// Another server over the same Redis.
    pub(super) fn another(&self) -> Example {
        self.another_with(&[])
    }

    /// Likewise, with these flags.
    pub(super) fn another_with(&self, flags: &[&str]) -> Example {
        let flags: Vec<_> = PATIENT.iter().chain(flags).copied().collect();
        start(Some(self.server()), &flags)
    }

    /// Likewise, one that waits for Redis so many milliseconds.
    pub(super) fn another_of_patience(&self, millis: u32) -> Example {
        let millis = millis.to_string();
        start(Some(self.server()), &["--store-timeout-ms", &millis])
    }

    pub(super) fn example(&mut self) -> &mut Example {
        &mut self.example
    }

    pub(super) fn is_redis(&self) -> bool {
        self.redis.is_some()
    }

    pub(super) fn server(&self) -> &Backend {
        self.redis.as_ref().expect("this stand is on Redis")
    }

    pub(super) fn server_mut(&mut self) -> &mut Backend {
        self.redis.as_mut().expect("this stand is on Redis")
    }

    /// A browser: it keeps its cookies.
    pub(super) fn client(&self) -> Client {
        Client::http1(self.example.addr()).with_cookies()
    }

    /// A browser that has this id.
    pub(super) fn with_id(&self, id: &str) -> Client {
        let client = self.client();
        client.plant(id);
        client
    }

    /// A browser that is logged in.
    pub(super) async fn logged_in(&self, user: &str) -> Client {
        let client = self.client();
        assert_eq!(client.login(user).await.status, StatusCode::OK);
        client
    }
}

pub(super) fn start(redis: Option<&Backend>, flags: &[&str]) -> Example {
    // Of a flag that is given twice the last counts, but for `--limit`, which adds up.
    let own = match flags.contains(&"--limit") {
        true => &FLAGS[..1],
        false => &FLAGS,
    };
    let mut flags: Vec<_> = own.iter().chain(flags).copied().collect();
    if !flags.contains(&"--login-limit") {
        flags.extend(["--login-limit", r#""login";q=100000;w=60"#]);
    }
    on_store(redis, &flags)
}

/// A server with these flags alone.
pub(super) fn on_store(redis: Option<&Backend>, flags: &[&str]) -> Example {
    let url = redis.map_or_else(|| "memory".to_owned(), Backend::url);
    let authority = redis.and_then(Backend::authority);
    // What the server's certificate is checked against.
    let trust = (authority.as_ref()).map(|file| ("SSL_CERT_FILE", file.to_str().unwrap()));
    Example::start_with(
        "events_api",
        &[&["--store", &url], flags].concat(),
        trust.as_slice(),
    )
}

/// What a client of the API does.
pub(super) trait Api {
    async fn login(&self, user: &str) -> Reply;
    /// The status of `/me`, and the visits of who is logged in.
    async fn me(&self) -> (StatusCode, Option<u64>);
    async fn put(&self, path: &str, value: Value) -> StatusCode;
    async fn status(&self, path: &str) -> StatusCode;
    /// How often users and events were read from the database.
    async fn reads(&self) -> (u64, u64);
    /// The session's id as the client has it.
    fn id(&self) -> Option<String>;
    /// Makes the client one that has this id.
    fn plant(&self, id: &str);
}

impl Api for Client {
    async fn login(&self, user: &str) -> Reply {
        let login = json!({"user": user, "device": "laptop"});
        self.post_json("/login", &login).await
    }

    async fn me(&self) -> (StatusCode, Option<u64>) {
        let reply = self.get("/me").await;
        let visits = reply.json::<Value>()["visits"].as_u64();
        (reply.status, visits)
    }

    async fn put(&self, path: &str, value: Value) -> StatusCode {
        self.send_json(Method::PUT, path, &value).await.status
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.get(path).await.status
    }

    async fn reads(&self) -> (u64, u64) {
        let reads: Value = self.get("/_debug/reads").await.json();
        let count = |what: &str| reads[what].as_u64().unwrap();
        (count("users"), count("events"))
    }

    fn id(&self) -> Option<String> {
        self.cookies().get("id").map(str::to_owned)
    }

    fn plant(&self, id: &str) {
        self.cookies().set("id", id);
    }
}

/// Checks that a reply is problem details of this status.
#[track_caller]
pub(super) fn assert_problem(reply: &Reply, status: StatusCode) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = reply.json();
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["title"].is_string(), "{problem}");
    problem
}
