//! Looks whether a released version is whole.

use std::io;

use serde::Serialize;

use super::bucket::{Bucket, StoreFault};
use super::desk::WorkspaceFault;
use super::entry::{Entry, Sha256Hex};
use super::fetch::fetch;
use crate::ids::GroupFolder;

/// A content that is not as the version says, or what the version says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Flaw {
    pub group: GroupFolder,
    pub version: u64,
    pub path: String,
    pub object: String,
    pub problem: String,
}

/// The flaws of a version. Contents are read only if that is wanted (`deep`).
pub(crate) async fn verify(
    bucket: &Bucket,
    group: &GroupFolder,
    version: u64,
    deep: bool,
) -> Result<Vec<Flaw>, WorkspaceFault> {
    let manifest = match bucket.read(group, version).await {
        Ok(manifest) => manifest,
        Err(StoreFault::Manifest { what, source }) => {
            return Ok(vec![Flaw {
                group: group.clone(),
                version,
                path: "its manifest".to_owned(),
                object: what,
                problem: crate::chain(&source),
            }]);
        }
        Err(fault) => return Err(fault.into()),
    };
    let objects = bucket.objects(group).await?;
    let mut flaws = Vec::new();
    for (path, entry) in &manifest.entries {
        let Entry::File { size, sha256, .. } = entry else {
            continue;
        };
        if *size == 0 {
            continue;
        }
        let problem = match objects.get(sha256) {
            None => Some("it is gone".to_owned()),
            Some(stored) if stored.size != *size => {
                Some(format!("it has {} bytes, not {size}", stored.size))
            }
            Some(_) if deep => damage(bucket, group, (sha256, *size)).await?,
            Some(_) => None,
        };
        flaws.extend(problem.map(|problem| Flaw {
            group: group.clone(),
            version,
            path: path.to_string(),
            object: bucket.object_name(group, sha256),
            problem,
        }));
    }
    Ok(flaws)
}

async fn damage(
    bucket: &Bucket,
    group: &GroupFolder,
    (sha256, size): (&Sha256Hex, u64),
) -> Result<Option<String>, WorkspaceFault> {
    let found = fetch(bucket, group, (sha256, size), io::sink()).await?;
    let found = found.sha256;
    let problem = || format!("its SHA-256 is {}", found.as_str());
    Ok((found != *sha256).then(problem))
}
