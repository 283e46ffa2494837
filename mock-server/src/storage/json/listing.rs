//! Listing the objects of a bucket.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::resource;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::Glob;
use crate::storage::store::listing::{LARGEST_PAGE, PageToken, Query};
use crate::storage::wire::base;
use crate::storage::wire::params::Params;

pub(super) async fn list(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    call: Call,
) -> Result<Response, Refusal> {
    let query = query(&call.params)?;
    let page = storage.with(|store, _| store.list(&bucket, &query))?;
    let fields = [
        ("bucket", Value::from(&*bucket)),
        ("prefix", Value::from(&*query.prefix)),
        ("objects", Value::from(page.objects.len())),
        ("prefixes", Value::from(page.prefixes.len())),
        ("more", Value::from(page.next.is_some())),
    ];
    storage.write("storage.list", fields);
    let base = base(&storage, &call.headers);
    let mut answer = json!({ "kind": "storage#objects" });
    if let Some(next) = &page.next {
        answer["nextPageToken"] = next.text().into();
    }
    if !page.prefixes.is_empty() {
        answer["prefixes"] = page.prefixes.into();
    }
    if !page.objects.is_empty() {
        let items = page
            .objects
            .iter()
            .map(|object| resource::object(object, &base));
        answer["items"] = items.collect();
    }
    Ok(call.answer(answer))
}

fn query(params: &Params) -> Result<Query, Refusal> {
    let own = |name| params.text(name).map(str::to_owned);
    let limit: Option<i64> = params.number("maxResults")?;
    let limit = match limit.map(usize::try_from) {
        None => None,
        Some(Ok(limit)) => Some(limit.min(LARGEST_PAGE)),
        Some(Err(_negative)) => return Err(Refusal::invalid("Invalid value for maxResults.")),
    };
    Ok(Query {
        prefix: own("prefix").unwrap_or_default(),
        delimiter: own("delimiter"),
        trailing: params.flag("includeTrailingDelimiter")?,
        start: own("startOffset"),
        end: own("endOffset"),
        behind: None,
        glob: params.text("matchGlob").map(Glob::parse).transpose()?,
        versions: params.flag("versions")?,
        page: params.text("pageToken").map(PageToken::parse).transpose()?,
        // 0 is as good as nothing.
        limit: limit.filter(|limit| *limit > 0),
    })
}
