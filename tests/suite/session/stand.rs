//! A session layer over a store, clients with cookies, and a clock that can be driven.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode, header::COOKIE};
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    ResponseBody, Store,
    session::{Session, SessionError, SessionLayer},
};

use crate::harness::{connected::PATIENT, cookie_jar::CookieJar, redis::Backend};

/// A store and a session layer over it.
pub(crate) struct Stand {
    pub(crate) layer: SessionLayer,
    pub(crate) store: Store,
    server: Option<Backend>,
}

impl Stand {
    /// Embedded memory, with tokio's clock paused.
    pub(crate) fn memory() -> Self {
        tokio::time::pause();
        Self::new(Store::memory(), None)
    }

    /// A Redis of its own, to which the store is connected.
    pub(crate) async fn redis() -> Self {
        Self::on(Backend::redis()).await
    }

    /// A store that is connected to this.
    pub(crate) async fn on(server: Backend) -> Self {
        let store = server.connected(PATIENT).await;
        Self::new(store, Some(server))
    }

    fn new(store: Store, server: Option<Backend>) -> Self {
        Self {
            layer: SessionLayer::new(store.clone()),
            store,
            server,
        }
    }

    pub(crate) fn with(mut self, settings: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        self.layer = settings(self.layer);
        self
    }

    /// Gives every store call this deadline.
    pub(crate) fn with_deadline(mut self, deadline: Duration) -> Self {
        self.store = self.store.with_deadline(deadline);
        self.layer = SessionLayer::new(self.store.clone());
        self
    }

    pub(crate) fn server(&self) -> &Backend {
        self.server.as_ref().expect("this stand is on Redis")
    }

    pub(crate) fn server_mut(&mut self) -> &mut Backend {
        self.server.as_mut().expect("this stand is on Redis")
    }

    pub(crate) fn is_redis(&self) -> bool {
        self.server.is_some()
    }

    /// The keys of sessions and of the pointers to them, without the index and its places.
    pub(crate) fn session_keys(&self) -> Vec<String> {
        self.server().keys("*session:{*")
    }

    /// The key of the only session.
    pub(crate) fn only_key(&self) -> String {
        let keys = self.session_keys();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    }

    /// Lets time pass.
    pub(crate) async fn advance(&self, time: Duration) {
        advance(self.server.as_ref(), time).await;
    }

    pub(crate) fn client(&self) -> Client {
        Client::of(self.layer.clone())
    }

    /// A client that has logged in.
    pub(crate) async fn logged_in(&self, user: &'static str) -> Client {
        let client = self.client();
        client.login(user).await;
        client
    }
}

/// Lets time pass, on embedded memory if there is no server. The clock of one cannot be driven, so
/// there all that it has written down moves back instead.
pub(crate) async fn advance(server: Option<&Backend>, time: Duration) {
    let Some(server) = server else {
        return tokio::time::advance(time).await;
    };
    let by = u64::try_from(time.as_millis()).unwrap();
    for key in server.keys("*") {
        // Nothing is read of the times of an index or of a place.
        if key.contains("session_") {
            continue;
        }
        let meta = server.query::<Option<String>>(&["HGET", &key, "m"]);
        // It may have expired since.
        let Some(mut meta) = meta else { continue };
        if meta.starts_with(['=', '?']) {
            for from in [17, 28, 39] {
                let then = u64::from_str_radix(&meta[from..from + 11], 16).unwrap() - by;
                meta.replace_range(from..from + 11, &format!("{then:011x}"));
            }
            server.command(&["HSET", &key, "m", &meta]);
        }
        if let Ok(ends) = u64::try_from(server.query::<i64>(&["PEXPIRETIME", &key])) {
            server.command(&["PEXPIREAT", &key, &(ends - by).to_string()]);
        }
    }
}

/// A client of a site whose handler is given with each request. Clones share the cookies.
#[derive(Clone)]
pub(crate) struct Client {
    layer: SessionLayer,
    jar: Arc<Mutex<CookieJar>>,
}

impl Client {
    /// A client of a site with this layer, without cookies.
    pub(crate) fn of(layer: SessionLayer) -> Self {
        Self {
            layer,
            jar: Arc::default(),
        }
    }

    /// Sends a request that `handler` answers, and takes the response's cookies.
    pub(crate) async fn send<H, F>(&self, handler: H) -> Response<ResponseBody<String>>
    where
        H: FnOnce(Session) -> F,
        F: Future<Output = Result<Response<String>, SessionError>>,
    {
        let mut handler = Some(handler);
        let service = service_fn(|request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let response = handler.take().expect("one request")(session);
            async {
                let response = response.await;
                Ok::<_, Infallible>(response.unwrap_or_else(|error| {
                    let mut response = Response::new(error.to_string());
                    *response.status_mut() = error.status();
                    response
                }))
            }
        });
        let response = (self.layer.layer(service).oneshot(self.request()).await).unwrap();
        self.jar.lock().unwrap().take(response.headers());
        response
    }

    /// The request that this client sends.
    pub(crate) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        if let Some(cookies) = self.jar.lock().unwrap().header() {
            request.headers_mut().insert(COOKIE, cookies);
        }
        request
    }

    /// Sends a request that `handler` answers with 200, and gives what else it returns.
    pub(crate) async fn visit<H, F, T>(&self, handler: H) -> T
    where
        H: FnOnce(Session) -> F,
        F: Future<Output = T>,
    {
        let mut result = None;
        let response = self
            .send(async |session: Session| {
                result = Some(handler(session).await);
                Ok(Response::default())
            })
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        result.expect("the handler has run")
    }

    /// Logs in as an application does.
    pub(crate) async fn login(&self, user: &'static str) {
        self.visit(move |session| async move {
            session.login(user).unwrap();
            session.insert("user", user).unwrap();
        })
        .await;
    }

    /// Gets a new id for the same user.
    pub(crate) async fn renew(&self) {
        self.visit(async |session| session.renew().unwrap()).await;
    }

    pub(crate) async fn logout(&self) -> Response<()> {
        let response = self.send(async |session: Session| {
            session.destroy().await?;
            Ok(Response::default())
        });
        response.await.map(drop)
    }

    /// What the session of this client has under `key`.
    pub(crate) async fn get(&self, key: &'static str) -> Option<serde_json::Value> {
        self.visit(move |session| async move { session.get(key).await.unwrap() })
            .await
    }

    /// Who is logged in.
    pub(crate) async fn user(&self) -> Option<String> {
        let user = self.visit(async |session| session.user().await.unwrap());
        user.await.map(|user| user.to_string())
    }

    /// The value of the session cookie.
    pub(crate) fn id(&self) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        jar.get(self.layer.cookie_name()).map(str::to_owned)
    }

    /// Puts a session cookie in by hand.
    pub(crate) fn plant(&self, id: &str) {
        let name = self.layer.cookie_name();
        self.jar.lock().unwrap().set(name, id);
    }

    /// Another client of the same site, without cookies.
    pub(crate) fn another(&self) -> Self {
        Self::of(self.layer.clone())
    }

    /// Another client with the same session cookie: a thief's, or an old tab.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::of(self.layer.clone());
        copy.plant(&self.id().expect("there is a session cookie"));
        copy
    }
}
