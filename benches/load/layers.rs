//! The servers made of our layers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use http::Request;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_keep::{
    Store,
    cache::{CacheLayer, ResponseCache},
    rate_limit::{Key, Quota, QuotaPolicy, RateLimit, RateLimitLayer},
    session::{Session, SessionLayer, SessionService},
};

use crate::{
    BoxError,
    page::{CART, CLIENT, LOGIN, Page, QUOTA, RequestBody, USER, WINDOW, page},
};

/// Long enough that no request of a busy machine is answered without the store: that would
/// flatter the numbers. A deadline costs the same however long it is.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn store(pool: deadpool_redis::Pool) -> Store {
    Store::redis(pool).with_deadline(DEADLINE)
}

/// The handler, with no layer around it.
#[derive(Debug, Clone)]
pub(crate) struct Bare;

impl Service<Request<RequestBody>> for Bare {
    type Response = Page;
    type Error = Infallible;
    type Future = Ready<Result<Page, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        ready(Ok(page()))
    }
}

pub(crate) fn limit<S>(store: Store, inner: S) -> Result<RateLimit<S>, BoxError> {
    let policy = QuotaPolicy::gcra("load", Quota::new(QUOTA, WINDOW)?)?;
    let layer = RateLimitLayer::new(store, policy).with_key(Key::header(CLIENT));
    Ok(layer.layer(inner))
}

pub(crate) fn session<S>(
    store: Store,
    inner: S,
) -> SessionService<
    impl Service<Request<RequestBody>, Response = S::Response, Error = BoxError, Future: Send>
    + Clone
    + Send,
>
where
    S: Service<Request<RequestBody>, Error: Into<BoxError>, Future: Send> + Clone + Send,
{
    SessionLayer::new(store)
        .with_insecure_cookies()
        .layer(reads_session(inner))
}

pub(crate) fn cache(store: Store) -> ResponseCache<Bare> {
    CacheLayer::new(store).layer(Bare)
}

/// What a handler that needs to know its user does.
fn reads_session<S>(
    inner: S,
) -> impl Service<Request<RequestBody>, Response = S::Response, Error = BoxError, Future: Send>
+ Clone
+ Send
where
    S: Service<Request<RequestBody>, Error: Into<BoxError>, Future: Send> + Clone + Send,
{
    service_fn(move |request: Request<RequestBody>| {
        let inner = inner.clone();
        async move {
            let session =
                (request.extensions().get::<Session>()).expect("the session layer is around this");
            if request.uri().path() == LOGIN {
                session.insert("user", USER)?;
                session.insert("cart", &CART)?;
            } else if session.get::<String>("user").await?.as_deref() != Some(USER) {
                return Err("the session is lost".into());
            }
            inner.oneshot(request).await.map_err(Into::into)
        }
    })
}
