//! The future of a limited request: first the answer of the limits, then the response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::step::{Admitted, Step, Waiting};
use crate::body::ResponseBody;

pin_project! {
    /// The response of a [`RateLimit`](super::RateLimit) service.
    ///
    /// The inner service is not called before all limits have admitted the request. Dropping
    /// the future before that lets nothing through; what was asked of the store stays consumed.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Waiting {
            waiting: Waiting,
            // Taken when it is over.
            call: Option<(S, B)>,
        },
        Calling {
            #[pin]
            future: F,
            admitted: Option<Admitted>,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn waiting(waiting: Waiting, inner: S, body: B) -> Self {
        let call = Some((inner, body));
        Self {
            state: State::Waiting { waiting, call },
        }
    }

    pub(super) fn calling(future: S::Future, admitted: Option<Admitted>) -> Self {
        Self {
            state: State::Calling { future, admitted },
        }
    }

    pub(super) fn refused(response: Response<Bytes>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Waiting { waiting, call } => match ready!(waiting.poll(cx)) {
                    Step::Wait(next) => {
                        *waiting = next;
                        continue;
                    }
                    Step::Call(parts, admitted) => {
                        let (mut inner, body) = call
                            .take()
                            .expect("the state is left when nothing is waited for");
                        let future = inner.call(Request::from_parts(parts, body));
                        State::Calling { future, admitted }
                    }
                    Step::Refuse(response) => {
                        let response = Some(response);
                        State::Refused { response }
                    }
                },
                StateProjection::Calling { future, admitted } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(match admitted.take() {
                        Some(admitted) => admitted.complete(response),
                        None => response.map(ResponseBody::inner),
                    }));
                }
                StateProjection::Refused { response } => {
                    let response = response
                        .take()
                        .expect("a future is not polled after it is done");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
