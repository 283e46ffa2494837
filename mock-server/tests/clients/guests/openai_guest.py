"""OpenAI's Python client as a guest of the mock: `python openai_guest.py CASE`.

Plays one case and asserts on what the client has parsed. Where the mock is, and the key, stand
in the environment, as the client itself reads them.
"""

import json
import sys

import openai

HELLO = "Hello, guest. 日本語 and 🦀 arrive whole."
ASKED = {"role": "user", "content": "How is the weather in Paris and Oslo?"}
WEATHER = {"Paris": "Paris: 18 degrees", "Oslo": "Oslo: 9 degrees"}
WARMER = "It is warmer in Paris than in Oslo."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
RESPONSE_TOOL = {"type": "function", "strict": False, **TOOLS[0]["function"]}
GREETING = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Say hello."},
]


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def same_usage(usage):
    same((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (11, 7, 18))
    same(usage.prompt_tokens_details.cached_tokens, 3)


def raised(kind, ask):
    try:
        answer = ask()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised, but {answer!r} came")


def says(client):
    answer = client.chat.completions.create(model="gpt-5", messages=GREETING)
    choice = answer.choices[0]
    same(choice.message.content, HELLO)
    same((choice.message.role, choice.finish_reason), ("assistant", "stop"))
    same((answer.object, answer.model), ("chat.completion", "gpt-5"))
    same_usage(answer.usage)


def streams(client):
    text, reasons, usages, ids = [], [], [], set()
    with client.chat.completions.create(
        model="gpt-5", messages=GREETING, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        for chunk in chunks:
            ids.add(chunk.id)
            if chunk.usage:
                usages.append(chunk.usage)
            for choice in chunk.choices:
                text.append(choice.delta.content or "")
                if choice.finish_reason:
                    reasons.append(choice.finish_reason)
    same("".join(text), HELLO)
    assert len([piece for piece in text if piece]) > 3, text
    same((reasons, len(ids), len(usages)), (["stop"], 1, 1))
    same_usage(usages[0])


def uses_tools(client):
    loop(lambda messages: client.chat.completions.create(
        model="gpt-5", messages=messages, tools=TOOLS
    ))


def streams_tools(client):
    """With the helper that puts the fragments together again."""

    def ask(messages):
        with client.chat.completions.stream(
            model="gpt-5", messages=messages, tools=TOOLS
        ) as events:
            events.until_done()
            return events.get_final_completion()

    loop(ask)


def loop(ask):
    messages = [ASKED]
    first = ask(messages).choices[0]
    same((first.message.content, first.finish_reason), ("I look.", "tool_calls"))
    calls = first.message.tool_calls
    same([call.function.name for call in calls], ["weather", "weather"])
    assert len({call.id for call in calls}) == 2, calls
    messages.append(first.message)
    for call in calls:
        city = json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER[city]})
    last = ask(messages).choices[0]
    same((last.message.content, last.finish_reason), (WARMER, "stop"))
    assert not last.message.tool_calls, last


def lists_models(client):
    models = list(client.models.list())
    assert models and all(model.id and model.object == "model" for model in models), models


def is_unscripted(client):
    # The client's own retries are on: it must not try again.
    error = raised(openai.UnprocessableEntityError, lambda: client.with_options(
        max_retries=2
    ).chat.completions.create(model="gpt-5", messages=GREETING[1:]))
    assert "Say hello." in error.message, error.message
    same(error.body["code"], "unscripted_request")


def greet(client, **options):
    return client.chat.completions.create(model="gpt-5", messages=GREETING[1:], **options)


def is_throttled(client):
    error = raised(openai.RateLimitError, lambda: greet(client))
    same((error.status_code, error.response.headers["retry-after"]), (429, "7"))


def tries_again(client):
    answer = greet(client.with_options(max_retries=2))
    same(answer.choices[0].message.content, "Hello at last.")


def is_unauthorized(client):
    # The client's own retries are on: it must not try again.
    error = raised(openai.AuthenticationError, lambda: greet(client.with_options(max_retries=2)))
    same(error.status_code, 401)


def breaks_off(client):
    def read():
        return "".join(chunk.choices[0].delta.content or "" for chunk in greet(client, stream=True))

    raised(Exception, read)
    same(read(), "Hello after all that happened to the stream.")


def responds(client):
    answer = client.responses.create(
        model="gpt-5", instructions="Be brief.", input="Say hello."
    )
    same((answer.output_text, answer.status), (HELLO, "completed"))
    same((answer.object, answer.model), ("response", "gpt-5"))
    usage = answer.usage
    same((usage.input_tokens, usage.output_tokens, usage.total_tokens), (11, 7, 18))
    same(usage.input_tokens_details.cached_tokens, 3)


def streams_responses(client):
    """With the helper that checks the order of the events and puts the answer together."""
    with client.responses.stream(
        model="gpt-5", instructions="Be brief.", input="Say hello."
    ) as events:
        pieces = [
            event.delta for event in events if event.type == "response.output_text.delta"
        ]
        answer = events.get_final_response()
    same(("".join(pieces), answer.output_text), (HELLO, HELLO))
    assert len(pieces) > 3, pieces
    same(answer.usage.total_tokens, 18)


def responds_with_tools(client):
    response_loop(lambda asked: client.responses.create(
        model="gpt-5", input=asked, tools=[RESPONSE_TOOL]
    ))


def streams_responses_with_tools(client):
    def ask(asked):
        with client.responses.stream(model="gpt-5", input=asked, tools=[RESPONSE_TOOL]) as events:
            events.until_done()
            return events.get_final_response()

    response_loop(ask)


def response_loop(ask):
    asked = [ASKED]
    first = ask(asked)
    same(first.output_text, "I look.")
    calls = [item for item in first.output if item.type == "function_call"]
    same([call.name for call in calls], ["weather", "weather"])
    asked += [item.model_dump(exclude_none=True, warnings=False) for item in first.output]
    for call in calls:
        output = WEATHER[json.loads(call.arguments)["city"]]
        asked.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
    same(ask(asked).output_text, WARMER)


def goes_on_from_an_answer(client):
    first = client.responses.create(model="gpt-5", input="My name is Ada.")
    same(first.previous_response_id, None)
    with client.responses.stream(
        model="gpt-5", input="What is my name?", previous_response_id=first.id
    ) as events:
        events.until_done()
        second = events.get_final_response()
    same((second.output_text, second.previous_response_id), ("Your name is Ada.", first.id))
    third = client.responses.create(
        model="gpt-5", input="Spell it.", previous_response_id=second.id
    )
    same((third.output_text, third.previous_response_id), ("A, d, a.", second.id))
    try:
        client.responses.create(model="gpt-5", input="And?", previous_response_id="resp_nobodys")
    except openai.BadRequestError as error:
        same((error.code, error.param), ("previous_response_not_found", "previous_response_id"))
    else:
        raise AssertionError("an answer that nobody gave was gone on from")


def embeds(client):
    def vectors(**options):
        asked = ["the cat sleeps", "a ship sinks", "the cat sleeps"]
        answer = client.embeddings.create(model="text-embedding-3-small", input=asked, **options)
        same([item.index for item in answer.data], [0, 1, 2])
        assert answer.usage.total_tokens > 0, answer.usage
        return [item.embedding for item in answer.data]

    # The client asks for base64 by itself, and makes numbers of it.
    cat, ship, again = vectors()
    same((len(cat), cat == again, cat == ship), (1536, True, False))
    same([len(vector) for vector in vectors(dimensions=8, encoding_format="float")], [8] * 3)


CASES = [
    responds,
    streams_responses,
    responds_with_tools,
    streams_responses_with_tools,
    goes_on_from_an_answer,
    embeds,
    says,
    streams,
    uses_tools,
    streams_tools,
    lists_models,
    is_unscripted,
    is_throttled,
    tries_again,
    is_unauthorized,
    breaks_off,
]

if __name__ == "__main__":
    {case.__name__: case for case in CASES}[sys.argv[1]](openai.OpenAI(max_retries=0, timeout=30))
