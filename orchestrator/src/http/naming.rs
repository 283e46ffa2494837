//! The group that a request names by its folder.

use axum::http::StatusCode;

use super::Api;
use super::problem::Problem;
use crate::store::Group;

/// A registered group; if it is none, those that are there are named.
pub(super) async fn group_named(api: &Api, folder: &str) -> Result<Group, Problem> {
    let groups = api.house.store.groups().await?;
    let names: Vec<String> = groups
        .iter()
        .map(|group| group.folder.to_string())
        .collect();
    let named = groups
        .into_iter()
        .find(|group| group.folder.as_str() == folder);
    named.ok_or_else(|| {
        let names = names.join(", ");
        let message = format!("there is no group `{folder}`; there are: {names}");
        Problem::new(StatusCode::NOT_FOUND, "no_such_group", message)
    })
}
