//! A question that only a living server answers.

use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::{RefusalKind, StoreError},
    key::Key,
    redis::{Command, Commands},
};

/// `DBSIZE`: unlike `TIME` refused by a server that is still loading its data, and unlike `PING`
/// not taken for what connection pools send. And `EXISTS` of a key, if one is given: every server
/// of a cluster that serves nothing refuses that, and answers `DBSIZE`.
#[derive(Debug, Default)]
pub(crate) struct Ping {
    pub(crate) key: Option<Key>,
}

impl<M> Batch<M> for Ping {
    type Output = Result<(), StoreError>;

    fn run(&self, _: &M, _: Timestamp) -> Self::Output {
        Ok(())
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("DBSIZE"));
        out.extend((self.key.iter()).map(|key| Command::new("EXISTS").key(key)));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        match replies.next() {
            Some(reply) => reply.map(drop)?,
            None => return Err(StoreError::UnexpectedReply("no reply")),
        }
        match replies.next() {
            Some(Err(error)) if is_of_the_whole_cluster(&error) => Err(error),
            // Of a key that another server has or nobody may read nothing follows for the others.
            _ => Ok(()),
        }
    }
}

/// Whether it says that no key is served, and not that one is not.
fn is_of_the_whole_cluster(error: &StoreError) -> bool {
    match error {
        StoreError::Refused { kind, message } => {
            *kind == RefusalKind::ClusterDown && message.contains("cluster is down")
        }
        _ => false,
    }
}
