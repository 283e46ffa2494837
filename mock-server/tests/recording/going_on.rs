//! Conversations of Responses that go on from an answer by its id.

use mock_server::{check_drift, read_scripts};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::stage::{PATIENCE, Stage, client, mock, script};

const SERVICE: &str = r#"
- match: { user: report the outage, turn: 1 }
  response:
    reasoning: A file.
    content: I will save it.
    tool_calls: [{ name: bash, arguments: { command: date } }, { name: bash, arguments: { command: ls } }]
- match: { user: "/outage/", tool_result: { name: bash, text: report.md } }
  response: { content: Saved. }
- match: { user: my cat, turn: 1 }
  response: { content: Noted. }
- match: { user: thanks, messages: { user: outage } }
  response: { content: Any time. }
- match: { user: thanks, messages: { user: my cat } }
  response: { content: Purr. }
"#;

/// A client that keeps nothing but the latest answer of each of its conversations.
struct Client<'a> {
    url: &'a str,
    stream: bool,
}

impl Client<'_> {
    /// Returns the answer.
    async fn ask(&self, previous: Option<&Value>, input: Value) -> Value {
        let tool = json!({ "type": "function", "name": "bash", "parameters": {} });
        let body = json!({
            "model": "gpt-5",
            "instructions": "You are Kai.",
            "stream": self.stream,
            "tools": [tool],
            "previous_response_id": previous.map(|answer| &answer["id"]),
            "input": input,
        });
        let asking = client().post(format!("{}/v1/responses", self.url));
        let asking = asking.bearer_auth("any").json(&body);
        let response = timeout(PATIENCE, asking.send()).await.unwrap().unwrap();
        let text = timeout(PATIENCE, response.text()).await.unwrap().unwrap();
        let answer = if self.stream {
            let completed = "event: response.completed\ndata: ";
            let (_, last) = text
                .split_once(completed)
                .unwrap_or_else(|| panic!("{text}"));
            serde_json::from_str::<Value>(last.trim_end()).unwrap()["response"].take()
        } else {
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(answer["status"], "completed", "{answer:#}");
        let went_on_from = previous.map_or(&Value::Null, |answer| &answer["id"]);
        assert_eq!(answer["previous_response_id"], *went_on_from);
        answer
    }

    /// Two conversations that take turns and end in the same words.
    async fn converse(&self) -> Vec<String> {
        let report = self.ask(None, json!("please report the outage")).await;
        let cat = self.ask(None, json!("my cat is Miso")).await;
        let calls = report["output"].as_array().unwrap().iter();
        let calls = calls.filter(|item| item["type"] == "function_call");
        let results = calls.zip(["Friday", "report.md"]).map(|(call, output)| {
            json!({ "type": "function_call_output", "call_id": call["call_id"], "output": output })
        });
        let results: Value = results.collect();
        let saved = self.ask(Some(&report), results).await;
        let purr = self.ask(Some(&cat), json!("thanks")).await;
        let done = self.ask(Some(&saved), json!("thanks")).await;
        [saved, purr, done].iter().map(text).collect()
    }
}

fn text(answer: &Value) -> String {
    let text = &answer["output"][0]["content"][0]["text"];
    text.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_recording_is_replayed_to_who_goes_on_from_the_answers_of_the_mock() {
    for stream in [false, true] {
        let service = mock(vec![script(SERVICE)]).await;
        let stage = Stage::before(&service.url()).await;
        let url = &*stage.url;
        let said = Client { url, stream }.converse().await;
        assert_eq!(said, ["Saved.", "Purr.", "Any time."]);
        assert_eq!(*stage.told.lock().unwrap(), [""; 0]);
        let scripts = || read_scripts(&stage.path()).unwrap();
        let replaying = mock(scripts()).await;
        let url = &*replaying.url();
        let replayed = Client { url, stream }.converse().await;
        assert_eq!(replayed, said, "{}", stage.script());
        assert_eq!(replaying.llm().unsaid(), [], "{}", stage.script());
        assert_eq!(replaying.unexpected(), []);
        let drifts = check_drift(&stage.exchanges(), scripts()).await.unwrap();
        assert_eq!(drifts, [], "{}", stage.script());
        let (recorded, _folder) = stage.stop().await;
        assert_eq!(recorded.refused, []);
    }
}

#[tokio::test]
async fn what_is_kept_of_an_answer_is_asked_for_by_the_mocks_id() {
    let service = mock(vec![script("[{ response: { content: Hello. } }]")]).await;
    let stage = Stage::before(&service.url()).await;
    let url = &*stage.url;
    let first = Client { url, stream: false }.ask(None, json!("hi")).await;
    let id = first["id"].as_str().unwrap();
    let kept = client().get(format!("{url}/v1/responses/{id}/input_items"));
    let kept = kept.bearer_auth("any").send().await.unwrap();
    assert_eq!(kept.status(), 200);
    let scripts = read_scripts(&stage.path()).unwrap();
    let drifts = check_drift(&stage.exchanges(), scripts).await.unwrap();
    assert_eq!(drifts, []);
}
