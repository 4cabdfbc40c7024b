//! Sending commands on a connection, and what their replies mean for it.

use std::sync::Arc;

use deadpool_redis::redis::{ServerErrorKind, Value};

use super::{
    command::{About, Command},
    connection::{Connection, Sent},
    pipeline::Pipeline,
    refusals::Refusals,
    reply::Reply,
};
use crate::store::error::{RefusalKind, StoreError};

/// Sends commands and answers what has come of each. A script that the server does not know (after
/// `SCRIPT FLUSH`, a restart or a failover) is sent again by its source, together with the others of
/// which that is so.
pub(super) async fn exchange(connection: &mut Connection, commands: &Pipeline) -> Vec<Sent> {
    let mut sent = connection.send(commands).await;
    if sent.iter().any(is_unknown_script) {
        // On the heap, so that the others are a small future.
        Box::pin(send_sources(connection, commands, &mut sent)).await;
    }
    sent
}

#[cold]
async fn send_sources(connection: &mut Connection, commands: &Pipeline, sent: &mut [Sent]) {
    let mut unknown = Vec::new();
    let mut sources = Pipeline::with_capacity(1);
    for (sent, (cmd, about)) in sent.iter_mut().zip(commands.iter()) {
        if is_unknown_script(sent)
            && let Some(cmd) = about.with_source(cmd)
        {
            unknown.push(sent);
            let about = *about;
            sources.extend([Command { cmd, about }]);
        }
    }
    for (first, again) in unknown.into_iter().zip(connection.send(&sources).await) {
        *first = again;
    }
}

fn is_unknown_script(sent: &Sent) -> bool {
    let error = sent.as_ref().ok().and_then(server_error);
    error == Some(ServerErrorKind::NoScript)
}

/// What a command's reply means for it alone; an error, what it means for the connection.
pub(super) fn outcome(
    value: Value,
    command: &About,
    refusals: &Refusals,
) -> Result<Result<Reply, StoreError>, Arc<str>> {
    let Value::ServerError(error) = value else {
        refusals.succeeded(command);
        return Ok(Ok(Reply(value)));
    };
    let message = Arc::from(error.to_string());
    // The wrong server for now: one that loads its data, a replica that has lost its master.
    if matches!(
        error.kind(),
        Some(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    ) {
        return Err(message);
    }
    let details = error.details().unwrap_or_default();
    let kind = RefusalKind::of_error(error.code(), details);
    if kind == RefusalKind::WrongType && command.passes_over_other_types() {
        return Ok(Ok(Reply(Value::Nil)));
    }
    let message = match kind {
        // Read by who follows it.
        RefusalKind::Moved | RefusalKind::ClusterDown => {
            Arc::from(format!("{} {details}", error.code()))
        }
        _ => message,
    };
    refusals.refused(kind, command, &message);
    Ok(Err(StoreError::Refused { kind, message }))
}

pub(super) fn server_error(value: &Value) -> Option<ServerErrorKind> {
    match value {
        Value::ServerError(error) => error.kind(),
        _ => None,
    }
}
