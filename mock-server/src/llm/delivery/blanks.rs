//! Blanks that keep a client waiting for one document, as OpenRouter sends them.
//!
//! They come before the document, never within it, and JSON does not mind them.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::clock::Pace;
use crate::llm::dialect::WAITING;
use crate::llm::scripted::ScriptedLlm;

/// How long it takes from each to the next, on the clock that the answer takes its time on.
const EVERY: Duration = Duration::from_secs(1);

/// A document on its way.
type Bytewise = Pin<Box<dyn Stream<Item = serde_json::Result<Bytes>> + Send>>;

/// A document that is still waited for, and the time until the next blanks.
struct Awaited {
    document: Bytewise,
    pace: Pace,
    llm: ScriptedLlm,
    has_begun: bool,
}

/// The document, with blanks before it: at once, and for as long as nothing else comes.
pub(super) fn before(
    document: impl Stream<Item = serde_json::Result<Bytes>> + Send + 'static,
    llm: ScriptedLlm,
) -> Body {
    let awaited = Awaited {
        document: Box::pin(document),
        pace: Pace::from_now(llm.journal()),
        llm,
        has_begun: false,
    };
    let at_once = stream::once(async { Ok(Bytes::from_static(WAITING)) });
    Body::from_stream(at_once.chain(stream::unfold(awaited, Awaited::next)))
}

impl Awaited {
    async fn next(mut self) -> Option<(serde_json::Result<Bytes>, Self)> {
        let bytes = if self.has_begun {
            self.document.next().await
        } else {
            tokio::select! {
                biased;
                bytes = self.document.next() => {
                    self.has_begun = true;
                    bytes
                }
                () = self.llm.wait(&mut self.pace, EVERY) => Some(Ok(Bytes::from_static(WAITING))),
            }
        };
        bytes.map(|bytes| (bytes, self))
    }
}
