"""OpenAI's official client for Python against the fleet, as whoever installs it uses it.

    OPENAI_BASE_URL=… OPENAI_API_KEY=… SDK_MODEL=… SDK_READER_KEY=… SDK_SPENT_KEY=… python stories.py

`SDK_MODEL` says again what it is asked, so that what arrives is known to the letter. `SDK_READER_KEY` may read and not
ask; `SDK_SPENT_KEY` has a budget that is spent.
"""

from __future__ import annotations

import asyncio
import json
import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

MODEL = os.environ["SDK_MODEL"]
WORDS = "Pan de centeno, ñandú y 麦"


class Flour(BaseModel):
    grain: Literal["rye", "wheat"]
    grams: int = Field(ge=1, le=2000)


class Bread(BaseModel):
    name: str = Field(min_length=1, max_length=60)
    organic: bool
    note: str | None
    flours: list[Flour] = Field(min_length=1, max_length=3)


class SliceBread(BaseModel):
    """Cuts a bread."""

    bread: str = Field(max_length=60)


def ask(text: str = WORDS, **fields) -> dict:
    messages = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": text}]
    return {"model": MODEL, "messages": messages, "max_completion_tokens": 200, **fields}


def bread_schema(schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "bread", "strict": True, "schema": schema}}


class Story(unittest.TestCase):
    def setUp(self) -> None:
        self.client = OpenAI()
        self.addCleanup(self.client.close)

    def assert_bread(self, bread: Bread | None) -> None:
        self.assertIsInstance(bread, Bread)
        self.assertEqual(bread.name, WORDS)

    def refused(self, kind: type[openai.APIStatusError], client: OpenAI | None = None, **fields):
        with self.assertRaises(kind) as raised:
            (client or self.client).chat.completions.create(**ask(**fields))
        error = raised.exception
        self.assertIs(type(error), kind)
        self.assertTrue(error.message and error.request_id)
        # A refusal that asking again does not cure was asked once.
        self.assertEqual(error.request.headers.get("x-stainless-retry-count"), "0")
        return error


class Answers(Story):
    def test_an_answer_comes_whole(self) -> None:
        answer = self.client.chat.completions.create(**ask())

        choice = answer.choices[0]
        self.assertEqual(choice.message.content, WORDS)
        self.assertEqual((answer.object, choice.message.role), ("chat.completion", "assistant"))
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_the_id_of_the_request_is_that_of_the_header(self) -> None:
        raw = self.client.chat.completions.with_raw_response.create(**ask())

        self.assertTrue(raw.request_id)
        self.assertEqual(raw.request_id, raw.headers["x-request-id"])
        self.assertEqual(raw.parse()._request_id, raw.request_id)

    def test_parts_of_a_message_are_understood(self) -> None:
        fields = ask(messages=[{"role": "user", "content": [{"type": "text", "text": WORDS}]}])

        answer = self.client.chat.completions.create(**fields)

        self.assertEqual(answer.choices[0].message.content, WORDS)

    def test_an_answer_that_is_cut_says_so(self) -> None:
        answer = self.client.chat.completions.create(**ask("one two three four", max_completion_tokens=1))

        self.assertEqual(answer.choices[0].finish_reason, "length")

    def test_several_threads_of_one_client_get_their_own_answers(self) -> None:
        def answer(text: str) -> str | None:
            return self.client.chat.completions.create(**ask(text)).choices[0].message.content

        texts = [f"Loaf number {n}" for n in range(4)]
        with ThreadPoolExecutor() as threads:
            answers = list(threads.map(answer, texts))

        self.assertEqual(answers, texts)

    def test_the_models_are_listed_and_read(self) -> None:
        listed = list(self.client.models.list())

        self.assertIn(MODEL, [model.id for model in listed])
        self.assertEqual(self.client.models.retrieve(MODEL), next(model for model in listed if model.id == MODEL))
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("gpt-nothing")


class Streams(Story):
    def test_the_pieces_of_a_stream_are_the_answer(self) -> None:
        with self.client.chat.completions.create(**ask(stream=True)) as stream:
            pieces = list(stream)

        self.assertEqual("".join(piece.choices[0].delta.content or "" for piece in pieces), WORDS)
        self.assertEqual(pieces[0].choices[0].delta.role, "assistant")
        self.assertEqual([p.choices[0].finish_reason for p in pieces if p.choices[0].finish_reason], ["stop"])
        self.assertEqual(len({piece.id for piece in pieces}), 1)
        self.assertTrue(all(piece.usage is None for piece in pieces))

    def test_the_last_piece_tells_the_usage_to_whom_it_is_wanted(self) -> None:
        pieces = list(self.client.chat.completions.create(**ask(stream=True, stream_options={"include_usage": True})))

        self.assertEqual(pieces[-1].choices, [])
        usage = pieces[-1].usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertTrue(all(piece.usage is None for piece in pieces[:-1]))

    def test_a_stream_is_put_together_by_the_client(self) -> None:
        with self.client.chat.completions.stream(**ask()) as stream:
            said = "".join(event.delta for event in stream if event.type == "content.delta")
            final = stream.get_final_completion()

        self.assertEqual(said, WORDS)
        self.assertEqual(final.choices[0].message.content, said)

    def test_data_by_a_schema_are_streamed_too(self) -> None:
        with self.client.chat.completions.stream(**ask(response_format=Bread)) as stream:
            final = stream.get_final_completion()

        self.assert_bread(final.choices[0].message.parsed)

    def test_a_stream_that_is_refused_raises_before_its_first_piece(self) -> None:
        self.refused(openai.NotFoundError, stream=True, model="gpt-nothing")


class Structures(Story):
    def test_an_answer_is_parsed_into_a_model(self) -> None:
        answer = self.client.chat.completions.parse(**ask(response_format=Bread))

        message = answer.choices[0].message
        self.assert_bread(message.parsed)
        self.assertIsNone(message.refusal)

    def test_a_schema_written_by_hand_is_kept_to(self) -> None:
        schema = {
            "type": "object", "additionalProperties": False, "required": ["loaves"],
            "properties": {"loaves": {"type": "integer", "minimum": 3, "maximum": 5}},
        }

        answer = self.client.chat.completions.create(**ask(response_format=bread_schema(schema)))

        self.assertIn(json.loads(answer.choices[0].message.content)["loaves"], [3, 4, 5])

    def test_a_tool_is_called_with_arguments_that_parse(self) -> None:
        tool = openai.pydantic_function_tool(SliceBread)

        answer = self.client.chat.completions.parse(**ask(tools=[tool], tool_choice="required"))

        choice = answer.choices[0]
        call = choice.message.tool_calls[0]
        self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", None))
        self.assertEqual((call.type, call.function.name), ("function", "SliceBread"))
        self.assertIsInstance(call.function.parsed_arguments, SliceBread)
        self.assertTrue(call.id)

    def test_what_a_tool_found_is_answered_with(self) -> None:
        tool = openai.pydantic_function_tool(SliceBread)
        first = ask(tools=[tool], tool_choice="required")
        call = self.client.chat.completions.create(**first).choices[0].message
        found = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": WORDS}

        answer = self.client.chat.completions.create(**ask(messages=[*first["messages"], call, found], tools=[tool]))

        self.assertEqual(answer.choices[0].message.content, WORDS)

    def test_a_tool_that_is_called_in_a_stream_is_put_together(self) -> None:
        tool = openai.pydantic_function_tool(SliceBread)
        with self.client.chat.completions.stream(**ask(tools=[tool], tool_choice="required")) as stream:
            final = stream.get_final_completion()

        call = final.choices[0].message.tool_calls[0]
        self.assertIsInstance(call.function.parsed_arguments, SliceBread)


class Refusals(Story):
    def test_a_wrong_key_is_no_key(self) -> None:
        error = self.refused(openai.AuthenticationError, OpenAI(api_key="flt_live_wrong"))

        self.assertEqual((error.status_code, error.code), (401, "api_key_invalid"))

    def test_a_key_that_may_only_read_is_not_permitted_to_ask(self) -> None:
        reader = OpenAI(api_key=os.environ["SDK_READER_KEY"])

        self.assertIn(MODEL, [model.id for model in reader.models.list()])
        error = self.refused(openai.PermissionDeniedError, reader)
        self.assertEqual(error.code, "permission_denied")

    def test_a_spent_budget_is_the_quota_that_clients_know(self) -> None:
        error = self.refused(openai.RateLimitError, OpenAI(api_key=os.environ["SDK_SPENT_KEY"]))

        self.assertEqual((error.status_code, error.code, error.type), (429, "insufficient_quota", "insufficient_quota"))

    def test_a_model_that_is_not_there_is_named(self) -> None:
        error = self.refused(openai.NotFoundError, model="gpt-nothing")

        self.assertEqual((error.code, error.param), ("model_not_found", "model"))
        self.assertIn("gpt-nothing", error.message)

    def test_what_is_wrong_is_named(self) -> None:
        endless = {"type": "object", "allOf": [{"$ref": "#"}]}
        for field, value in {
            "response_format": bread_schema(endless),
            "temperature": 3,
            "n": 2,
            "messages": [],
            "service_tier": "priority",
        }.items():
            with self.subTest(field):
                error = self.refused(openai.BadRequestError, **{field: value})

                self.assertEqual((error.param, error.type), (field, "invalid_request_error"))


class AtOnce(unittest.IsolatedAsyncioTestCase):
    async def test_the_asynchronous_client_asks_streams_and_parses_at_once(self) -> None:
        async with AsyncOpenAI() as client:

            async def streamed() -> str:
                stream = await client.chat.completions.create(**ask(stream=True))
                return "".join([piece.choices[0].delta.content or "" async for piece in stream])

            whole, stream, parsed = await asyncio.gather(
                client.chat.completions.create(**ask()),
                streamed(),
                client.chat.completions.parse(**ask(response_format=Bread)),
            )

        self.assertTrue(whole._request_id and parsed._request_id)
        self.assertNotEqual(whole._request_id, parsed._request_id)
        self.assertIsInstance(parsed.choices[0].message.parsed, Bread)
        self.assertEqual((whole.choices[0].message.content, stream), (WORDS, WORDS))

    async def test_the_asynchronous_client_raises_the_same(self) -> None:
        async with AsyncOpenAI(api_key=os.environ["SDK_SPENT_KEY"]) as client:
            with self.assertRaises(openai.RateLimitError):
                await client.chat.completions.create(**ask())


if __name__ == "__main__":
    unittest.main(verbosity=2)
