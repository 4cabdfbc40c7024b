//! How many allocations a request costs, over those of the bare router, on embedded memory and
//! without a network.
//!
//! ```text
//! cargo bench --bench allocations
//! ```
//!
//! With the name of a path and a number of requests it only makes these requests, so that
//! `valgrind --tool=callgrind` can count instructions: the difference between two numbers of
//! requests is what they cost without the set-up.
//!
//! ```text
//! valgrind --tool=callgrind target/release/deps/allocations-… limit 1000
//! ```

use std::{alloc::System, io::Write as _};

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, COOKIE, HOST, SET_COOKIE},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{BoxError, ServiceExt as _, layer::util::Identity};
use tower_keep::{
    Store,
    cache::CacheLayer,
    rate_limit::{HeaderDialect, Key, QuotaPolicy, RateLimitLayer},
    session::{Session, SessionLayer},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A router and the cookie that its requests have.
struct Path {
    name: &'static str,
    router: Router,
    cookie: Option<HeaderValue>,
}

fn main() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let paths = paths().await?;
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        match (args.next(), args.next()) {
            (Some(name), Some(requests)) => {
                let path = paths.iter().find(|path| path.name == name);
                let path = path.ok_or("there is no such path")?;
                for _ in 0..requests.parse()? {
                    path.request().await?;
                }
                Ok(())
            }
            _ => report(&paths).await,
        }
    })
}

async fn paths() -> Result<Vec<Path>, BoxError> {
    let router = || Router::new().route("/page", get(page));
    let path = |name, router: Router| Path {
        name,
        // As `axum::serve` has it: otherwise each request would make its layers anew.
        router: router.with_state(()),
        cookie: None,
    };
    let limit = |dialect| -> Result<_, BoxError> {
        let policy: QuotaPolicy = r#""load";q=1000000;w=1000"#.parse()?;
        let layer = RateLimitLayer::new(Store::memory(), policy).with_key(Key::global());
        Ok(layer.with_headers(dialect))
    };
    let visitor = Router::new().route("/page", get(visitor));
    let mut session = path("session", visitor.layer(SessionLayer::new(Store::memory())));
    let first = session.request().await?;
    let cookie = first.headers()[SET_COOKIE].to_str()?.split(';').next();
    session.cookie = Some(cookie.unwrap_or_default().parse()?);
    Ok(vec![
        path("bare", router()),
        path("layer", router().layer(Identity::new())),
        path("limit", router().layer(limit(HeaderDialect::default())?)),
        path(
            "limit-no-fields",
            router().layer(limit(HeaderDialect::None)?),
        ),
        session,
        path("hit", router().layer(CacheLayer::new(Store::memory()))),
    ])
}

async fn report(paths: &[Path]) -> Result<(), BoxError> {
    const REQUESTS: usize = 1000;
    let mut bare = None;
    for path in paths {
        for _ in 0..100 {
            path.request().await?;
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..REQUESTS {
            path.request().await?;
        }
        let counts = region.change();
        let each = (counts.allocations + counts.reallocations) as f64 / REQUESTS as f64;
        let bare = *bare.get_or_insert(each);
        writeln!(
            std::io::stdout(),
            "{:16} {each:5.1} allocations a request, {:+5.1}",
            path.name,
            each - bare
        )?;
    }
    Ok(())
}

impl Path {
    async fn request(&self) -> Result<Response, BoxError> {
        let mut request = Request::get("/page").header(HOST, "shop.example");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty())?;
        let response = self.router.clone().oneshot(request).await?;
        assert_eq!(response.status(), StatusCode::OK);
        let (parts, body) = response.into_parts();
        axum::body::to_bytes(body, usize::MAX).await?;
        Ok(Response::from_parts(parts, Body::empty()))
    }
}

static BODY: [u8; 1024] = [b'x'; 1024];

async fn page() -> Response {
    let mut response = Response::new(Body::from(&BODY[..]));
    let control = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, control);
    response
}

/// Reads who the session says it is, and says so in a first session.
async fn visitor(session: Session) -> Result<Response, tower_keep::session::SessionError> {
    if session.get::<String>("user").await?.is_none() {
        session.insert("user", "ada")?;
    }
    Ok(Response::new(Body::from(&BODY[..])))
}
