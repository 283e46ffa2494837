//! The settings of where groups' workspaces are kept, so that they outlive the machine.

use std::fmt;
use std::path::{Path, PathBuf};

use super::sources::Sources;
use super::{Secret, parsed, url};

/// Where workspaces are released to, and how much of them.
#[derive(Clone, Debug)]
pub(crate) struct WorkspaceSettings {
    /// None: they stay on this machine.
    pub store: Option<StoreUrl>,
    /// Where the store's service is, if not at its provider's own place.
    pub endpoint: Option<String>,
    pub google: GoogleAccess,
    pub amazon: AmazonAccess,
    /// Files, links and empty folders of one group.
    pub max_files: usize,
    /// Bytes of one file.
    pub max_file_size: u64,
    /// Bytes of one group.
    pub max_size: u64,
}

/// One place for reading and writing: `gs://bucket/prefix`, `s3://bucket/prefix` or
/// `file:///path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    Google { bucket: String, prefix: String },
    Amazon { bucket: String, prefix: String },
    Folder(PathBuf),
}

/// How Google is told who we are; none of it: the machine's own account.
#[derive(Clone, Debug)]
pub(crate) struct GoogleAccess {
    /// A file with the key of a service account.
    pub service_account: Option<PathBuf>,
    /// The same as text.
    pub service_account_key: Option<Secret>,
    /// A file with what a login of a person or a program left.
    pub application_credentials: Option<PathBuf>,
}

/// How Amazon, or who speaks like it, is told who we are.
#[derive(Clone, Debug)]
pub(crate) struct AmazonAccess {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret>,
    pub session_token: Option<Secret>,
    pub region: Option<String>,
}

impl WorkspaceSettings {
    pub(super) fn read(root: &Path, sources: &mut Sources) -> Option<Self> {
        let path = |text: &str| path(root, text);
        // Each is read before any is missed, so that all problems are told at once.
        let store = sources.read_optional("workspace_store", STORE, store_url);
        let endpoint = sources.read_optional("workspace_endpoint", "a URL with http or https", url);
        let service_account = sources.read_optional("google_service_account", "a path", path);
        let application_credentials =
            sources.read_optional("google_application_credentials", "a path", path);
        let access_key_id = sources.read_optional("aws_access_key_id", "a key's name", word);
        let region = sources.read_optional("aws_region", "a region such as `eu-west-1`", word);
        let max_files = sources.read("workspace_max_files", "a number from 1", above_zero);
        let max_file_size = sources.read("workspace_max_file_size", "a number of bytes", parsed);
        let max_size = sources.read("workspace_max_size", "a number of bytes", parsed);
        let secret = |key| sources.secret(&[key]).map(|(_name, value)| Secret(value));
        let google = GoogleAccess {
            service_account: service_account?,
            service_account_key: secret("google_service_account_key"),
            application_credentials: application_credentials?,
        };
        let amazon = AmazonAccess {
            access_key_id: access_key_id?,
            secret_access_key: secret("aws_secret_access_key"),
            session_token: secret("aws_session_token"),
            region: region?,
        };
        Some(Self {
            store: store?,
            endpoint: endpoint?,
            google,
            amazon,
            max_files: max_files?,
            max_file_size: max_file_size?,
            max_size: max_size?,
        })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, bucket, prefix) = match self {
            Self::Google { bucket, prefix } => ("gs", bucket, prefix),
            Self::Amazon { bucket, prefix } => ("s3", bucket, prefix),
            Self::Folder(path) => return write!(f, "file://{}", path.display()),
        };
        write!(f, "{scheme}://{bucket}")?;
        if prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{prefix}")
    }
}

const STORE: &str = "`gs://bucket/prefix`, `s3://bucket/prefix` or `file:///path`";

fn store_url(text: &str) -> Option<StoreUrl> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme == "file" {
        let path = PathBuf::from(rest);
        return path.is_absolute().then_some(StoreUrl::Folder(path));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let is_bucket = (3..=222).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_bucket || !is_prefix(prefix) {
        return None;
    }
    let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
    match scheme {
        "gs" => Some(StoreUrl::Google { bucket, prefix }),
        "s3" => Some(StoreUrl::Amazon { bucket, prefix }),
        _unknown => None,
    }
}

/// Names that need no escapes in any store, nor on any command line.
fn is_prefix(prefix: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    prefix.is_empty() || prefix.split('/').all(is_part)
}

/// Relative to the root.
fn path(root: &Path, text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| root.join(text))
}

fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| text.to_owned())
}

fn above_zero(text: &str) -> Option<usize> {
    parsed(text).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_bucket_with_a_prefix_or_a_folder() {
        for good in [
            "gs://groups",
            "gs://groups/a/b-1",
            "s3://groups/kimi",
            "file:///var/lib/groups",
        ] {
            assert_eq!(store_url(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "gs://",
            "gs://ab",
            "gs://a b c",
            "gs://groups/../other",
            "gs://groups//x",
            "file://relative",
            "https://groups",
            "groups",
            "az://groups",
        ] {
            assert_eq!(store_url(bad), None, "{bad}");
        }
    }
}
