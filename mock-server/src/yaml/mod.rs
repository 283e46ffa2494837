//! Reading YAML that people wrote: into types, with every mistake of the file at once.
//!
//! A file becomes a tree of [`Node`]s that know their place; types are decoded from
//! the tree. A mistake does not end the reading: the part at fault is left out and the
//! rest is read on, so that one run shows them all. Nothing here knows what the
//! files mean, and nothing is written: YAML 1.2 in, types out.

mod at;
mod decode;
mod fault;
mod mistake;
mod node;
mod recover;
mod scalar;
mod source;
mod tree;

use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use at::At;
pub use mistake::{Mistake, Mistakes, nearest, one_of};
pub use node::{Content, Key, Node};
pub use source::{Place, Source, Span};

/// A file whose YAML is well-formed, ready to be decoded into types.
#[derive(Debug)]
pub struct Document {
    source: Arc<Source>,
    root: Node,
}

/// What could be decoded, and what was wrong.
///
/// With mistakes, `value` is what is left when the parts at fault are left out: good
/// enough to look for further mistakes, and for nothing else.
#[derive(Debug)]
pub struct Decoded<T> {
    pub value: Option<T>,
    pub mistakes: Vec<Mistake>,
}

impl Document {
    /// Reads the text of `file` (named in mistakes as it is given here).
    ///
    /// # Errors
    /// Text that is not one YAML document, or that writes a key twice.
    pub fn parse(file: &str, text: &str) -> Result<Self, Mistakes> {
        let source = Arc::new(Source::new(file, text));
        match tree::plant(text) {
            Ok(root) => Ok(Self { source, root }),
            Err(mistakes) => Err(Mistakes::new(source, mistakes)),
        }
    }

    /// The tree, to look at or to change before it is decoded.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The same file with another tree, e.g. with variables put in.
    #[must_use]
    pub fn with_root(&self, root: Node) -> Self {
        Self {
            source: Arc::clone(&self.source),
            root,
        }
    }

    /// The file and its text, to point at places in it.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Decodes the tree, leaving out what is at fault.
    #[must_use]
    pub fn decode<T: DeserializeOwned>(&self) -> Decoded<T> {
        recover::decode(&self.root)
    }

    /// Puts mistakes found later beside the text they are about.
    #[must_use]
    pub fn mistaken(&self, mistakes: Vec<Mistake>) -> Mistakes {
        Mistakes::new(Arc::clone(&self.source), mistakes)
    }
}

/// Reads the text of `file` as a `T`.
///
/// # Errors
/// Every mistake in the file.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Mistakes> {
    let document = Document::parse(file, text)?;
    let decoded = document.decode();
    match decoded.value {
        Some(value) if decoded.mistakes.is_empty() => Ok(value),
        Some(_) | None => Err(document.mistaken(decoded.mistakes)),
    }
}

#[cfg(test)]
mod tests;
