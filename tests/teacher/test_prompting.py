"""Rendering of prompts, the trace modes, and the examples in docs/prompting.md."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.prompting import CHAIN_OF_THOUGHT, chain_of_density, render
from azdistill.contracts.requests import Prompting
from azdistill.contracts.rows import Completion, Message, TokenUsage, TrainRow, prompt_id
from azdistill.contracts.teacher import TeacherConfig
from azdistill.data.curate import curate
from azdistill.teacher.prompting import apply_trace, missing_reasoning
from azdistill.teacher.replies import read_reply

PAGE = (Path(__file__).parents[2] / "docs/prompting.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROW, REPLY = json.loads(BLOCKS[0][1])["messages"], BLOCKS[1][1].rstrip("\n")
EXAMPLES = [(YAML(typ="safe").load(yaml), output) for (kind, yaml), (_, output) in pairwise(BLOCKS) if kind == "yaml"]


def config(**fields):
    return TeacherConfig(teachers=({"model": "m", "endpoint": "https://h"},), **fields)


def turns(*pairs):
    return tuple(Message(role=role, content=content) for role, content in pairs)


CONVERSATION = turns(("user", "Hi"), ("assistant", "Hello"), ("user", "Why {prompt}?"))


@pytest.mark.parametrize(
    ("own", "fields", "system", "last"),
    [
        (None, {}, None, "Why {prompt}?"),
        ("Be kind.", {}, "Be kind.", "Why {prompt}?"),
        (None, {"system_prompt": "Be brief."}, "Be brief.", "Why {prompt}?"),
        ("Be kind.", {"system_prompt": "Be brief."}, "Be brief.\n\nBe kind.", "Why {prompt}?"),
        ("Be kind.", {"chain_of_thought": True}, f"Be kind.\n\n{CHAIN_OF_THOUGHT}", "Why {prompt}?"),
        (None, {"chain_of_density": True, "max_len_summary": 33}, chain_of_density(33), "Why {prompt}?"),
        (None, {"template": 'In {lang}: "{prompt}" {0}'}, None, 'In {lang}: "Why {prompt}?" {0}'),
    ],
)
def test_a_request_has_one_system_message_and_the_last_user_turn_in_the_template(own, fields, system, last):
    row = (*turns(*([("system", own)] if own else [])), *CONVERSATION)
    expected = [
        *turns(*([("system", system)] if system else [])),
        *CONVERSATION[:-1],
        Message(role="user", content=last),
    ]
    assert render(row, Prompting(**fields)) == [turn.model_dump() for turn in expected]


@pytest.mark.parametrize(
    ("trace", "mode", "expected"),
    [
        ("3 + 2", "strip", ("5", None)),
        ("3 + 2", "keep", ("<think>\n3 + 2\n</think>\n\n5", None)),
        ("3 + 2", "split", ("5", "3 + 2")),
        (None, "keep", ("5", None)),
        (" ", "keep", ("5", None)),
        (None, "split", ("5", None)),
    ],
)
def test_the_trace_is_stripped_kept_or_split(trace, mode, expected):
    assert apply_trace("5", trace, config(trace=mode)) == expected


@pytest.mark.parametrize(
    ("fields", "trace", "field"),
    [
        ({"chain_of_thought": True}, None, "chain_of_thought"),
        ({"chain_of_density": True}, " \n", "chain_of_density"),
        ({"chain_of_thought": True}, "because", None),
        ({}, None, None),
    ],
)
def test_missing_reasoning_is_detected(fields, trace, field):
    detail = missing_reasoning(trace, Prompting(**fields))
    assert detail is None if field is None else f"teacher.prompting.{field} asks for" in detail


def test_a_kept_trace_can_be_parsed_again():
    kept, _ = apply_trace("5", "3 + 2\n= 5", config(trace="keep"))
    reply = {"choices": [{"message": {"content": kept}, "finish_reason": "stop"}]}
    parsed = read_reply(200, {}, json.dumps(reply).encode())
    assert (parsed.completion, parsed.trace) == ("5", "3 + 2\n= 5")


def training_rows(fields):
    """Rows of train.jsonl for the row and the reply of the page."""
    reply = {"choices": [{"message": {"content": REPLY}, "finish_reason": "stop"}]}
    parsed = read_reply(200, {}, json.dumps(reply).encode())
    row, teacher_config = turns(*[(turn["role"], turn["content"]) for turn in ROW]), config(**fields)
    completion, trace = apply_trace(parsed.completion, parsed.trace, teacher_config)
    head = {"id": prompt_id(row), "split": "train", "messages": row, "source": "rows.jsonl:1", "key": "k"}
    answer = Completion(
        **head, completion=completion, trace=trace, finish_reason="stop", teacher="m", usage=TokenUsage()
    )
    rows = curate([answer], CurateConfig(task="math")).train
    return tuple(row.model_copy(update={"key": None}) for row in rows)


@pytest.mark.parametrize(("fields", "output"), EXAMPLES, ids=str)
def test_the_examples_of_the_page_are_right(fields, output):
    prompting = config(**fields["teacher"]).prompting
    if prompting.chain_of_density:
        assert " ".join(output.split()) == chain_of_density(prompting.max_len_summary)
    elif "trace" in fields["teacher"]:
        assert training_rows(fields["teacher"]) == tuple(
            TrainRow.model_validate_json(line) for line in output.splitlines()
        )
    else:
        row = turns(*[(turn["role"], turn["content"]) for turn in ROW])
        assert [json.loads(line) for line in output.splitlines()] == render(row, prompting)


def test_the_page_has_an_example_of_every_trace_mode():
    assert [fields["teacher"].get("trace") for fields, _ in EXAMPLES] == [None, None, None, "strip", "keep", "split"]
