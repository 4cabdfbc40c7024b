//! The two services.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready as Done, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use serde::Serialize;
use tower_service::Service;

use super::{Report, probe};
use crate::{
    Store,
    problem::{Plain, Problem},
};

/// What [`live`](Self::live) and [`ready`](Self::ready) look after. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    stores: Arc<[(Box<str>, Store)]>,
}

impl Health {
    /// Looks after `store`, under the name `store`.
    pub fn new(store: Store) -> Self {
        Self {
            stores: Arc::new([("store".into(), store)]),
        }
    }

    /// Looks after one more store.
    #[must_use]
    pub fn and_store(self, name: impl Into<Box<str>>, store: Store) -> Self {
        let more = [(name.into(), store)];
        Self {
            stores: self.stores.iter().cloned().chain(more).collect(),
        }
    }

    /// A service that answers 200 and `{"status":"live"}`: the process takes requests. It asks
    /// nobody, so that an outage of the store restarts no process.
    pub fn live(&self) -> Live {
        Live(())
    }

    /// A service that answers what [`check`](Self::check) finds out, with 200 or 503.
    pub fn ready(&self) -> Ready {
        Ready(self.clone())
    }

    /// Asks every store for a sign of life, within its deadline. One `DBSIZE` a server, and one
    /// `EXISTS` a server of a cluster by a URL.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower_keep::{Store, health::{Health, Status}};
    ///
    /// let report = Health::new(Store::memory()).check().await;
    /// assert_eq!(report.status, Status::Ready);
    /// assert_eq!(report.stores[0].kind, "memory");
    /// # }
    /// ```
    pub async fn check(&self) -> Report {
        probe::report(&self.stores).await
    }
}

/// Answers that the process lives. Made by [`Health::live`].
#[derive(Debug, Clone)]
pub struct Live(());

impl<B> Service<Request<B>> for Live {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Done<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        #[derive(Serialize)]
        struct Answer {
            status: &'static str,
        }
        ready(Ok(match refused(request.method()) {
            Some(response) => response,
            None => json(StatusCode::OK, &Answer { status: "live" }),
        }))
    }
}

/// Answers how the stores do. Made by [`Health::ready`].
#[derive(Debug, Clone)]
pub struct Ready(Health);

impl<B> Service<Request<B>> for Ready {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (health, refused) = (self.0.clone(), refused(request.method()));
        ResponseFuture(Box::pin(async move {
            if let Some(response) = refused {
                return response;
            }
            let report = health.check().await;
            json(report.status.http(), &report)
        }))
    }
}

/// The future of [`Ready`].
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// 405, as problem details (RFC 9457), for anything but GET and HEAD.
fn refused(method: &Method) -> Option<Response<Full<Bytes>>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let problem = Problem {
        kind: "about:blank",
        title: "Method Not Allowed",
        detail: Some("Health is asked for with GET or HEAD."),
        extension: Plain {},
    };
    let response = problem.into_response(StatusCode::METHOD_NOT_ALLOWED);
    let mut response = response.map(Full::from);
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    Some(response)
}

fn json(status: StatusCode, answer: &impl Serialize) -> Response<Full<Bytes>> {
    // Numbers and strings, which serde_json can write.
    let body = serde_json::to_vec(answer).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
