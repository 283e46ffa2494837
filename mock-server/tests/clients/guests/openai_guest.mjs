// OpenAI's Node client as a guest of the mock: `node openai_guest.mjs CASE`.
//
// Plays one case and asserts on what the client has parsed. Where the mock is, and the key, stand
// in the environment, as the client itself reads them.

import assert from "node:assert/strict";
import OpenAI from "openai";

const HELLO = "Hello, guest. 日本語 and 🦀 arrive whole.";
const ASKED = { role: "user", content: "How is the weather in Paris and Oslo?" };
const WEATHER = { Paris: "Paris: 18 degrees", Oslo: "Oslo: 9 degrees" };
const WARMER = "It is warmer in Paris than in Oslo.";
const PARAMETERS = { type: "object", properties: { city: { type: "string" } } };
const GREETING = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Say hello." },
];
const model = "gpt-5";

function sameUsage(usage) {
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [11, 7, 18]);
  assert.equal(usage.prompt_tokens_details.cached_tokens, 3);
}

async function raised(kind, asked) {
  const error = await asked.then(
    (answer) => assert.fail(`${kind.name} was not raised, but this came: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.ok(error instanceof kind, error);
  return error;
}

async function says(client) {
  const answer = await client.chat.completions.create({ model, messages: GREETING });
  const [choice] = answer.choices;
  assert.equal(choice.message.content, HELLO);
  assert.deepEqual([choice.message.role, choice.finish_reason], ["assistant", "stop"]);
  assert.deepEqual([answer.object, answer.model], ["chat.completion", model]);
  sameUsage(answer.usage);
}

async function streams(client) {
  const text = [];
  const reasons = [];
  const usages = [];
  const ids = new Set();
  const chunks = await client.chat.completions.create({
    model,
    messages: GREETING,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of chunks) {
    ids.add(chunk.id);
    if (chunk.usage) usages.push(chunk.usage);
    for (const choice of chunk.choices) {
      if (choice.delta.content) text.push(choice.delta.content);
      if (choice.finish_reason) reasons.push(choice.finish_reason);
    }
  }
  assert.equal(text.join(""), HELLO);
  assert.ok(text.length > 3, text);
  assert.deepEqual([reasons, ids.size, usages.length], [["stop"], 1, 1]);
  sameUsage(usages[0]);
}

async function uses_tools(client) {
  await loop(client, {});
}

async function streams_tools(client) {
  await loop(client, { stream: true });
}

// The client's own loop: it calls the functions and answers the model by itself.
async function loop(client, options) {
  const called = [];
  const weather = {
    name: "weather",
    parameters: PARAMETERS,
    parse: JSON.parse,
    function: ({ city }) => {
      called.push(city);
      return WEATHER[city];
    },
  };
  const runner = client.chat.completions.runTools({
    model,
    messages: [ASKED],
    tools: [{ type: "function", function: weather }],
    ...options,
  });
  assert.equal(await runner.finalContent(), WARMER);
  assert.deepEqual(called, ["Paris", "Oslo"]);
  const [first, last] = runner.allChatCompletions().map((answer) => answer.choices[0]);
  assert.deepEqual([first.message.content, first.finish_reason], ["I look.", "tool_calls"]);
  assert.equal(last.finish_reason, "stop");
}

async function lists_models(client) {
  const models = [];
  for await (const each of client.models.list()) models.push(each);
  assert.ok(models.length > 0 && models.every((each) => each.id && each.object === "model"), models);
}

async function is_unscripted(client) {
  // The client's own retries are on: it must not try again.
  const asked = client.chat.completions.create(
    { model, messages: GREETING.slice(1) },
    { maxRetries: 2 },
  );
  const error = await raised(OpenAI.UnprocessableEntityError, asked);
  assert.match(error.message, /Say hello\./);
  assert.equal(error.code, "unscripted_request");
}

function greet(client, options, request) {
  const body = { model, messages: GREETING.slice(1), ...request };
  return client.chat.completions.create(body, options);
}

async function is_throttled(client) {
  const error = await raised(OpenAI.RateLimitError, greet(client));
  assert.deepEqual([error.status, error.headers.get("retry-after")], [429, "7"]);
}

async function tries_again(client) {
  const answer = await greet(client, { maxRetries: 2 });
  assert.equal(answer.choices[0].message.content, "Hello at last.");
}

async function is_unauthorized(client) {
  // The client's own retries are on: it must not try again.
  const error = await raised(OpenAI.AuthenticationError, greet(client, { maxRetries: 2 }));
  assert.equal(error.status, 401);
}

async function breaks_off(client) {
  const read = async () => {
    let text = "";
    const chunks = await greet(client, {}, { stream: true });
    for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  };
  await raised(Error, read());
  assert.equal(await read(), "Hello after all that happened to the stream.");
}

const cases = {
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
};

await cases[process.argv[2]](new OpenAI({ maxRetries: 0, timeout: 30_000 }));
