//! How the examples on axum are served.

use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt as _};

use crate::common::{Bound, Error};

/// How long requests under way may take once the program is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT, then lets what is under way come to its end.
pub async fn serve(Bound { listener, stop }: Bound, app: Router) -> Result<(), Error> {
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    // The limits need to know who is calling.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended?,
        () = overdue => tracing::warn!("stopped with requests under way"),
    }
    Ok(())
}
