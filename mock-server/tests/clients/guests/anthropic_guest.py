"""Anthropic's Python client as a guest of the mock: `python anthropic_guest.py CASE`.

Plays one case and asserts on what the client has parsed. Where the mock is, and the key, stand
in the environment, as the client itself reads them.
"""

import sys

import anthropic

HELLO = "Hello, guest. 日本語 and 🦀 arrive whole."
WEATHER = {"Paris": "Paris: 18 degrees", "Oslo": "Oslo: 9 degrees"}
WARMER = "It is warmer in Paris than in Oslo."
TOOLS = [
    {
        "name": "weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
ASKED = {"role": "user", "content": "How is the weather in Paris and Oslo?"}
GREETING = [{"role": "user", "content": "Say hello."}]
COMMON = {"model": "claude-guest", "max_tokens": 64}


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def same_usage(usage):
    """What came from a cache is not counted as input."""
    same((usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens), (8, 3, 7))


def raised(kind, ask):
    try:
        answer = ask()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised, but {answer!r} came")


def greet(client):
    return client.messages.create(messages=GREETING, **COMMON)


def says(client):
    message = client.messages.create(system="Be brief.", messages=GREETING, **COMMON)
    same([(block.type, block.text) for block in message.content], [("text", HELLO)])
    same((message.role, message.stop_reason), ("assistant", "end_turn"))
    same((message.type, message.model), ("message", COMMON["model"]))
    same_usage(message.usage)


def streams(client):
    with client.messages.stream(system="Be brief.", messages=GREETING, **COMMON) as events:
        pieces = list(events.text_stream)
        message = events.get_final_message()
    same("".join(pieces), HELLO)
    assert len(pieces) > 3, pieces
    same((message.content[0].text, message.stop_reason), (HELLO, "end_turn"))
    same_usage(message.usage)


def uses_tools(client):
    loop(lambda messages: client.messages.create(messages=messages, tools=TOOLS, **COMMON))


def streams_tools(client):
    """With the helper that puts the fragments together again."""

    def ask(messages):
        with client.messages.stream(messages=messages, tools=TOOLS, **COMMON) as events:
            return events.get_final_message()

    loop(ask)


def loop(ask):
    first = ask([ASKED])
    same([block.type for block in first.content], ["text", "tool_use", "tool_use"])
    same((first.content[0].text, first.stop_reason), ("I look.", "tool_use"))
    calls = first.content[1:]
    same([(call.name, call.input) for call in calls], [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
    ])
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": WEATHER[call.input["city"]]}
        for call in calls
    ]
    last = ask([
        ASKED,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ])
    same([block.text for block in last.content], [WARMER])
    same(last.stop_reason, "end_turn")


def is_unscripted(client):
    # The client's own retries are on: it must not try again.
    error = raised(
        anthropic.UnprocessableEntityError, lambda: greet(client.with_options(max_retries=2))
    )
    assert "Say hello." in str(error), error


def is_throttled(client):
    error = raised(anthropic.RateLimitError, lambda: greet(client))
    same((error.status_code, error.response.headers["retry-after"]), (429, "7"))
    same(error.body["error"]["type"], "rate_limit_error")


def tries_again(client):
    same(greet(client.with_options(max_retries=2)).content[0].text, "Hello at last.")


def is_unauthorized(client):
    error = raised(
        anthropic.AuthenticationError, lambda: greet(client.with_options(max_retries=2))
    )
    same(error.body["error"]["type"], "authentication_error")


def breaks_off(client):
    def read():
        with client.messages.stream(messages=GREETING, **COMMON) as events:
            return "".join(events.text_stream)

    raised(Exception, read)
    same(read(), "Hello after all that happened to the stream.")


def counts_tokens(client):
    counted = client.messages.count_tokens(model=COMMON["model"], messages=GREETING)
    assert counted.input_tokens > 0, counted


CASES = [
    says,
    streams,
    uses_tools,
    streams_tools,
    is_unscripted,
    is_throttled,
    tries_again,
    is_unauthorized,
    breaks_off,
    counts_tokens,
]

if __name__ == "__main__":
    client = anthropic.Anthropic(max_retries=0, timeout=30)
    {case.__name__: case for case in CASES}[sys.argv[1]](client)
