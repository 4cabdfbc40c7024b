//! The same work written by hand, with one connection that all requests share or one of the pool
//! for each request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    BoxError, Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{COOKIE, SET_COOKIE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use deadpool_redis::{
    Config, Connection, Pool, Runtime,
    redis::{
        AsyncCommands as _, Client,
        aio::{ConnectionLike, MultiplexedConnection},
        cmd,
    },
};
use serde::{Deserialize, Serialize};

use crate::site::{CACHEABLE, CLIENT, LOGIN, PAGE, THREE, USER, page, page_of, pages};

/// GCRA as it is usually written: the quota is one unit a microsecond, by a double's arithmetic.
const GCRA: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local unit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or 0)
if arrival < now then arrival = now end
local new = arrival + unit
local over = new - window - now
if over > 0 then return {0, 0, over, arrival - now} end
redis.call('SET', KEYS[1], new, 'PX', math.ceil((new - now) / 1000) + 1)
return {1, math.floor((window + now - new) / unit), 0, new - now}
";
/// The window of a limit, in microseconds.
const WINDOW: u64 = 100_000_000;
/// Seconds that a session and a page live.
const HOUR: u64 = 3600;

/// Where each step gets its connection.
trait Connections: Clone + Send + Sync + 'static {
    type Connection: ConnectionLike + Send + Sync;

    fn get(&self) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;
}

/// Checks one out of the pool.
impl Connections for Pool {
    type Connection = Connection;

    async fn get(&self) -> Result<Connection, BoxError> {
        Ok(Self::get(self).await?)
    }
}

/// Clones the one that all share.
impl Connections for MultiplexedConnection {
    type Connection = Self;

    async fn get(&self) -> Result<Self, BoxError> {
        Ok(self.clone())
    }
}

pub(crate) async fn connect(redis_url: &str) -> Result<MultiplexedConnection, BoxError> {
    Ok(Client::open(redis_url)?
        .get_multiplexed_async_connection()
        .await?)
}

/// What the steps share.
#[derive(Clone)]
struct Steps<C> {
    connections: C,
    script: Arc<str>,
    /// Which limit a step checks.
    limit: &'static str,
}

impl<C: Clone> Steps<C> {
    fn of_limit(&self, limit: &'static str) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }
}

pub(crate) async fn router(
    work: &str,
    connections: &str,
    redis_url: &str,
) -> Result<Router, BoxError> {
    let mut shared = connect(redis_url).await?;
    let script: String = cmd("SCRIPT")
        .arg("LOAD")
        .arg(GCRA)
        .query_async(&mut shared)
        .await?;
    let script = script.into();
    match connections {
        "shared" => routes(
            work,
            Steps {
                connections: shared,
                script,
                limit: "load",
            },
        ),
        "pooled" => {
            let pool = Config::from_url(redis_url).create_pool(Some(Runtime::Tokio1))?;
            routes(
                work,
                Steps {
                    connections: pool,
                    script,
                    limit: "load",
                },
            )
        }
        _ => Err("connections are shared or pooled".into()),
    }
}

fn routes<C: Connections>(work: &str, steps: Steps<C>) -> Result<Router, BoxError> {
    let limits = steps.clone();
    let limit_of = |name| from_fn_with_state(limits.of_limit(name), limit::<C>);
    let session = from_fn_with_state(steps.clone(), session::<C>);
    let login = Router::new()
        .route(LOGIN, get(login::<C>))
        .with_state(steps.clone());
    Ok(match work {
        "limit" => pages().layer(limit_of("load")),
        "limit-three" => THREE
            .into_iter()
            .fold(pages(), |pages, name| pages.layer(limit_of(name))),
        "session" => pages().layer(session).merge(login),
        "session-write" => Router::new()
            .route(PAGE, get(write::<C>))
            .with_state(steps)
            .merge(login),
        "stack" => Router::new()
            .route(CACHEABLE, get(cached::<C>))
            .with_state(steps)
            .layer(session)
            .merge(login)
            .layer(limit_of("load")),
        _ => return Err(format!("nobody has written {work} by hand").into()),
    })
}

/// Whatever went wrong: the load says so and ends.
#[derive(Debug)]
struct Failed(BoxError);

impl<E: Into<BoxError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.0.to_string()).into_response()
    }
}

async fn limit<C: Connections>(
    State(steps): State<Steps<C>>,
    request: Request,
    next: Next,
) -> Result<Response, Failed> {
    let client = request.headers().get(CLIENT).ok_or("no client")?.to_str()?;
    let mut evalsha = cmd("EVALSHA");
    evalsha
        .arg(&*steps.script)
        .arg(1)
        .arg(format!("limit:{}:{client}", steps.limit));
    evalsha.arg(1).arg(WINDOW);
    let (admitted, left, _, reset): (i64, i64, i64, i64) = {
        let mut connection = steps.connections.get().await?;
        evalsha.query_async(&mut connection).await?
    };
    if admitted == 0 {
        return Ok(StatusCode::TOO_MANY_REQUESTS.into_response());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("ratelimit-remaining", HeaderValue::from(left));
    headers.insert("ratelimit-reset", HeaderValue::from(reset / 1_000_000));
    Ok(response)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    user: String,
    number: u64,
}

async fn login<C: Connections>(State(steps): State<Steps<C>>) -> Result<Response, Failed> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NUMBER.fetch_add(1, Ordering::Relaxed));
    let id = format!("{:032x}", number * 0x9e37_79b9_7f4a_7c15);
    let session = Session {
        user: USER.to_owned(),
        number: 1,
    };
    store(&steps.connections, &id, &session).await?;
    let mut response = page();
    let cookie = format!("id={id}; Path=/; HttpOnly");
    response
        .headers_mut()
        .insert(SET_COOKIE, cookie.try_into()?);
    Ok(response)
}

fn id(request: &Request) -> Option<&str> {
    let cookies = request.headers().get(COOKIE)?.to_str().ok()?;
    cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix("id="))
}

async fn load(connections: &impl Connections, id: &str) -> Result<Session, BoxError> {
    let mut connection = connections.get().await?;
    let stored: Vec<u8> = connection.get(format!("session:{id}")).await?;
    Ok(serde_json::from_slice(&stored)?)
}

async fn store(
    connections: &impl Connections,
    id: &str,
    session: &Session,
) -> Result<(), BoxError> {
    let json = serde_json::to_vec(session)?;
    let mut connection = connections.get().await?;
    Ok(connection
        .set_ex(format!("session:{id}"), json, HOUR)
        .await?)
}

/// Reads the session; its life is not prolonged.
async fn session<C: Connections>(
    State(steps): State<Steps<C>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failed> {
    let session = load(&steps.connections, id(&request).ok_or("no cookie")?).await?;
    if session.user != USER {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    }
    request.extensions_mut().insert(session);
    Ok(next.run(request).await)
}

/// Reads, changes and writes: of two at the same time one is lost.
async fn write<C: Connections>(
    State(steps): State<Steps<C>>,
    request: Request,
) -> Result<Response, Failed> {
    let id = id(&request).ok_or("no cookie")?;
    let mut session = load(&steps.connections, id).await?;
    session.number += 1;
    store(&steps.connections, id, &session).await?;
    Ok(page())
}

/// The body alone; no head, no directives, no validators.
async fn cached<C: Connections>(
    State(steps): State<Steps<C>>,
    request: Request,
) -> Result<Response, Failed> {
    let key = format!("page:{}", request.uri().path());
    let mut connection = steps.connections.get().await?;
    let stored: Option<Vec<u8>> = connection.get(&key).await?;
    if let Some(stored) = stored {
        return Ok(page_of(Body::from(stored)));
    }
    let body = axum::body::to_bytes(page().into_body(), usize::MAX).await?;
    let () = connection.set_ex(&key, &body[..], HOUR).await?;
    Ok(page())
}
