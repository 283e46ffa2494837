//! Sound bodies of every endpoint that takes one; from them the broken ones are made.

use serde_json::{Value, json};

/// A path and a body that is at home there.
pub(crate) struct Sound {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

fn json(path: &'static str, body: &Value) -> Sound {
    Sound {
        path,
        content_type: "application/json",
        body: body.to_string(),
    }
}

/// A file in parts, with `edge` between them.
fn upload(path: &'static str) -> Sound {
    let part = |head: &str, said: &str| {
        format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n{said}\r\n")
    };
    let purpose = part("name=\"purpose\"", "file-extract");
    let file = part("name=\"file\"; filename=\"a.txt\"", "a file of\ntwo lines");
    Sound {
        path,
        content_type: "multipart/form-data; boundary=edge",
        body: format!("{purpose}{file}--edge--\r\n"),
    }
}

fn form(path: &'static str, body: &str) -> Sound {
    Sound {
        path,
        content_type: "application/x-www-form-urlencoded",
        body: body.to_owned(),
    }
}

pub(crate) fn all() -> Vec<Sound> {
    let mut all = Vec::new();
    for path in [
        "/v1/chat/completions",
        "/api/v1/chat/completions",
        "/coding/v1/chat/completions",
        "/moonshot/v1/chat/completions",
        "/openai/v1/chat/completions",
    ] {
        all.extend(chats().map(|body| json(path, &body)));
    }
    all.extend(messages().map(|body| json("/v1/messages", &body)));
    all.extend(responses().map(|body| json("/v1/responses", &body)));
    all.extend([
        json("/v1/messages/count_tokens", &json!({"model": "claude", "messages": [{"role": "user", "content": "hi"}]})),
        json("/v1/embeddings", &json!({"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"})),
        json("/v1/tokenizers/estimate-token-count", &json!({"model": "kimi-k2.5", "messages": [{"role": "user", "content": "hi"}]})),
        json("/coding/v1/search", &json!({"text_query": "rust", "limit": 2, "enable_page_crawling": true, "timeout_seconds": 30})),
        json("/coding/v1/fetch", &json!({"url": "https://example.com"})),
        json("/_mock/scripts", &json!([{"match": "/^x+$/", "times": "any", "response": {"content": "{{ user }}", "tool_calls": [{"name": "bash", "arguments": {"command": "ls"}}]}, "stream": {"chunk": 3, "arguments": 4}}])),
        form("/api/oauth/token", "client_id=c&grant_type=refresh_token&refresh_token=rt-OLD"),
        form("/api/oauth/device_authorization", "client_id=c"),
        upload("/v1/files"),
        upload("/coding/v1/files"),
    ]);
    all
}

/// Chat completions: plain, with tools and their results, and streamed.
fn chats() -> impl Iterator<Item = Value> {
    let plain = json!({"model": "kimi-k2", "messages": [{"role": "user", "content": "hello"}]});
    let full = json!({
        "model": "moonshotai/kimi-k2.5",
        "models": ["a/b", "c/d"],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\":\"ls\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a.md"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "Error: no"}]},
            {"role": "user", "content": "<system-reminder>\nbe quick\n</system-reminder>"},
        ],
        "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.7,
        "max_completion_tokens": 262_144,
        "prompt_cache_key": "session_1",
        "thinking": {"type": "enabled", "keep": "all"},
        "provider": {"order": ["Moonshot AI"], "only": [], "ignore": []},
    });
    [plain, full].into_iter()
}

/// Anthropic's messages.
fn messages() -> impl Iterator<Item = Value> {
    let plain = json!({"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    let full = json!({
        "model": "claude", "max_tokens": 64, "stream": true,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": false, "content": [{"type": "text", "text": "a.md"}]},
            ]},
        ],
        "tools": [{"name": "bash", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u"},
    });
    [plain, full].into_iter()
}

/// OpenAI's responses.
fn responses() -> impl Iterator<Item = Value> {
    let plain = json!({"model": "gpt-5", "input": "hello"});
    let full = json!({
        "model": "gpt-5", "stream": true, "instructions": "Be brief.", "store": false,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "look"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "call_1", "name": "bash", "arguments": "{\"command\":\"ls\"}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.md"},
        ],
        "tools": [{"type": "function", "name": "bash", "parameters": {"type": "object"}, "strict": false}],
        "reasoning": {"effort": "low"},
        "previous_response_id": null,
    });
    [plain, full].into_iter()
}
