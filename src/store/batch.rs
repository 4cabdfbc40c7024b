//! The contract between the layers and the store: typed operations, executed in batches.

use super::{
    clock::Timestamp,
    error::StoreError,
    memory::{Holds, Table},
    redis::{Command, Commands, Reply},
};

/// One atomic step on the store's data, and what it answers.
///
/// An operation is exactly one command on Redis (a plain one or an EVALSHA) whose keys all
/// share a hash slot, and one locked step on embedded memory. Its two halves stand side by side
/// in one file of the folder of its kind of data, so that they can be read against each other.
pub(crate) trait Operation: Send + 'static {
    /// What stands under a key of its kind of data on embedded memory.
    type Entry;
    type Output: Send + 'static;

    /// Executes the operation on embedded memory. What memory has no room for is an error to
    /// its writer, as `OOM` is on Redis.
    fn run(&self, table: &Table<Self::Entry>, now: Timestamp) -> Result<Self::Output, StoreError>;

    /// The operation as a Redis command.
    fn command(&self) -> Command;

    /// Reads what Redis answered to [`command`](Self::command). Errors of Redis never get here.
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError>;
}

/// Operations that travel together: one round trip on Redis, whatever their number.
///
/// A single operation, a tuple, an `Option` and a `Vec` of batches are batches. The operations
/// of a batch are independent: each has its own result, and none is atomic with another.
///
/// `M` is an embedded memory that has the tables that they work on.
pub(crate) trait Batch<M>: Send + 'static {
    type Output: Send + 'static;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output;

    fn commands(&self, out: &mut Commands);

    /// Takes this batch's replies, one for each of its commands and in their order.
    fn replies(&self, replies: &mut Replies) -> Self::Output;
}

/// The results of the commands of a call, in order.
pub(crate) type Replies = smallvec::IntoIter<[Result<Reply, StoreError>; 2]>;

impl<M: Holds<O::Entry>, O: Operation> Batch<M> for O {
    type Output = Result<O::Output, StoreError>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        Operation::run(self, memory.table(), now)
    }

    fn commands(&self, out: &mut Commands) {
        out.push(self.command());
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        replies
            .next()
            .unwrap_or(Err(StoreError::UnexpectedReply(
                "fewer replies than commands",
            )))
            .and_then(|reply| self.reply(reply))
    }
}

impl<M, B: Batch<M>> Batch<M> for Vec<B> {
    type Output = Vec<B::Output>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        self.iter().map(|batch| batch.run(memory, now)).collect()
    }

    fn commands(&self, out: &mut Commands) {
        self.iter().for_each(|batch| batch.commands(out));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        self.iter().map(|batch| batch.replies(replies)).collect()
    }
}

impl<M, B: Batch<M>> Batch<M> for Option<B> {
    type Output = Option<B::Output>;

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        self.as_ref().map(|batch| batch.run(memory, now))
    }

    fn commands(&self, out: &mut Commands) {
        self.iter().for_each(|batch| batch.commands(out));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        self.as_ref().map(|batch| batch.replies(replies))
    }
}

impl<M, A: Batch<M>, B: Batch<M>> Batch<M> for (A, B) {
    type Output = (A::Output, B::Output);

    fn run(&self, memory: &M, now: Timestamp) -> Self::Output {
        (self.0.run(memory, now), self.1.run(memory, now))
    }

    fn commands(&self, out: &mut Commands) {
        self.0.commands(out);
        self.1.commands(out);
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        (self.0.replies(replies), self.1.replies(replies))
    }
}
