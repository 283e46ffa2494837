//! An answer in the words of a script: nothing of it may be taken for a template.

use indexmap::IndexMap;
use serde_json::Value;

use crate::llm::{Arguments, FinishReason, InvalidTemplate, Response, ScriptedCall, TemplateText};
use crate::record::answer::{Answer, Called};

/// What a script would have to say for a mock to answer the same.
pub(crate) fn response(answer: &Answer) -> Result<Response, InvalidTemplate> {
    let usual = if answer.calls.is_empty() {
        FinishReason::Stop
    } else {
        FinishReason::ToolCalls
    };
    let silent = Response {
        usage: answer.usage,
        ..Response::default()
    };
    Ok(Response {
        content: answer.content.as_deref().map(literal).transpose()?,
        reasoning: answer.reasoning.as_deref().map(literal).transpose()?,
        tool_calls: answer.calls.iter().map(call).collect::<Result<_, _>>()?,
        finish_reason: answer.finish_reason.filter(|reason| *reason != usual),
        ..silent
    })
}

fn call(called: &Called) -> Result<ScriptedCall, InvalidTemplate> {
    let arguments = match serde_json::from_str(&called.arguments) {
        Ok(named) => Arguments::Named(quoted_members(named)),
        // Also what is JSON and no object must arrive as it was.
        Err(_no_object) => Arguments::Raw(literal(&called.arguments)?),
    };
    Ok(ScriptedCall {
        name: called.name.clone(),
        arguments,
        id: None,
    })
}

fn quoted_members(members: IndexMap<String, Value>) -> IndexMap<String, Value> {
    let quote = |(name, value)| (name, quoted_within(value));
    members.into_iter().map(quote).collect()
}

fn quoted_within(value: Value) -> Value {
    match value {
        Value::String(text) => quoted(&text).into(),
        Value::Array(items) => items.into_iter().map(quoted_within).collect(),
        Value::Object(members) => {
            let quote = |(name, value)| (name, quoted_within(value));
            Value::Object(members.into_iter().map(quote).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn literal(text: &str) -> Result<TemplateText, InvalidTemplate> {
    TemplateText::parse(&quoted(text))
}

/// The template that says `text`: what would open a hole is the text of a hole.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    let mut rest = text;
    while let Some(place) = ["{{", "{%", "{#"]
        .iter()
        .filter_map(|hole| rest.find(hole))
        .min()
    {
        let (before, hole) = rest.split_at(place);
        let (hole, after) = hole.split_at(2);
        quoted.push_str(before);
        quoted.push_str("{{ '");
        quoted.push_str(hole);
        quoted.push_str("' }}");
        rest = after;
    }
    quoted + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_template_is_quoted() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(literal(text).unwrap().as_str(), expected);
        }
        check("plain {text}", "plain {text}");
        check("{{ user }}", "{{ '{{' }} user }}");
        check("{%{{%", "{{ '{%' }}{{ '{{' }}%");
    }

    #[test]
    fn arguments_that_are_an_object_are_written_as_one() {
        #[track_caller]
        fn check(arguments: &str, expected: &str) {
            let called = Called {
                name: "bash".to_owned(),
                arguments: arguments.to_owned(),
            };
            let written = serde_json::to_string(&call(&called).unwrap().arguments).unwrap();
            assert_eq!(written, expected);
        }
        check(
            r#"{ "command": "ls", "n": 1.0 }"#,
            r#"{"command":"ls","n":1.0}"#,
        );
        check(r#"{"a":["{{"]}"#, r#"{"a":["{{ '{{' }}"]}"#);
        check(r#"{"command": "#, r#""{\"command\": ""#);
        check("", r#""""#);
    }
}
