//! What each layer costs by itself, on embedded memory and without a network.
//!
//! ```text
//! cargo bench --bench parts
//! cargo bench --bench parts -- limit
//! ```
//!
//! Each time is that of a whole call, the building of the request and the handler included;
//! `bare` is what these two cost.

use std::{convert::Infallible, hint::black_box};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{
    Request, Response, StatusCode,
    header::{CACHE_CONTROL, COOKIE, SET_COOKIE},
};
use http_body_util::{Empty, Full};
use tokio::runtime::Runtime;
use tower::{BoxError, Layer as _, Service, ServiceExt as _, service_fn};
use tower_keep::{
    Store,
    cache::CacheLayer,
    rate_limit::{Key, QuotaPolicy, RateLimitLayer},
    session::{Session, SessionLayer},
};

type Body = Empty<Bytes>;

fn main() -> Result<(), BoxError> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    bench(
        &mut criterion,
        &runtime,
        "bare",
        &service_fn(page),
        StatusCode::OK,
        "",
    );

    let policies =
        r#""load";q=100000000;w=100 "minute";q=60000000;w=60 "hour";q=3600000000;w=3600"#;
    let policies: Vec<QuotaPolicy> =
        (policies.split(' ').map(str::parse)).collect::<Result<_, _>>()?;
    let layer =
        || RateLimitLayer::new(Store::memory(), policies[0].clone()).with_key(Key::global());
    let one = layer().layer(service_fn(page));
    bench(&mut criterion, &runtime, "limit", &one, StatusCode::OK, "");
    let three = layer()
        .and_policy(policies[1].clone())?
        .and_policy(policies[2].clone())?;
    let three = three.layer(service_fn(page));
    bench(
        &mut criterion,
        &runtime,
        "limit of three policies",
        &three,
        StatusCode::OK,
        "",
    );

    let hour = r#""hour";q=1;w=3600"#.parse()?;
    let denied = RateLimitLayer::new(Store::memory(), hour).with_key(Key::global());
    let denied = denied.layer(service_fn(page));
    runtime.block_on(denied.clone().oneshot(Request::new(Body::new())))?;
    bench(
        &mut criterion,
        &runtime,
        "limit, denied again",
        &denied,
        StatusCode::TOO_MANY_REQUESTS,
        "",
    );

    let sessions = SessionLayer::new(Store::memory());
    let unused = sessions.layer(service_fn(page));
    bench(
        &mut criterion,
        &runtime,
        "session, unused",
        &unused,
        StatusCode::OK,
        "",
    );
    let sessions = sessions.layer(service_fn(visitor));
    let first = runtime.block_on(sessions.clone().oneshot(Request::new(Body::new())))?;
    let cookie = first.headers()[SET_COOKIE].to_str()?;
    let (cookie, _attributes) = cookie
        .split_once(';')
        .ok_or("a cookie without attributes")?;
    bench(
        &mut criterion,
        &runtime,
        "session, read",
        &sessions,
        StatusCode::OK,
        cookie,
    );

    let cache = CacheLayer::new(Store::memory()).layer(service_fn(page));
    runtime.block_on(async {
        let response = cache
            .clone()
            .oneshot(Request::get("/page").body(Body::new())?)
            .await?;
        http_body_util::BodyExt::collect(response.into_body()).await
    })?;
    bench(
        &mut criterion,
        &runtime,
        "cache, hit",
        &cache,
        StatusCode::OK,
        "",
    );

    criterion.final_summary();
    Ok(())
}

/// Calls `service` again and again, with `cookie`, and expects `status` each time.
fn bench<S, B>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    service: &S,
    status: StatusCode,
    cookie: &str,
) where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    let call = || {
        let mut request = Request::builder().uri("/page");
        if !cookie.is_empty() {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::new()).expect("the parts are valid");
        let service = service.clone();
        async move {
            let response = service.oneshot(black_box(request)).await;
            let response = response.map_err(Into::into).expect("no service here fails");
            assert_eq!(response.status(), status);
            response
        }
    };
    let mut group = criterion.benchmark_group("parts");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| bencher.to_async(runtime).iter(call));
    group.finish();
}

async fn page(_: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'x'; 1024];
    let mut response = Response::new(Full::new(Bytes::from_static(&BODY)));
    let control = http::HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, control);
    Ok(response)
}

/// Reads who the session says it is, and says so in a first session.
async fn visitor(request: Request<Body>) -> Result<Response<Full<Bytes>>, BoxError> {
    let session = request.extensions().get::<Session>();
    let session = session.ok_or("the layer is around this")?;
    if session.get::<String>("user").await?.is_none() {
        session.insert("user", "ada")?;
    }
    Ok(page(request).await?)
}
