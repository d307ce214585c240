"""Conversations of several turns: each turn follows the teacher's own replies, and conversations run concurrently."""

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.rows import Message, Prompt, canonical, prompt_id
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.store import ResponseStore
from tests.teacher import test_client

TURNS = 3


class ConversationEndpoint(test_client.Endpoint):
    """Endpoint that calls `reply(user_turns, calls)`: a response, seconds to wait, or None for the normal answer.
    Records the messages of each request, in order."""

    def __init__(self, reply) -> None:
        super().__init__(reply)
        self.asked: list[tuple[str, ...]] = []

    async def chat(self, request: web.Request) -> web.Response:
        turns = (await request.json())["messages"]
        self.asked.append(tuple(turn["content"] for turn in turns))
        users = [turn["content"] for turn in turns if turn["role"] == "user"]
        reply = self.reply(users, len(self.asked))
        if isinstance(reply, web.Response):
            return reply
        if isinstance(reply, float):
            await asyncio.sleep(reply)
        return completion_of(f"teacher on {users[-1]}")


def completion_of(text, finish_reason="stop"):
    return web.json_response({"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]})


def conversation(name, split="train", turns=TURNS):
    """A prompt with user and assistant turns of the dataset; the last one is of the user."""
    texts = [f"{who} {name}.{turn}" for turn in range(1, turns + 1) for who in ("user", "dataset")][:-1]
    messages = tuple(Message(role="user" if n % 2 == 0 else "assistant", content=text) for n, text in enumerate(texts))
    return Prompt(id=prompt_id(messages), split=split, messages=messages, source=f"rows:{name}")


@pytest.fixture
def ask(tmp_path, configure):
    def run(rows, reply=lambda users, calls: None, in_flight=8, **fields):
        async def asking():
            endpoint = ConversationEndpoint(reply)
            async with endpoint.listening() as url:
                options = {"turns": "all", "max_reject_ratio": 1.0, **fields}
                config = configure(None, teacher={"max_in_flight": in_flight}, **options)
                address = resolve(config.teachers[0], "simulated", {"AZDISTILL_SIMULATED_TEACHER": url})
                try:
                    return endpoint, await collect(rows, config, [address], ResponseStore(tmp_path / "store", "run"))
                except EndpointError as problem:
                    return endpoint, problem

        return asyncio.run(asking())

    return run


def test_each_turn_follows_the_teachers_own_replies(ask):
    endpoint, collected = ask([conversation("a")])
    assert endpoint.asked == [
        ("user a.1",),
        ("user a.1", "teacher on user a.1", "user a.2"),
        ("user a.1", "teacher on user a.1", "user a.2", "teacher on user a.2", "user a.3"),
    ]
    [row] = collected.completions
    assert tuple(message.content for message in row.messages) == endpoint.asked[-1]
    assert [message.role for message in row.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert (row.id, row.completion) == (conversation("a").id, "teacher on user a.3")


def test_a_test_row_keeps_the_history_of_the_dataset(ask):
    endpoint, collected = ask([conversation("a", "test")])
    assert endpoint.asked == [("user a.1", "dataset a.1", "user a.2", "dataset a.2", "user a.3")]
    assert collected.completions[0].messages == conversation("a").messages


def test_by_default_only_the_last_turn_is_asked(ask):
    endpoint, collected = ask([conversation("a")], turns="last")
    assert len(endpoint.asked) == 1
    assert collected.completions[0].messages == conversation("a").messages


@pytest.mark.parametrize(
    ("response", "reason", "detail"),
    [
        (completion_of("cut", "length"), "unusable_turn", "the answer is incomplete"),
        (completion_of("cut", "content_filter"), "unusable_turn", "finish_reason 'content_filter'"),
        (completion_of("  "), "unusable_turn", "the answer is blank"),
        (test_client.refused(400), "http_400", "HTTP 400"),
    ],
)
def test_a_failed_turn_rejects_its_row_with_the_number_of_the_turn(ask, response, reason, detail):
    def reply(users, calls):
        return response if users[-1] == "user b.2" else None

    endpoint, collected = ask([conversation("a"), conversation("b"), conversation("c")], reply)
    assert [row.source for row in collected.completions] == ["rows:a", "rows:c"]
    [reject] = collected.rejects
    assert (reject.source, reject.reason) == ("rows:b", reason)
    assert reject.detail.startswith("turn 2 of 3: ")
    assert detail in reject.detail
    assert not any("user b.3" in messages for messages in endpoint.asked)


def test_an_interrupted_run_continues_at_the_same_turn(ask):
    rows = [conversation(str(number)) for number in range(20)]
    times = Counter()
    problem = None
    for _ in range(5):
        endpoint, problem = ask(rows, lambda users, calls: test_client.refused(401) if calls > 15 else None, 2)
        times.update(endpoint.asked[:15])
        if not isinstance(problem, EndpointError):
            break
    assert len(problem.completions) == 20
    assert problem.usage["from_store"] > 0
    assert len(times) == 20 * TURNS
    assert set(times.values()) == {1}


def test_conversations_do_not_wait_for_each_other(ask):
    def reply(users, calls):
        return 0.5 if users == ["user slow.1"] else None

    endpoint, collected = ask([conversation("slow"), conversation("a"), conversation("b")], reply)
    last_turns = [messages[-1] for messages in endpoint.asked]
    assert last_turns.index("user a.3") < last_turns.index("user slow.2")
    assert [row.source for row in collected.completions] == ["rows:slow", "rows:a", "rows:b"]


def test_started_conversations_have_priority(ask):
    endpoint, _ = ask([conversation(str(number)) for number in range(50)], lambda users, calls: 0.01, in_flight=1)
    last_turns = [messages[-1] for messages in endpoint.asked]
    assert last_turns.index("user 0.3") < last_turns.index("user 25.1")


def test_shared_first_turns_are_asked_once(ask):
    long, short = conversation("a"), conversation("a", turns=2)
    teachers = tuple(Message(role="user", content=text) for text in ("user a.1", "teacher on user a.1", "user a.2"))
    own = (teachers[0], Message(role="assistant", content=teachers[1].content), teachers[2])
    with_teacher_replies = Prompt(id=prompt_id(own), split="test", messages=own, source="rows:own")
    endpoint, collected = ask([long, short, with_teacher_replies])
    assert len(endpoint.asked) == len(set(endpoint.asked)) == TURNS
    assert [row.completion for row in collected.completions] == [f"teacher on user a.{turn}" for turn in (3, 2, 2)]
    assert len({canonical(row.messages) for row in collected.completions}) == 2
