//! The web as Kimi's search and fetch services show it: only what a script says is in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::script::pattern::{Heard, TextPattern};

/// What a search finds. The first that matches answers, as often as it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedSearch {
    /// What the query holds; without it, any query.
    #[serde(default, rename = "match")]
    pub matches: Option<TextPattern>,
    /// What is found.
    #[serde(default)]
    pub results: Vec<Finding>,
}

/// A page that a search finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    pub site_name: String,
    pub title: String,
    pub url: String,
    pub snippet: String,
    /// The text of the page, for who asks to have pages read.
    pub content: String,
    pub date: String,
}

/// A page that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedPage {
    /// Its address, exactly.
    pub url: String,
    /// What it says, as Markdown.
    pub text: String,
}

/// All that is in the web.
#[derive(Clone, Debug, Default)]
pub(crate) struct Web {
    pub(crate) searches: Vec<ScriptedSearch>,
    pub(crate) pages: Vec<ScriptedPage>,
}

impl Web {
    pub(crate) fn search(&self, query: &str, limit: Option<usize>) -> Option<Vec<Finding>> {
        let query = Heard::new(query);
        let found = self.searches.iter().find(|search| {
            let wanted = search.matches.as_ref();
            wanted.is_none_or(|wanted| wanted.is_in(&query))
        })?;
        let results = found.results.iter().take(limit.unwrap_or(usize::MAX));
        Some(results.cloned().collect())
    }

    pub(crate) fn page(&self, url: &str) -> Option<&ScriptedPage> {
        self.pages.iter().find(|page| page.url == url)
    }

    /// What there is instead of what was looked for.
    pub(crate) fn there_are(&self) -> String {
        let queries = self.searches.iter().map(|search| match &search.matches {
            Some(wanted) => format!("a search that must {wanted}"),
            None => "any search".to_owned(),
        });
        let pages = self.pages.iter().map(|page| format!("`{}`", page.url));
        let known: Vec<_> = queries.chain(pages).collect();
        if known.is_empty() {
            return "the script has no `search` and no `pages`".to_owned();
        }
        format!("the script has {}", known.join(", "))
    }
}
