//! The same work written by hand: a connection of the pool for each step, or a shared one.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use deadpool_redis::{
    Connection, Pool,
    redis::{self, AsyncCommands as _, Client, Script, aio::MultiplexedConnection},
};
use http::{
    HeaderValue, Request,
    header::{COOKIE, SET_COOKIE},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::service_fn;

use crate::{
    BoxError,
    contender::Work,
    page::{BODY, CART, CLIENT, LOGIN, Page, QUOTA, RequestBody, USER, WINDOW, page, page_of},
    server::accept,
};

/// The layer's own, so that Redis has the same to do.
static LIMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(include_str!(
        "../../src/store/operations/limit/acquire_one.lua"
    ))
});

/// Where each step gets its connection.
pub(crate) trait Connections: Send + Sync + 'static {
    type Connection: redis::aio::ConnectionLike + Send + Sync;

    fn get(&self) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;
}

/// Checks one out of the pool.
#[derive(Debug)]
pub(crate) struct Checkout(pub(crate) Pool);

impl Connections for Checkout {
    type Connection = Connection;

    async fn get(&self) -> Result<Connection, BoxError> {
        Ok(self.0.get().await?)
    }
}

/// Clones the one that all share.
#[derive(Debug)]
pub(crate) struct Shared(MultiplexedConnection);

impl Shared {
    pub(crate) async fn connect(url: &str) -> Result<Self, BoxError> {
        let client = Client::open(url)?;
        Ok(Self(client.get_multiplexed_async_connection().await?))
    }
}

impl Connections for Shared {
    type Connection = MultiplexedConnection;

    async fn get(&self) -> Result<MultiplexedConnection, BoxError> {
        Ok(self.0.clone())
    }
}

pub(crate) async fn serve(
    listener: TcpListener,
    connections: impl Connections,
    work: Work,
) -> Result<(), BoxError> {
    let server = Arc::new(Server { connections, work });
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { server.answer(request).await }
    });
    accept(listener, service).await
}

struct Server<C> {
    connections: C,
    work: Work,
}

#[derive(Serialize, Deserialize)]
struct SessionData {
    user: String,
    cart: Vec<String>,
}

impl<C: Connections> Server<C> {
    async fn answer(&self, request: Request<RequestBody>) -> Result<Page, BoxError> {
        let left = match self.work.limits() {
            true => Some(self.limit(&request).await?),
            false => None,
        };
        let login = request.uri().path() == LOGIN;
        if login {
            self.login().await?;
        } else if self.work.reads_session() {
            self.session(&request).await?;
        }
        let mut response = match self.work.caches() {
            true => self.cached(&request).await?,
            false => page(),
        };
        let headers = response.headers_mut();
        if login {
            headers.insert(SET_COOKIE, HeaderValue::from_static("id=load; HttpOnly"));
        }
        if let Some(left) = left {
            let policy = HeaderValue::from_static(r#""load";q=100000000;w=100"#);
            headers.insert("ratelimit-policy", policy);
            let field = format!(r#""load";r={left};t=1"#);
            headers.insert("ratelimit", field.try_into()?);
        }
        Ok(response)
    }

    /// What is left of the client's quota.
    async fn limit(&self, request: &Request<RequestBody>) -> Result<u64, BoxError> {
        let client = request.headers()[CLIENT].to_str()?;
        let mut connection = self.connections.get().await?;
        let window = WINDOW.as_micros() as u64;
        let unit = window / QUOTA;
        let used: u64 = LIMIT
            .key(format!("limit:{client}:load"))
            .arg(unit)
            .arg(window)
            .invoke_async(&mut connection)
            .await?;
        match (window - used) / unit {
            0 => Err("the quota is used up".into()),
            left => Ok(left - 1),
        }
    }

    async fn login(&self) -> Result<(), BoxError> {
        let data = SessionData {
            user: USER.to_owned(),
            cart: CART.map(str::to_owned).to_vec(),
        };
        let mut connection = self.connections.get().await?;
        let json = serde_json::to_vec(&data)?;
        Ok(connection.set_ex("session:load", json, 86_400).await?)
    }

    /// Reads the session and puts its end off.
    async fn session(&self, request: &Request<RequestBody>) -> Result<(), BoxError> {
        let cookies = request.headers()[COOKIE].to_str()?;
        let id = cookies.strip_prefix("id=").ok_or("no session cookie")?;
        let key = format!("session:{id}");
        let mut connection = self.connections.get().await?;
        let json: Vec<u8> = connection.get(&key).await?;
        let () = connection.expire(&key, 86_400).await?;
        let data: SessionData = serde_json::from_slice(&json)?;
        match data.user == USER {
            true => Ok(()),
            false => Err("the session is lost".into()),
        }
    }

    async fn cached(&self, request: &Request<RequestBody>) -> Result<Page, BoxError> {
        let key = format!("page:{}", request.uri().path());
        let mut connection = self.connections.get().await?;
        let stored: Option<Vec<u8>> = connection.get(&key).await?;
        if let Some(body) = stored {
            return Ok(page_of(Bytes::from(body)));
        }
        let body: &[u8] = &BODY;
        let () = connection.set_ex(&key, body, 3600).await?;
        Ok(page())
    }
}
