//! Listing the objects of a bucket.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::resource::{self, ObjectResource};
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
    let items = page
        .objects
        .iter()
        .map(|object| resource::object(object, &base));
    Ok(call.answer(&Listing {
        kind: "storage#objects",
        next_page_token: page.next.as_ref().map(PageToken::text),
        prefixes: &page.prefixes,
        items: items.collect(),
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    prefixes: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ObjectResource<'a>>,
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
