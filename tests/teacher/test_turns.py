"""Conversations of several turns: each is answered on the teacher's own replies, in order and without a barrier."""

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


class Talker(test_client.Endpoint):
    """Replies as `reply(users, calls)` says to a conversation, known by what its user said: a text, a response or
    seconds to wait first. Remembers each conversation as it was asked, and the order."""

    def __init__(self, reply) -> None:
        super().__init__(reply)
        self.asked: list[tuple[str, ...]] = []

    async def chat(self, request: web.Request) -> web.Response:
        turns = (await request.json())["messages"]
        self.asked.append(tuple(turn["content"] for turn in turns))
        users = [turn["content"] for turn in turns if turn["role"] == "user"]
        found = self.reply(users, len(self.asked))
        if isinstance(found, web.Response):
            return found
        if isinstance(found, float):
            await asyncio.sleep(found)
        return said(f"teacher on {users[-1]}")


def said(text, finish_reason="stop"):
    return web.json_response({"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]})


def conversation(name, split="train", turns=TURNS):
    """User and assistant turns of the dataset; ends with the user's."""
    texts = [f"{who} {name}.{turn}" for turn in range(1, turns + 1) for who in ("user", "dataset")][:-1]
    talk = tuple(Message(role="user" if n % 2 == 0 else "assistant", content=text) for n, text in enumerate(texts))
    return Prompt(id=prompt_id(talk), split=split, messages=talk, source=f"rows:{name}")


@pytest.fixture
def ask(tmp_path, configure):
    def run(rows, reply=lambda users, calls: None, in_flight=8, **fields):
        async def asking():
            endpoint = Talker(reply)
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


def test_each_turn_is_asked_on_the_teachers_own_replies(ask):
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


def test_a_test_row_keeps_the_history_of_the_dataset_as_all_models_answer_the_same(ask):
    endpoint, collected = ask([conversation("a", "test")])
    assert endpoint.asked == [("user a.1", "dataset a.1", "user a.2", "dataset a.2", "user a.3")]
    assert collected.completions[0].messages == conversation("a").messages


def test_by_default_the_last_turn_is_asked(ask):
    endpoint, collected = ask([conversation("a")], turns="last")
    assert len(endpoint.asked) == 1
    assert collected.completions[0].messages == conversation("a").messages


@pytest.mark.parametrize(
    ("response", "reason", "detail"),
    [
        (said("half", "length"), "unusable_turn", "the answer is incomplete"),
        (said("half", "content_filter"), "unusable_turn", "finish_reason 'content_filter'"),
        (said("  "), "unusable_turn", "the answer is blank"),
        (test_client.refused(400), "http_400", "HTTP 400"),
    ],
)
def test_a_turn_that_failed_sets_its_row_aside_by_its_number(ask, response, reason, detail):
    def reply(users, calls):
        return response if users[-1] == "user b.2" else None

    endpoint, collected = ask([conversation("a"), conversation("b"), conversation("c")], reply)
    assert [row.source for row in collected.completions] == ["rows:a", "rows:c"]
    [reject] = collected.rejects
    assert (reject.source, reject.reason) == ("rows:b", reason)
    assert reject.detail.startswith("turn 2 of 3: ")
    assert detail in reject.detail
    assert not any("user b.3" in talk for talk in endpoint.asked)


def test_a_run_that_was_cut_goes_on_at_the_turn_where_it_was(ask):
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
    lasts = [talk[-1] for talk in endpoint.asked]
    assert lasts.index("user a.3") < lasts.index("user slow.2")
    assert [row.source for row in collected.completions] == ["rows:slow", "rows:a", "rows:b"]


def test_conversations_that_were_begun_go_before_those_that_were_not(ask):
    endpoint, _ = ask([conversation(str(number)) for number in range(50)], lambda users, calls: 0.01, in_flight=1)
    lasts = [talk[-1] for talk in endpoint.asked]
    assert lasts.index("user 0.3") < lasts.index("user 25.1")


def test_rows_that_begin_alike_ask_what_they_share_once(ask):
    long, short = conversation("a"), conversation("a", turns=2)
    teachers = tuple(Message(role="user", content=text) for text in ("user a.1", "teacher on user a.1", "user a.2"))
    own = (teachers[0], Message(role="assistant", content=teachers[1].content), teachers[2])
    as_the_teacher_said = Prompt(id=prompt_id(own), split="test", messages=own, source="rows:own")
    endpoint, collected = ask([long, short, as_the_teacher_said])
    assert len(endpoint.asked) == len(set(endpoint.asked)) == TURNS
    assert [row.completion for row in collected.completions] == [f"teacher on user a.{turn}" for turn in (3, 2, 2)]
    assert len({canonical(row.messages) for row in collected.completions}) == 2
