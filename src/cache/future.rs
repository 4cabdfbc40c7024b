//! The future of the service: named, and unboxed where the cache only passes a request on.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body::CacheBody, cache_status::CacheStatus, policy::Forward, state::State,
    unsafe_call::UnsafeCall,
};

/// Readies the inner service and calls it: the very clone that was readied.
pub(super) async fn ready_and_call<S: Service<R>, R>(
    mut inner: S,
    request: R,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}

pub(super) type Boxed<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<CacheBody<B>>, E>> + Send>>;

pin_project! {
    /// The future of [`ResponseCache`](super::ResponseCache).
    #[project = ResponseFutureProjection]
    pub struct ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        course: Course<S, ReqBody, ResBody, S::Future, S::Error>,
    }
}

pin_project! {
    #[project = CourseProjection]
    enum Course<S, ReqBody, ResBody, F, E> {
        /// A stored response has answered.
        Answered { response: Option<Response<CacheBody<ResBody>>> },
        /// A stored response may answer: the way is longer, and boxed.
        Serve { future: Boxed<ResBody, E> },
        /// Past the cache: waiting for the inner service to be ready.
        Ready { inner: S, request: Option<Request<ReqBody>>, pass: Option<Pass> },
        /// Past the cache: waiting for its response.
        Call { #[pin] future: F, pass: Option<Pass> },
        /// Past the cache, and what it makes out of date has to go from there.
        Unsafe { call: UnsafeCall<ResBody, E> },
    }
}

/// What to do with the response to a request that goes past the cache.
pub(super) struct Pass {
    pub(super) state: Arc<State>,
    pub(super) forward: Forward,
}

impl<S: Service<Request<ReqBody>>, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody> {
    pub(super) fn answered(response: Response<CacheBody<ResBody>>) -> Self {
        Self {
            course: Course::Answered {
                response: Some(response),
            },
        }
    }

    pub(super) fn serve(future: Boxed<ResBody, S::Error>) -> Self {
        Self {
            course: Course::Serve { future },
        }
    }

    pub(super) fn of_unsafe(call: UnsafeCall<ResBody, S::Error>) -> Self {
        Self {
            course: Course::Unsafe { call },
        }
    }

    pub(super) fn pass(inner: S, request: Request<ReqBody>, pass: Pass) -> Self {
        Self {
            course: Course::Ready {
                inner,
                request: Some(request),
                pass: Some(pass),
            },
        }
    }
}

impl<S: Service<Request<ReqBody>>, ReqBody, ResBody> fmt::Debug
    for ResponseFuture<S, ReqBody, ResBody>
{
    /// Where it is, without the request and the response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match &self.course {
            Course::Answered { .. } => "answered",
            Course::Serve { .. } => "serve",
            Course::Ready { .. } => "ready",
            Course::Call { .. } => "call",
            Course::Unsafe { .. } => "unsafe",
        };
        f.debug_struct("ResponseFuture")
            .field("course", &course)
            .finish_non_exhaustive()
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<CacheBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const DONE: &str = "a future is not polled after it is done";
        let mut this = self.project();
        loop {
            let next = match this.course.as_mut().project() {
                CourseProjection::Answered { response } => {
                    return Poll::Ready(Ok(response.take().expect(DONE)));
                }
                CourseProjection::Serve { future } => return future.as_mut().poll(cx),
                CourseProjection::Ready {
                    inner,
                    request,
                    pass,
                } => {
                    ready!(inner.poll_ready(cx))?;
                    let future = inner.call(request.take().expect(DONE));
                    Course::Call {
                        future,
                        pass: pass.take(),
                    }
                }
                CourseProjection::Call { future, pass } => {
                    let response = ready!(future.poll(cx))?.map(CacheBody::inner);
                    return Poll::Ready(Ok(pass.take().expect(DONE).finish(response)));
                }
                CourseProjection::Unsafe { call } => return Pin::new(call).poll(cx),
            };
            this.course.set(next);
        }
    }
}

impl Pass {
    /// The response as it is to be sent.
    pub(super) fn finish<B>(self, mut response: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
        let status = CacheStatus {
            forward_status: Some(response.status()),
            ..CacheStatus::forward(self.forward)
        };
        status.append_to(response.headers_mut(), &self.state.options.name);
        response
    }
}
