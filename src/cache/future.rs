//! The future of the service. It is not boxed where the cache only passes a request on.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body::CacheBody,
    forward::{Pass, UnsafeCall},
};

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
        /// A stored response answers, without waiting.
        Answered { response: Option<Response<CacheBody<ResBody>>> },
        /// A stored response may answer, after a lookup. Boxed, since this future is large.
        Serve { future: Boxed<ResBody, E> },
        /// Past the cache: waiting for the inner service to be ready.
        Ready { inner: S, request: Option<Request<ReqBody>>, pass: Option<Pass> },
        /// Past the cache: waiting for its response.
        Call { #[pin] future: F, pass: Option<Pass> },
        /// Past the cache, with an unsafe method: it may invalidate what is stored.
        Unsafe { call: UnsafeCall<ResBody, E> },
    }
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
    /// The state it is in, without the request and the response.
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
