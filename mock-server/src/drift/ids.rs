//! The ids of answers, of which each server makes its own.
//!
//! OpenAI's Responses may go on from an answer by its id, or from the id of a call in it; to
//! the mock that must be the id that the mock gave.

use std::collections::HashMap;

use serde_json::Value;

use crate::llm::Dialect;
use crate::record::{Exchange, Kind, Received, Sent, response};

/// The mock's ids, by those that were recorded.
#[derive(Debug, Default)]
pub(super) struct Ids(HashMap<String, String>);

/// Where an item has ids.
const NAMES: [&str; 2] = ["id", "call_id"];

impl Ids {
    /// Both answers to one request.
    pub(super) fn learn(&mut self, exchange: &Exchange, mock: &Received) {
        let Kind::Model(dialect @ Dialect::Responses) = exchange.request.kind() else {
            return;
        };
        let recorded = response(dialect, &exchange.response);
        let (Some(recorded), Some(mock)) = (recorded, response(dialect, mock)) else {
            return;
        };
        self.pair(&recorded, &mock);
        let mut ours = items(&mock["output"]);
        for item in items(&recorded["output"]) {
            let alike = |ours: &&Value| ours["type"] == item["type"];
            if let Some(place) = ours.iter().position(alike) {
                self.pair(item, ours.remove(place));
            }
        }
    }

    fn pair(&mut self, recorded: &Value, mock: &Value) {
        for name in NAMES {
            if let (Some(recorded), Some(mock)) = (recorded[name].as_str(), mock[name].as_str()) {
                self.0.insert(recorded.to_owned(), mock.to_owned());
            }
        }
    }

    /// The request as a client of the mock would send it.
    pub(super) fn translated(&self, request: &Sent) -> Sent {
        let mut request = request.clone();
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (&*request.path, String::new()),
        };
        let parts: Vec<_> = path.split('/').map(|part| self.of(part)).collect();
        request.path = parts.join("/") + &query;
        if request.kind() == Kind::Model(Dialect::Responses)
            && let Ok(mut body) = serde_json::from_str::<Value>(&request.body)
        {
            self.translate(&mut body, "previous_response_id");
            for item in body["input"].as_array_mut().into_iter().flatten() {
                NAMES.iter().for_each(|name| self.translate(item, name));
            }
            request.body = body.to_string();
        }
        request
    }

    fn translate(&self, fields: &mut Value, name: &str) {
        if let Some(Value::String(id)) = fields.get_mut(name) {
            *id = self.of(id).to_owned();
        }
    }

    fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }
}

fn items(output: &Value) -> Vec<&Value> {
    output.as_array().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde_json::json;

    use super::*;

    fn sent(path: &str, body: &Value) -> Sent {
        Sent {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: IndexMap::default(),
            body: body.to_string(),
        }
    }

    fn received(document: &Value) -> Received {
        Received {
            status: 200,
            body: document.to_string(),
            ..Received::default()
        }
    }

    #[test]
    fn what_goes_on_from_an_answer_goes_on_from_the_mocks() {
        let call =
            |id: &str| json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id });
        let said = json!({ "type": "message", "id": "msg_1" });
        let recorded = json!({ "id": "resp_1", "output": [call("c1"), said, call("c2")] });
        let mock = json!({ "id": "resp_a", "output": [call("ca"), call("cb")] });
        let mut ids = Ids::default();
        let exchange = Exchange {
            request: sent("/v1/responses", &json!({ "input": "hi" })),
            response: received(&recorded),
        };
        ids.learn(&exchange, &received(&mock));
        let output =
            |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "c1" });
        let going_on = |previous: &str, first: &str, second: &str| {
            let input = [
                output(first),
                output(second),
                json!({ "type": "item_reference", "id": "msg_1" }),
            ];
            json!({ "previous_response_id": previous, "input": input })
        };
        let asked = sent("/v1/responses", &going_on("resp_1", "c1", "c2"));
        let translated: Value = serde_json::from_str(&ids.translated(&asked).body).unwrap();
        assert_eq!(translated, going_on("resp_a", "ca", "cb"));
        let kept = sent("/v1/responses/resp_1?stream=false", &json!({}));
        assert_eq!(
            ids.translated(&kept).path,
            "/v1/responses/resp_a?stream=false"
        );
    }
}
