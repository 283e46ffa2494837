//! Why the storage does not do what it was asked, in one vocabulary for both of its APIs.

use axum::http::header::{CONTENT_RANGE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    NoBucket,
    NoObject,
    NoUpload,
    /// An upload that was cancelled.
    Cancelled,
    BucketExists,
    BucketNotEmpty,
    Condition,
    /// A condition of a reader: it has what it asks for.
    NotModified,
    /// A range outside of so many bytes.
    Range(u64),
    /// An argument that cannot be.
    Invalid,
    /// An argument that is missing.
    Required,
    /// A body whose checksum is another.
    Digest,
    /// A part of an upload that is too small not to be the last.
    SmallPart,
    /// A part of an upload that was not uploaded.
    Part,
    TooLarge,
    /// Nobody says who they are.
    Anonymous,
    /// A token that opens nothing.
    Unauthorized,
    /// A token that opens less.
    Scope,
    Forbidden,
    Unserved,
}

/// A request that is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) wrong: Wrong,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(wrong: Wrong, message: impl Into<String>) -> Self {
        Self {
            wrong,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Wrong::Invalid, message)
    }

    pub(crate) fn no_bucket(bucket: &str) -> Self {
        let message = format!("The specified bucket does not exist: {bucket}");
        Self::new(Wrong::NoBucket, message)
    }

    pub(crate) fn no_object(bucket: &str, object: &str) -> Self {
        let message = format!("No such object: {bucket}/{object}");
        Self::new(Wrong::NoObject, message)
    }

    pub(crate) fn range(size: u64) -> Self {
        Self::new(
            Wrong::Range(size),
            "The requested range cannot be satisfied.",
        )
    }

    pub(crate) fn condition() -> Self {
        let message = "At least one of the pre-conditions you specified did not hold.";
        Self::new(Wrong::Condition, message)
    }
}

impl Wrong {
    /// What is said of it in headers.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Self::Range(size) = self
            && let Ok(size) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            headers.insert(CONTENT_RANGE, size);
        }
        if matches!(self, Self::Anonymous | Self::Unauthorized) {
            let realm = "Bearer realm=\"https://accounts.google.com/\"";
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(realm));
        }
        headers
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoBucket | Self::NoObject | Self::NoUpload | Self::Unserved => {
                StatusCode::NOT_FOUND
            }
            Self::Cancelled => StatusCode::GONE,
            Self::BucketExists | Self::BucketNotEmpty => StatusCode::CONFLICT,
            Self::Condition => StatusCode::PRECONDITION_FAILED,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Invalid | Self::Required | Self::Digest | Self::Part | Self::SmallPart => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Anonymous | Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Scope | Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }

    /// `error.errors[0].reason` of the JSON API.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoBucket | Self::NoObject | Self::NoUpload | Self::Unserved => "notFound",
            Self::Cancelled => "gone",
            Self::BucketExists | Self::BucketNotEmpty => "conflict",
            Self::Condition | Self::NotModified => "conditionNotMet",
            Self::Range(_) => "requestedRangeNotSatisfiable",
            Self::Invalid | Self::Digest | Self::Part | Self::SmallPart => "invalid",
            Self::Required | Self::Anonymous => "required",
            Self::Unauthorized => "authError",
            Self::Scope => "insufficientPermissions",
            Self::TooLarge => "uploadTooLarge",
            Self::Forbidden => "forbidden",
        }
    }

    /// `Code` of the XML API.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoBucket => "NoSuchBucket",
            Self::NoObject => "NoSuchKey",
            Self::NoUpload | Self::Cancelled => "NoSuchUpload",
            Self::BucketExists => "BucketAlreadyOwnedByYou",
            Self::BucketNotEmpty => "BucketNotEmpty",
            Self::Condition | Self::NotModified => "PreconditionFailed",
            Self::Range(_) => "InvalidRange",
            Self::Invalid => "InvalidArgument",
            Self::Required => "MissingSecurityElement",
            Self::Digest => "BadDigest",
            Self::Part => "InvalidPart",
            Self::SmallPart => "EntityTooSmall",
            Self::TooLarge => "EntityTooLarge",
            Self::Anonymous | Self::Unauthorized => "AuthenticationRequired",
            Self::Scope | Self::Forbidden => "AccessDenied",
            Self::Unserved => "MethodNotAllowed",
        }
    }
}
