//! What an answer may take over from the results of calls: `{{ result("upload", "/file/id") }}`.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value};

use crate::llm::question::given::{Called, GivenIds};
use crate::llm::question::result_json::json_in;
use crate::text::shorten;

/// How much of a result is shown in a complaint, in characters.
const SHOWN: usize = 80;

/// A call of the conversation and what the tool said to it.
#[derive(Debug)]
pub(crate) struct AnsweredCall {
    pub(crate) id: String,
    pub(crate) tool: String,
    pub(crate) arguments: String,
    pub(crate) text: String,
}

/// The function `result` of templates: a name, and a JSON pointer into what it names.
pub(crate) fn result_function(answered: Vec<AnsweredCall>, given: Arc<GivenIds>) -> Value {
    Value::from_function(move |name: String, pointer: Option<String>| {
        let call = find(&answered, &given, &name)?;
        match pointer {
            None => Ok(Value::from(call.text.as_str())),
            Some(pointer) => pointed(call, &name, &pointer),
        }
    })
}

/// Of calls that the name fits equally well the one that was answered last.
fn find<'a>(
    answered: &'a [AnsweredCall],
    given: &GivenIds,
    name: &str,
) -> Result<&'a AnsweredCall, Error> {
    let fitting = answered.iter().filter_map(|call| {
        let called = Called {
            id: &call.id,
            tool: &call.tool,
            arguments: &call.arguments,
        };
        let fit = given.fit(name, called)?;
        Some((fit, call))
    });
    let best = fitting.max_by_key(|(fit, _)| *fit);
    best.map(|(_, call)| call).ok_or_else(|| {
        fault(format!(
            "no call `{name}` has a result; {}",
            there_are(answered)
        ))
    })
}

fn there_are(answered: &[AnsweredCall]) -> String {
    if answered.is_empty() {
        return "the conversation holds none".to_owned();
    }
    let calls = answered
        .iter()
        .map(|call| format!("`{}` of {}", call.id, call.tool));
    format!("there are {}", calls.collect::<Vec<_>>().join(", "))
}

fn pointed(call: &AnsweredCall, name: &str, pointer: &str) -> Result<Value, Error> {
    let shown = || shorten(&call.text, SHOWN);
    let json = json_in(&call.text)
        .ok_or_else(|| fault(format!("the result of `{name}` is no JSON: {:?}", shown())))?;
    let value = json.pointer(pointer).ok_or_else(|| {
        fault(format!(
            "the result of `{name}` has nothing at `{pointer}`: {}",
            shown()
        ))
    })?;
    Ok(Serde(value).into())
}

fn fault(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
