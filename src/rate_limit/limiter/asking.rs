//! The call to the store that answers a question.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{blocks::BlockWanted, policy_set::PolicySet};
use crate::store::{
    Execute, StoreError,
    operations::limit::{Acquire, AcquireBlock, Acquired},
};

/// The call that is under way.
pub(super) enum Asking {
    Units(Execute<Acquire>),
    Block(Execute<AcquireBlock>),
}

impl Asking {
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Units(execute) => execute.is_ready(),
            Self::Block(execute) => execute.is_ready(),
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        block: Option<&BlockWanted>,
        set: &PolicySet,
    ) -> Poll<Result<Acquired, StoreError>> {
        Poll::Ready(match self {
            Self::Units(execute) => ready!(Pin::new(execute).poll(cx)),
            Self::Block(execute) => ready!(Pin::new(execute).poll(cx)).map(|leased| {
                if let Some(block) = block.filter(|_| leased.has_block) {
                    block.given(&set.limits, &leased.outcomes);
                }
                Acquired {
                    outcomes: leased.outcomes,
                    banned: 0,
                    marks: None,
                }
            }),
        })
    }
}
