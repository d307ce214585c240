"""Rows of a user's file become cases; bad rows are rejected with line and reason."""

import json

import pytest

from azdistill.contracts.errors import DataError
from azdistill.data.cases import prompt_of, read_cases
from azdistill.tasks.registry import TASKS

U, A, S = ({"role": role, "content": f"{role} says"} for role in ("user", "assistant", "system"))

BAD_ROWS = [
    ('{"messages": [', "broken_json", "column 15"),
    ("[" * 100_000, "broken_json", "recursion"),
    ("9" * 5000, "broken_json", "digits"),
    ("[1, 2]", "not_an_object", "a list"),
    ('"text"', "not_an_object", "text"),
    ({"text": "hello"}, "missing_field", "'text'"),
    ({"messages": []}, "no_messages", "an empty list"),
    ({"messages": "hello"}, "no_messages", "text"),
    ({"messages": ["hello"]}, "not_a_message", "messages[0] is text"),
    ({"messages": [U, {"role": "moderator", "content": "x"}]}, "unknown_role", "messages[1].role='moderator'"),
    ({"messages": [U, {"role": "tool", "content": "x"}]}, "turns_not_alternating", "two user turns"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "unknown_role", "['user']"),
    ({"messages": [{"content": "x"}]}, "unknown_role", "None"),
    ({"messages": [{"role": "user", "content": " \n"}]}, "empty_content", "messages[0].content is empty"),
    ({"messages": [{"role": "user"}]}, "not_text", "messages[0].content is null"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "not_text", "not text (text)"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "not_text", "(image_url)"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "not_text", "NUL"),
    ('{"messages": [{"role": "user", "content": "\\ud83d"}]}', "not_unicode", "half a character"),
    ({"messages": [A, U]}, "assistant_first", "the first turn is the assistant's"),
    ({"messages": [S, A, U]}, "assistant_first", "the first turn is the assistant's"),
    ({"messages": [S]}, "no_user_turn", "system"),
    ({"messages": [A]}, "no_user_turn", "assistant"),
    ({"messages": [U, S]}, "late_system", "only the first"),
    ({"messages": [U, U]}, "turns_not_alternating", "two user turns"),
    ({"messages": [U, A, A]}, "turns_not_alternating", "two assistant turns"),
    ({"messages": [U], "gold": ["a", None]}, "not_text", "gold is null"),
    ({"messages": [U], "gold": [["a"]]}, "not_text", "gold is a list"),
    ({"messages": [U], "gold": ""}, "empty_content", "gold is empty"),
    ({"messages": [U, A], "gold": "something else"}, "two_references", "gold differs"),
    ({"messages": [U, A | {"weight": 0.5}]}, "invalid_weight", "messages[1].weight=0.5"),
    ({"messages": [U, A | {"weight": True}]}, "invalid_weight", "messages[1].weight=True"),
    ({"messages": [U, A | {"weight": 0}]}, "no_target", "weight 0"),
    ({"type": "azureml.inference.request", "data": "https://blob", "datainblob": "true"}, "not_an_object", "is text"),
    ({"type": "azureml.inference.request", "data": {"features": []}}, "missing_field", "the row has 'features'"),
    ({"version": 2, "data": [{"question": "a"}]}, "missing_field", "if its 'data' are the rows, write them one a line"),
    ({"messages": [U, A], "weight": 0}, "invalid_weight", "weight=0 is not a number above 0"),
    ({"messages": [U, A], "weight": "heavy"}, "invalid_weight", "weight='heavy'"),
]


@pytest.mark.parametrize(("bad", "reason", "detail"), BAD_ROWS)
def test_a_bad_row_is_rejected_with_its_line(jsonl, row, bad, reason, detail):
    path = jsonl([row("one?"), bad, row("two?")])
    cases, rejects = read_cases(path, TASKS["conversation"])
    assert [case.source for case in cases] == ["rows.jsonl:1", "rows.jsonl:3"]
    assert [(reject.source, reject.reason) for reject in rejects] == [("rows.jsonl:2", reason)]
    assert detail in rejects[0].detail
    assert "\n" not in rejects[0].detail


def test_a_reference_that_is_no_valid_answer_of_the_task_is_rejected(jsonl, row):
    assert read_cases(jsonl([row(gold="who knows")]), TASKS["nli"])[1][0].reason == "gold_unparseable"
    assert read_cases(jsonl([row(gold="neutral")]), TASKS["nli"])[1] == []
    times = jsonl(
        [row(gold=gold) for gold in ("10:30", "2 hours 30 minutes", "\\boxed{x^2+}", "so \\boxed{x^2}", "5 km")]
    )
    rejects = read_cases(times, TASKS["math"])[1]
    assert [(reject.source, reject.reason) for reject in rejects] == [
        (f"rows.jsonl:{line}", "gold_unparseable") for line in (1, 2, 3)
    ]


def test_a_last_assistant_turn_is_the_reference_and_not_part_of_the_prompt(jsonl, row):
    turns = [S, U, A, {"role": "user", "content": "and then?", "weight": 1}, {"role": "assistant", "content": "done"}]
    (sourced,), _ = read_cases(jsonl([{"messages": turns, "gold": "done"}]), TASKS["conversation"])
    assert [message.role for message in sourced.case.messages] == ["system", "user", "assistant", "user"]
    assert sourced.case.gold == "done"


def test_a_collected_request_is_a_row_of_its_messages(jsonl):
    """As in the example of the data collector's documentation, with the body of a chat completion."""
    line = {
        "specversion": "1.0",
        "id": "19790b87-a63c-4295-9a67-febb2d8fbce0",
        "source": "/subscriptions/s/.../onlineEndpoints/support/deployments/blue",
        "type": "azureml.inference.request",
        "datacontenttype": "application/json",
        "time": "2026-11-25T08:59:48Z",
        "data": {"model": "support", "messages": [S, U], "temperature": 0, "max_tokens": 256},
        "path": "/v1/chat/completions",
        "method": "POST",
    }
    (sourced,), rejects = read_cases(jsonl([line]), TASKS["qa"])
    assert ([message.role for message in sourced.case.messages], sourced.case.gold) == (["system", "user"], None)
    assert rejects == []


def test_a_row_may_have_several_references(jsonl):
    several = [{"messages": [U], "gold": ["a", "b", "a"]}, {"messages": [U, A], "gold": ["a", A["content"]]}]
    rows = [*several, {"messages": [U], "gold": ["a"]}, {"messages": [U], "gold": []}]
    cases, rejects = read_cases(jsonl(rows), TASKS["conversation"])
    assert [sourced.case.gold for sourced in cases] == [("a", "b"), ("a", A["content"]), "a", None]
    assert rejects == []
    assert [json.loads(prompt_of(case, "test").model_dump_json())["gold"] for case in cases[1:3]] == [
        ["a", A["content"]],
        "a",
    ]
    (bad,) = read_cases(jsonl([{"messages": [U], "gold": ["neutral", "who knows"]}]), TASKS["nli"])[1]
    assert (bad.reason, "who knows" in bad.detail) == ("gold_unparseable", True)


def test_a_conversation_ends_before_the_turns_that_are_not_trained(jsonl):
    untrained, why = A | {"weight": 0}, U | {"weight": 0}
    rows = [{"messages": [U, untrained, U, A, why, untrained], "weight": 2}, {"messages": [U, A, U, untrained, U]}]
    cases, _ = read_cases(jsonl(rows), TASKS["conversation"])
    weights = [[message.weight for message in sourced.case.messages] for sourced in cases]
    assert weights == [[1, 0, 1], [1, 1, 1, 0, 1]]
    assert [(sourced.case.gold, sourced.case.weight) for sourced in cases] == [(A["content"], 2.0), (None, 1.0)]


def test_lines_are_counted_as_editors_count_them(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    rows = [row("line \u2028 separator"), row("zwei")]
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(record, ensure_ascii=False) for record in rows)
    path.write_bytes(text.encode())
    assert [case.source for case in read_cases(path, TASKS["conversation"])[0]] == ["rows.jsonl:1", "rows.jsonl:3"]


def test_rows_limits_how_many_rows_are_read(jsonl, row):
    path = jsonl([row("1"), "", "broken", row("2"), row("3")])
    cases, rejects = read_cases(path, TASKS["conversation"], rows=3)
    assert ([case.source for case in cases], len(rejects)) == (["rows.jsonl:1", "rows.jsonl:4"], 1)


def test_an_unusable_file_is_an_error_with_its_path(tmp_path, jsonl):
    (tmp_path / "folder").mkdir()
    for path, line, message in [
        (tmp_path / "folder", 0, "the folder has no data file"),
        (tmp_path / "absent.jsonl", 0, "no such file"),
        (jsonl([], "empty.jsonl"), 0, "the file has no rows"),
        (jsonl(["", "  "], "blank.jsonl"), 0, "the file has no rows"),
    ]:
        with pytest.raises(DataError) as raised:
            read_cases(path, TASKS["conversation"])
        (problem,) = raised.value.problems
        assert (problem.file, problem.line, problem.message) == (path, line, message)
        assert problem.fix


def test_columns_have_the_names_of_fields(jsonl):
    rows = [
        {"Frage": "Wo?", "Antwort": "Hier.", "prompt": "no", "Thema": "Ort"},
        {"Frage": "Wer?"},
        {"prompt": "Was?"},
        {"messages": 1, "Frage": ["?"]},
    ]
    renames = {"prompt": "Frage", "completion": "Antwort"}
    cases, rejects = read_cases(jsonl(rows), TASKS["conversation"], 0, ["Thema"], renames)
    assert [(case.case.messages[0].content, case.case.gold, case.columns) for case in cases] == [
        ("Wo?", "Hier.", {"Thema": "Ort"}),
        ("Wer?", None, {}),
    ]
    assert [reject.reason for reject in rejects] == ["missing_column", "no_messages"]
    assert "'Frage', 'Antwort'" in rejects[0].detail
