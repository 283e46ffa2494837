//! Texts with holes: `Saved {{ tool.write_file.path }}.`
//!
//! A name that nothing fills is an error, at the latest when the turn is said: a hole that
//! quietly stays empty would be a reply nobody wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, context};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// What a template may name.
const NAMES: [&str; 4] = ["user", "tool", "tool_result", RESULT];
/// The function that finds the result of a call.
const RESULT: &str = "result";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// A text of the script, known to be a template whose names exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateText(String);

/// A text that is no template.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTemplate {
    #[error("bad template: {0}")]
    Syntax(String),
    #[error("a template knows no `{unknown}`; it knows {}", names())]
    Name { unknown: String },
}

/// A template that could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("the template {template:?} cannot be filled: {fault}")]
pub(crate) struct UnfilledTemplate {
    template: String,
    fault: String,
}

/// What the holes are filled with.
#[derive(Debug, Serialize)]
pub(crate) struct Filling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_result: Option<&'a str>,
    pub(crate) tool: BTreeMap<&'a str, Value>,
    /// The function `result`, for templates that ask for it.
    #[serde(skip)]
    pub(crate) results: Option<minijinja::Value>,
}

impl Filling<'_> {
    fn context(&self) -> minijinja::Value {
        let context = minijinja::Value::from(Serde(self));
        match &self.results {
            None => context,
            Some(result) => context! { result => result, ..context },
        }
    }
}

/// Templates that were compiled once; each is known by its text.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    environment: Environment<'static>,
}

impl TemplateText {
    /// # Errors
    /// Bad syntax, and names that no template can have.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Compiled {
    pub(crate) fn add(&mut self, text: &str) -> Result<(), InvalidTemplate> {
        if !has_holes(text) {
            return Ok(());
        }
        // A template loses one line break at its end: let it be ours.
        self.environment
            .add_template_owned(text.to_owned(), format!("{text}\n"))
            .map_err(|fault| syntax(&fault))
    }

    /// Fills the holes of a text that was added.
    pub(crate) fn fill(
        &self,
        text: &str,
        filling: &Filling<'_>,
    ) -> Result<String, UnfilledTemplate> {
        if !has_holes(text) {
            return Ok(text.to_owned());
        }
        self.environment
            .get_template(text)
            .and_then(|template| template.render(filling.context()))
            .map_err(|fault| UnfilledTemplate {
                template: text.to_owned(),
                fault: describe(&fault),
            })
    }

    /// Fills the holes of all texts within a value.
    pub(crate) fn fill_all(
        &self,
        value: &Value,
        filling: &Filling<'_>,
    ) -> Result<Value, UnfilledTemplate> {
        Ok(match value {
            Value::String(text) => Value::from(self.fill(text, filling)?),
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill_all(item, filling))
                .collect::<Result<_, _>>()?,
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| Ok((name.clone(), self.fill_all(member, filling)?)))
                .collect::<Result<_, _>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }
}

impl Default for Compiled {
    fn default() -> Self {
        Self {
            environment: environment(),
        }
    }
}

/// Checks the texts anywhere within a value.
pub(crate) fn check_all(value: &Value) -> Result<(), InvalidTemplate> {
    texts_in(value).into_iter().try_for_each(check)
}

/// The texts anywhere within a value.
pub(crate) fn texts_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_in).collect(),
        Value::Object(members) => members.values().flat_map(texts_in).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

pub(crate) fn has_holes(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|hole| text.contains(hole))
}

/// Whether a text asks for the result of a call by its name.
pub(crate) fn asks_for_results(text: &str) -> bool {
    has_holes(text)
        && ENVIRONMENT
            .template_from_str(text)
            .is_ok_and(|template| template.undeclared_variables(false).contains(RESULT))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_name| AutoEscape::None);
    environment.add_filter("from_json", from_json);
    environment
}

fn from_json(text: &str) -> Result<minijinja::Value, minijinja::Error> {
    serde_json::from_str::<Value>(text)
        .map(|value| Serde(value).into())
        .map_err(|fault| {
            let kind = ErrorKind::InvalidOperation;
            minijinja::Error::new(kind, format!("this is not JSON: {fault}"))
        })
}

fn check(text: &str) -> Result<(), InvalidTemplate> {
    if !has_holes(text) {
        return Ok(());
    }
    let template = ENVIRONMENT
        .template_from_str(text)
        .map_err(|fault| syntax(&fault))?;
    let unknown = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !NAMES.contains(&name.as_str()) && !is_function(name))
        .min();
    unknown.map_or(Ok(()), |unknown| Err(InvalidTemplate::Name { unknown }))
}

fn is_function(name: &str) -> bool {
    ENVIRONMENT.globals().any(|(global, _)| global == name)
}

fn syntax(fault: &minijinja::Error) -> InvalidTemplate {
    InvalidTemplate::Syntax(describe(fault))
}

fn describe(fault: &minijinja::Error) -> String {
    match fault.detail() {
        Some(detail) => detail.to_owned(),
        None => fault.kind().to_string(),
    }
}

fn names() -> String {
    NAMES.map(|name| format!("`{name}`")).join(", ")
}

impl<'de> Deserialize<'de> for TemplateText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl Serialize for TemplateText {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl JsonSchema for TemplateText {
    fn schema_name() -> Cow<'static, str> {
        "TemplateText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A text; {{ user }}, {{ tool_result }} and {{ tool.<name>.<argument> }} and {{ result(\"<call>\", \"/json/pointer\") }} are filled in",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let mut compiled = Compiled::default();
        compiled.add(text).map_err(|fault| fault.to_string())?;
        let filling = Filling {
            user: Some("hello <you>"),
            tool_result: Some(r#"{"id": "t-1"}"#),
            tool: BTreeMap::from([("write_file", json!({"path": "a.md"}))]),
            results: None,
        };
        compiled
            .fill(text, &filling)
            .map_err(|fault| fault.to_string())
    }

    #[track_caller]
    fn check_fill(text: &str, expected: &str) {
        assert_eq!(filled(text).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn check_unfilled(text: &str, expected: &str) {
        assert_eq!(filled(text).unwrap_err(), expected);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(TemplateText::parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn holes_are_filled_from_the_request() {
        check_fill("Saved {{ tool.write_file.path }}.", "Saved a.md.");
        check_fill("{{ user }}\n", "hello <you>\n");
        check_fill("{{ (tool_result | from_json).id }}", "t-1");
        check_fill("no holes {here}\n", "no holes {here}\n");
    }

    #[test]
    fn a_hole_that_nothing_fills_is_an_error() {
        check_unfilled(
            "{{ tool.bash.command }}",
            r#"the template "{{ tool.bash.command }}" cannot be filled: `tool.bash` is undefined"#,
        );
        check_unfilled(
            "{{ user | from_json }}",
            r#"the template "{{ user | from_json }}" cannot be filled: this is not JSON: expected value at line 1 column 1"#,
        );
    }

    #[test]
    fn a_bad_template_is_refused_when_it_is_read() {
        check_refused(
            "{{ usr }}",
            "a template knows no `usr`; it knows `user`, `tool`, `tool_result`, `result`",
        );
        check_refused(
            "{{ user",
            "bad template: unexpected end of input, expected end of variable block",
        );
    }
}
