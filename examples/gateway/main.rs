//! A caching, rate limiting reverse proxy on hyper.
//!
//! ```text
//! cargo run --release --example gateway -- --upstream http://127.0.0.1:3000 --limit '"burst";q=100;w=60'
//! ```

#[path = "../common/mod.rs"]
mod common;

mod body;
mod problem;
mod server;
mod upstream;

use clap::{Parser, ValueEnum};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};
use tower_keep::cache::{CacheLayer, SetCookie};

use body::{Body, RequestBody};
use common::Common;
use problem::problem;
use upstream::{Upstream, UpstreamError};

/// A caching, rate limiting reverse proxy.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    common: Common,

    /// The server to forward to, http://HOST:PORT.
    #[arg(long, value_name = "URL", value_parser = origin)]
    upstream: Uri,

    /// Whether to cache.
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    cache: Switch,

    /// Name of this cache in Cache-Status and Via.
    #[arg(long, value_name = "NAME", default_value = "tower-keep")]
    cache_name: String,

    /// Longest body that is stored, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_body: u64,

    /// What becomes of responses that set cookies.
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    cache_set_cookie: CookiePolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CookiePolicy {
    Refuse,
    Strip,
    Store,
}

fn origin(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| "expected http://HOST:PORT".to_owned())?;
    let plain = uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.path() == "/";
    if plain {
        Ok(uri)
    } else {
        Err("expected http://HOST:PORT without a path".to_owned())
    }
}

/// All layers together; it always has an answer.
type Service = BoxCloneSyncService<Request<RequestBody>, Response<Body>, UpstreamError>;

#[tokio::main]
async fn main() -> Result<(), common::Error> {
    let flags: Flags = common::parse();
    common::log();
    let store = flags
        .common
        .store()
        .unwrap_or_else(|error| common::fail(&error));
    let upstream =
        Upstream::new(flags.upstream.clone(), &flags.cache_name).unwrap_or_else(|error| {
            common::fail(&format!("--cache-name {}: {error}", flags.cache_name))
        });

    let cache = CacheLayer::new(store.clone())
        .with_max_body(flags.max_body)
        .with_set_cookie(match flags.cache_set_cookie {
            CookiePolicy::Refuse => SetCookie::Refuse,
            CookiePolicy::Strip => SetCookie::Strip,
            CookiePolicy::Store => SetCookie::Store,
        })
        .with_name(&flags.cache_name)
        .unwrap_or_else(|error| common::fail(&format!("--cache-name: {error}")));
    let service: Service = if flags.cache == Switch::On {
        BoxCloneSyncService::new(cache.layer(upstream).map_result(answered))
    } else {
        BoxCloneSyncService::new(upstream.map_result(answered))
    };

    server::run(flags.common.bind().await?, service, store).await;
    Ok(())
}

/// An upstream server without an answer is a 502 or 504 to the client.
fn answered<B>(result: Result<Response<B>, UpstreamError>) -> Result<Response<Body>, UpstreamError>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<common::Error>,
{
    Ok(match result {
        Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
        Err(error) => {
            tracing::warn!(%error, "no answer from upstream");
            problem(error.status(), &error.to_string())
        }
    })
}
