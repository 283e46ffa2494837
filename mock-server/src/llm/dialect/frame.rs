//! One event of a stream as it goes over the wire, and what it carries.

use bytes::Bytes;

/// The bytes of one frame, its line ends included.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) bytes: Bytes,
}

/// What a frame is about; faults are aimed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// `: …`, which clients skip.
    Comment,
    /// Whose turn it is, before anything is said.
    Role,
    Reasoning,
    Content,
    /// The beginning of a call: its id and its name.
    Call,
    /// A part of a call's arguments.
    Arguments,
    /// The end of a thought, a text or a call, where it has one: nothing new is in it.
    Close,
    Finish,
    Usage,
    /// The end mark, e.g. `[DONE]`.
    Done,
}
