//! The contract between a Tower service and the one inside it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_keep::{
    Store,
    session::{Session, SessionLayer},
};

/// Ready once per `poll_ready`, as a service with a limit is; its clones start unready.
struct StatefulInner {
    ready: bool,
    writes: bool,
}

impl Clone for StatefulInner {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            ..*self
        }
    }
}

impl Service<Request<()>> for StatefulInner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        if self.writes {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("k", 1).unwrap();
        }
        ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn the_service_that_is_ready_is_the_one_called() {
    for writes in [false, true] {
        let inner = StatefulInner {
            ready: false,
            writes,
        };
        let mut service = SessionLayer::new(Store::memory()).layer(inner);
        for _ in 0..3 {
            service.ready().await.unwrap();
            let clone = service.clone();
            let response = service.call(Request::new(())).await.unwrap();
            assert_eq!(response.headers().contains_key("set-cookie"), writes);
            clone.oneshot(Request::new(())).await.unwrap();
        }
    }
}

#[tokio::test]
async fn backpressure_of_the_inner_service_passes() {
    let (service, mut handle) = tower_test::mock::pair::<Request<()>, Response<String>>();
    let mut service =
        tower_test::mock::Spawn::new(SessionLayer::new(Store::memory()).layer(service));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
}

#[test]
fn the_public_types_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    fn check_send<T: Send>(_: T) {}
    check::<SessionLayer>();
    check::<Session>();
    check::<tower_keep::session::SessionService<StatefulInner>>();
    check::<tower_keep::session::SessionError>();
    check_send(
        SessionLayer::new(Store::memory())
            .layer(StatefulInner {
                ready: true,
                writes: false,
            })
            .call(Request::new(())),
    );
}
