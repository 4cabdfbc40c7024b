//! A walk over the keys.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _, stream::unfold};

use crate::store::{
    Server, Store, StoreError,
    inspect::{Scan, escape},
};

/// About how many keys a page looks at.
const PAGE: u32 = 500;

/// Whole names, the namespace included.
pub(super) type Page = Vec<Vec<u8>>;

/// The names of keys, a page at a time as they are asked for. A stream.
///
/// A key that is there from the beginning to the end is named, maybe more than once. One that comes
/// or goes meanwhile may be. An error ends the walk. A name that is not text, which this crate never
/// writes, has replacement characters in it and is found by no other call.
pub struct Keys(Pin<Box<dyn Stream<Item = Result<String, StoreError>> + Send>>);

impl Keys {
    pub(super) fn new(store: Store, pattern: &str) -> Self {
        let prefix = store.namespace().len() + 1;
        let names = Pages::new(store, pattern).stream().flat_map(move |page| {
            let names: Vec<_> = match page {
                Ok(names) => names.iter().map(|name| Ok(inside(name, prefix))).collect(),
                Err(error) => vec![Err(error)],
            };
            futures_util::stream::iter(names)
        });
        Self(Box::pin(names))
    }

    /// The next name; `None` when there are no more.
    pub async fn next(&mut self) -> Option<Result<String, StoreError>> {
        self.0.next().await
    }
}

/// The name without its namespace.
fn inside(name: &[u8], prefix: usize) -> String {
    String::from_utf8_lossy(name.get(prefix..).unwrap_or_default()).into_owned()
}

impl Stream for Keys {
    type Item = Result<String, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Where a walk is.
pub(super) struct Pages {
    store: Store,
    pattern: String,
    /// Those that are still to be asked, the present one first; not known before the first page.
    servers: Option<VecDeque<Server>>,
    cursor: u64,
}

impl Pages {
    /// All keys of the namespace whose names inside of it match `pattern`.
    pub(super) fn new(store: Store, pattern: &str) -> Self {
        Self {
            pattern: format!("{}:{pattern}", escape(store.namespace())),
            store,
            servers: None,
            cursor: 0,
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Page, StoreError>> + Send {
        unfold(self, |mut pages| async move {
            let page = pages.next().await?;
            Some((page, pages))
        })
    }

    /// The next page, which may be empty. `None` after the last, and after an error.
    pub(super) async fn next(&mut self) -> Option<Result<Page, StoreError>> {
        let servers = match &mut self.servers {
            Some(servers) => servers,
            unknown => match self.store.servers().await {
                Ok(servers) => unknown.insert(servers.into()),
                Err(error) => {
                    *unknown = Some(VecDeque::new());
                    return Some(Err(error));
                }
            },
        };
        let store = servers.front()?.store.clone();
        let scan = Scan {
            cursor: self.cursor,
            pattern: self.pattern.clone(),
            count: PAGE,
        };
        match store.execute(scan).await {
            Ok((cursor, names)) => {
                // Embedded memory answers at once: others on this thread have their turn between two pages.
                tokio::task::yield_now().await;
                self.cursor = cursor;
                if cursor == 0 {
                    servers.pop_front();
                }
                Some(Ok(names))
            }
            Err(error) => {
                servers.clear();
                Some(Err(error))
            }
        }
    }
}
