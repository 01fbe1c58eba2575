// OpenAI's official client for Node.js against the fleet, as whoever installs it uses it.
//
//     OPENAI_BASE_URL=… OPENAI_API_KEY=… SDK_MODEL=… SDK_READER_KEY=… SDK_SPENT_KEY=… node --test stories.mjs
//
// The variables are those of stories.py.

import assert from 'node:assert/strict';
import { env } from 'node:process';
import { test } from 'node:test';

import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const client = new OpenAI();
const model = env.SDK_MODEL;
const words = 'Pan de centeno, ñandú y 麦';

const Flour = z.object({ grain: z.enum(['rye', 'wheat']), grams: z.int().min(1).max(2000) });
const Bread = z.object({
  name: z.string().min(1).max(60),
  organic: z.boolean(),
  note: z.string().max(60).nullable(),
  flours: z.array(Flour).min(1).max(3),
});
const breadFormat = zodResponseFormat(Bread, 'bread');
const sliceBread = zodFunction({ name: 'slice_bread', parameters: z.object({ bread: z.string().max(60) }) });

const ask = (fields = {}) => ({
  model,
  messages: [{ role: 'system', content: 'Answer in one sentence.' }, { role: 'user', content: words }],
  max_completion_tokens: 200,
  ...fields,
});

function assertBread(bread) {
  assert.deepEqual(Bread.parse(bread), bread);
  assert.equal(bread.name, words);
}

async function refused(kind, fields = {}, by = client) {
  let sent = 0;
  const counting = by.withOptions({
    fetch: (...request) => {
      sent += 1;
      return fetch(...request);
    },
  });
  const error = await counting.chat.completions.create(ask(fields)).then(
    () => assert.fail('it was answered'),
    (error) => error,
  );
  assert.equal(error.constructor, kind);
  assert.ok(error.message && error.requestID);
  assert.equal(sent, 1, 'a refusal that asking again does not cure is asked once');
  return error;
}

test('an answer comes whole, with the id of its request', async () => {
  const { data, response, request_id } = await client.chat.completions.create(ask()).withResponse();

  assert.equal(data.choices[0].message.content, words);
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(request_id);
  assert.equal(request_id, response.headers.get('x-request-id'));
  assert.equal(data._request_id, request_id);
});

test('an answer that is cut says so', async () => {
  const answer = await client.chat.completions.create(ask({ max_completion_tokens: 1 }));

  assert.equal(answer.choices[0].finish_reason, 'length');
});

test('the models are listed and read', async () => {
  const listed = [];
  for await (const one of client.models.list()) listed.push(one);

  const same = listed.find(({ id }) => id === model);
  const { id, object, created, owned_by } = await client.models.retrieve(model);
  assert.deepEqual({ id, object, created, owned_by }, { ...same });
  await assert.rejects(client.models.retrieve('gpt-nothing'), OpenAI.NotFoundError);
});

test('the pieces of a stream are the answer, and the last one tells the usage', async () => {
  const stream = await client.chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } }));
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);

  const last = pieces.pop();
  assert.equal(pieces.map((piece) => piece.choices[0].delta.content ?? '').join(''), words);
  assert.equal(pieces.at(-1).choices[0].finish_reason, 'stop');
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + last.usage.completion_tokens);
});

test('a stream is put together by the client', async () => {
  const stream = client.chat.completions.stream(ask());
  let said = '';
  stream.on('content', (delta) => {
    said += delta;
  });

  const text = await stream.finalContent();

  assert.equal(text, words);
  assert.equal(said, text);
});

test('an answer is parsed by its schema, whole and streamed', async () => {
  const whole = await client.chat.completions.parse(ask({ response_format: breadFormat }));
  const streamed = await client.chat.completions.stream(ask({ response_format: breadFormat })).finalChatCompletion();

  for (const answer of [whole, streamed]) {
    assertBread(answer.choices[0].message.parsed);
    assert.equal(answer.choices[0].message.refusal ?? null, null);
  }
});

test('a tool is called with arguments that parse, whole and streamed', async () => {
  const asked = ask({ tools: [sliceBread], tool_choice: 'required' });
  const whole = await client.chat.completions.parse(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();

  for (const answer of [whole, streamed]) {
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(answer.choices[0].finish_reason, 'tool_calls');
    assert.equal(call.function.name, 'slice_bread');
    assert.deepEqual(call.function.parsed_arguments, { bread: words });
  }
});

test('a wrong key is no key, and one that may only read may not ask', async () => {
  const wrong = await refused(OpenAI.AuthenticationError, {}, new OpenAI({ apiKey: 'flt_live_wrong' }));
  const reader = await refused(OpenAI.PermissionDeniedError, {}, new OpenAI({ apiKey: env.SDK_READER_KEY }));

  assert.deepEqual([wrong.status, wrong.code], [401, 'api_key_invalid']);
  assert.deepEqual([reader.status, reader.code], [403, 'permission_denied']);
});

test('a spent budget is the quota that clients know', async () => {
  const error = await refused(OpenAI.RateLimitError, {}, new OpenAI({ apiKey: env.SDK_SPENT_KEY }));

  assert.deepEqual([error.status, error.code, error.type], [429, 'insufficient_quota', 'insufficient_quota']);
});

test('a model that is not there is named, streamed too', async () => {
  for (const stream of [false, true]) {
    const error = await refused(OpenAI.NotFoundError, { model: 'gpt-nothing', stream });

    assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  }
});

test('what is wrong is named', async () => {
  const endless = { type: 'object', allOf: [{ $ref: '#' }] };
  const wrong = {
    response_format: { type: 'json_schema', json_schema: { name: 'endless', schema: endless } },
    temperature: 3,
    n: 2,
    messages: [],
  };
  for (const [field, value] of Object.entries(wrong)) {
    const error = await refused(OpenAI.BadRequestError, { [field]: value });

    assert.deepEqual([error.param, error.type], [field, 'invalid_request_error']);
  }
});
