//! Users: cache-aside, an hour in the store.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use serde::Deserialize;
use tower_keep::key_value::USER_DATA_TTL;

use crate::{
    answer::{Error, Json, Path},
    app::App,
    repository::User,
};

pub fn routes() -> Router<App> {
    Router::new().route("/users/{id}", get(read).put(write).delete(remove))
}

async fn read(State(app): State<App>, Path(id): Path<String>) -> Result<Json<User>, Error> {
    let (repository, wanted) = (app.repository, id.clone());
    // The query owns what it needs: it goes on, for others, when this client leaves.
    let query = || async move { repository.user(&wanted).await };
    let user = app.users.get_or_load(id, USER_DATA_TTL, query).await?;
    Ok(Json(user))
}

#[derive(Debug, Deserialize)]
struct Profile {
    name: String,
}

/// First the database, then the cache. When the store fails the change is made all the same,
/// and the client, which is told so, can try again.
async fn write(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(Profile { name }): Json<Profile>,
) -> Result<Json<User>, Error> {
    to_the_end(async move {
        let user = app.repository.write_user(User { id, name }).await;
        app.users.del(&user.id).await?;
        Ok(Json(user))
    })
    .await
}

async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Error> {
    to_the_end(async move {
        let removed = app.repository.remove_user(&id).await;
        app.users.del(&id).await?;
        removed?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Goes on when the client leaves, so that nothing is changed in the database and left in the
/// cache.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change has not come to its end");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Err(Error::new(status, "The change may have been made or not."))
    })
}
