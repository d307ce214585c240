"""Malformed rows and files: each ends in a reject with its reason, never in a crash or a training row."""

import contextlib
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import write_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.requests import Teacher
from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import TeacherConfig
from azdistill.data.cases import prompt_of, read_cases
from azdistill.data.prepare import PART, prepare
from azdistill.data.preview import preview
from azdistill.data.processes import SERIAL
from azdistill.data.row_store import prompt_line
from azdistill.students.template import tokenize_rows
from azdistill.tasks import formats
from azdistill.tasks.records import MAX_BLANK_LINES, read_records
from azdistill.tasks.registry import TASKS
from azdistill.teacher.imported import load_completions
from tests.data.shapes import PAIR, SHAPES, jsonl, parquet, turns
from tests.students import tiny

# Values that a field may have by mistake.
ODD: list[Any] = [
    None, True, False, 0, -1, 7, 1.5, float("inf"), float("nan"), 10**40, "", " ", "\0", "a\0b", "\ud800", "a\udfffb",
    [], {}, [[]], [{}], [None], {"": ""}, "<|im_end|>", "<|im_start|>system", "a" * 500, ["a", ["b"]], {"role": []},
    {"type": []}, {"text": {}}, [{"type": "image_url"}], [{"text": "\ud800"}],
]  # fmt: skip
CONFIG = TeacherConfig(teachers=(Teacher(model="gpt-4o"),), teacher_route="completions")
SLICES = ("topic", "messages", "question")


def mutated(value: Any, rng: random.Random) -> Any:
    """A copy of a row with one of its values, at any depth, replaced, removed or put into a list."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        others = {key: item for key, item in value.items() if key != name}
        if rng.random() < 0.1:
            return others
        return {**value, name: mutated(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        index = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:index] + value[index + 1 :]
        if rng.random() < 0.1:
            return [*value, value[index]]
        return [*value[:index], mutated(value[index], rng), *value[index + 1 :]]
    return [value] if rng.random() < 0.1 else rng.choice(ODD)


def rows_of_shapes() -> list[tuple[str, Any]]:
    """Task and first row of each shape that is JSON."""
    rows = []
    for shape in SHAPES:
        try:
            rows.append((shape.task, json.loads(shape.content.splitlines()[0])))
        except (ValueError, UnicodeDecodeError):
            continue
    return [(task, row) for task, row in rows if isinstance(row, dict)]


def test_a_row_with_any_value_is_a_case_or_a_reject(tmp_path: Path) -> None:
    rng, originals = random.Random(18), rows_of_shapes()
    by_task: dict[str, list[Any]] = {task: [] for task in TASKS}
    for number in range(3000):
        task, row = originals[number % len(originals)]
        for _ in range(rng.randrange(1, 4)):
            row = mutated(row, rng)
        if isinstance(row, dict) and rng.random() < 0.3:
            row = {**row, "topic": rng.choice(ODD)}
        by_task[task].append(row)
    outcomes: Counter[str] = Counter()
    for task, rows in by_task.items():
        path = tmp_path / f"{task}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        cases, rejects = read_cases(path, TASKS[task], columns=SLICES)
        assert len(cases) + len(rejects) == len(rows)
        outcomes["cases"] += len(cases)
        outcomes["rejects"] += len(rejects)
        assert all(reject.reason and reject.detail for reject in rejects)
        prompts = [prompt_of(case, "train") for case in cases]
        write_rows(tmp_path / "prompts.jsonl", prompts)
        lines = [prompt_line(case, prompt.id) for case, prompt in zip(cases, prompts, strict=True)]
        assert b"".join(lines) == (tmp_path / "prompts.jsonl").read_bytes()
        write_rows(tmp_path / "rejects.jsonl", rejects)
        assert all(turn.content.strip() and "\0" not in turn.content for row in prompts for turn in row.messages)
        assert preview(path, TASKS[task]).rows == len(rows)
        with contextlib.suppress(DataError):  # no row of task qa has a completion
            load_completions(prompts, path, CONFIG)
    assert min(outcomes["cases"], outcomes["rejects"]) > 100


ROW = jsonl(PAIR)
LINES = {
    "UTF-8": b'{"prompt": "caf\xe9", "completion": "a"}\n',
    "UTF-8 that is cut": '{"prompt": "café'.encode()[:-1] + b'", "completion": "a"}\n',
    "NUL": b'{"prompt": "a\\u0000b", "completion": "a"}\n',
    "NUL bytes": b"\0" * 40 + b"\n",
    "lone surrogate": b'{"prompt": "a\\ud800", "completion": "a"}\n',
    "lone surrogate in the answer": b'{"prompt": "a", "completion": "\\udc00"}\n',
    "10 MB": b'{"prompt": "' + b"x" * 10_000_000 + b'", "completion": "a"}\n',
    "nested lists": b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "nested arguments": jsonl({"messages": [{"role": "user", "content": "a", "tool_calls": "@"}]}).replace(
        b'"@"', b'{"arguments":' * 950 + b"1" + b"}" * 950
    ),
    "number of 5000 digits": b'{"prompt": ' + b"9" * 5000 + b', "completion": "a"}\n',
    "weight of 400 digits": b'{"messages": [{"role": "user", "content": "a"}], "weight": ' + b"9" * 400 + b"}\n",
    "NaN": b'{"prompt": "a", "completion": NaN}\n',
    "no role": jsonl({"messages": [{"content": "a"}]}),
    "unknown role": b'{"messages": [{"role": "\\ud800", "content": "a"}]}\n',
    "kind of a part": b'{"messages": [{"role": "user", "content": [{"type": "\\ud800"}]}]}\n',
    "two rows in a line": ROW.strip() * 2 + b"\n",
    "half a row": ROW[:20] + b"\n",
    "a list": b"[1, 2]\n",
    "null": b"null\n",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_malformed_line_is_rejected(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(ROW + line + ROW)
    cases, rejects = read_cases(tmp_path / "rows.jsonl", TASKS["conversation"])
    assert [case.source for case in cases] == ["rows.jsonl:1", "rows.jsonl:3"]
    assert [reject.source for reject in rejects] == ["rows.jsonl:2"]
    assert len(rejects[0].detail) < 400
    write_rows(tmp_path / "rejects.jsonl", rejects)
    assert preview(tmp_path / "rows.jsonl", TASKS["conversation"]).rows == 3


def test_control_tokens_of_a_row_stay_text(tmp_path: Path) -> None:
    """A row that spells the tokens of a chat template has as many control tokens as any other."""
    text = "a<|im_end|>\n<|im_start|>system\nb"
    (tmp_path / "rows.jsonl").write_bytes(jsonl({"messages": turns(text, text)}))
    (case,), rejects = read_cases(tmp_path / "rows.jsonl", TASKS["conversation"])
    assert rejects == []
    tokenizer = tiny.tokenizer()
    answer = Message(role="assistant", content=text)
    plain, spelled = tokenize_rows(tokenizer, [tiny.turns("a", "b"), (*case.case.messages, answer)])
    counts = [sum(token < len(tiny.SPECIAL) for token in row.input_ids) for row in (plain, spelled)]
    assert counts == [4, 4]


def test_ragged_and_broken_rows_of_a_csv_file_are_rejected(tmp_path: Path) -> None:
    rows = b'prompt,completion\na,b\na\na,b,c\n\xff,b\na,\na,b\n"a\nb",c\na,b\n'
    (tmp_path / "rows.csv").write_bytes(rows)
    cases, rejects = read_cases(tmp_path / "rows.csv", TASKS["conversation"])
    assert [(reject.source, reject.reason) for reject in rejects] == [
        ("rows.csv:3", "ragged_row"),
        ("rows.csv:4", "ragged_row"),
        ("rows.csv:5", "not_unicode"),
    ]
    assert [case.source for case in cases] == [f"rows.csv:{line}" for line in (2, 6, 7, 8, 10)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.csv", ",prompt,completion\n0,a,b\n", "prompt + completion"),
        ("rows.tsv", "\tprompt\tcompletion\n0\ta\tb\n", "prompt + completion"),
        ("rows.csv", "prompt,completion,\na,b,\n", "prompt + completion"),
        ("rows.csv", "\nprompt\nHow?\n", "prompt"),
        ("rows.tsv", "prompt\nHello, how?\n", "prompt"),
        ("rows.csv", "prompt,completion,\na,b,c\n", "rows.csv:2: has a value in column 3, which the header does not"),
        ("rows.csv", "Export\n\nprompt;completion\na;b\n", "rows.csv:1: the header 'Export' names 1 column, line 3"),
        ("rows.csv", "Export,\n,\nprompt,completion\na,b\n", "rows.csv:1: the header 'Export' names 1 column, line 3"),
        ("rows.csv", '"prompt,completion\na,b\n', "rows.csv:1: a quote that is opened in the row of line 1"),
    ],
)
def test_a_file_named_csv_is_read_as_csv(tmp_path: Path, name: str, content: str, expected: str) -> None:
    """With an index, an empty column or one column; a title above the header is named."""
    (tmp_path / name).write_text(content)
    try:
        read = preview(tmp_path / name, TASKS["conversation"])
        lines = [*read.shapes, *(f"{reject.source}: {reject.detail}" for reject in read.rejects)]
    except DataError as error:
        lines = [str(error).removeprefix(f"{tmp_path}/")]
    assert [line[: len(expected)] for line in lines] == [expected]


MERGED = "\n".join(f"Q{number}?,A" for number in range(30))
BROKEN_CSV = {
    "a quote too many": ('a,b\n"Q?,A\nQ?,"No, A"\na,b\n', [3, 4], [2, 5], "text after a closing quote in line 4, so"),
    "text after a quote": ('"a" x,b\na,b\n', [2], [3], "line 2, so line 2 is"),
    "never closed": ('a,b\n"Q?,A\na,b\na,b\n', [3, 4, 5], [2], "row of line 3 is never closed, so lines 3 to 5"),
    "closed at the end of a row": ('"Q?,A\nQ?,A\nQ?,A"\na,b\n', [2, 3, 4], [5], "3 lines that look like rows"),
    "closed after 30 rows": (f'"{MERGED}\nQ?",A\na,b\n', [*range(2, 33)], [33], "31 lines that look like rows"),
    "a poem": ('"On, on\nand, up\nup",b\n"a\nb",c\n', [], [2, 5], ""),
    "a quote in a text": ('5" pipe,b\n"a ""b""",c\n', [], [2, 3], ""),
}


@pytest.mark.parametrize(("rows", "rejected", "usable", "detail"), BROKEN_CSV.values(), ids=BROKEN_CSV)
def test_every_line_that_a_wrong_quote_takes_is_rejected(
    tmp_path: Path, rows: str, rejected: list[int], usable: list[int], detail: str
) -> None:
    (tmp_path / "rows.csv").write_text(f"prompt,completion\n{rows}")
    cases, rejects = read_cases(tmp_path / "rows.csv", TASKS["conversation"])
    assert [reject.source for reject in rejects] == [f"rows.csv:{line}" for line in rejected]
    assert [case.source for case in cases] == [f"rows.csv:{line}" for line in usable]
    assert all(reject.reason == "broken_csv" and detail in reject.detail for reject in rejects)


@pytest.mark.parametrize("is_array", [False, True])
def test_a_deeply_nested_row_of_a_large_file_is_rejected(tmp_path: Path, is_array: bool) -> None:
    """Rows of a JSON array are pickled for the other processes, and this one is nested too deeply for it."""
    rows = jsonl(*({"prompt": f"{number}", "completion": "b"} for number in range(PART * SERIAL)))
    rows += b'{"prompt": ' + b"[" * 950 + b"]" * 950 + b"}\n"
    (tmp_path / "rows.json").write_bytes(b"[" + rows.strip().replace(b"\n", b",") + b"]" if is_array else rows)
    counts = prepare({"train": tmp_path / "rows.json"}, PrepareConfig(), tmp_path)
    assert counts["reasons"] == {"not_a_message": 1}


def test_bad_rows_that_another_process_converts_are_rejected(tmp_path: Path) -> None:
    count = PART * (SERIAL + 2)
    lines = ["prompt,completion", *(f"{number},b" if number % 2 else f"{number}" for number in range(count))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    counts = prepare({"train": tmp_path / "rows.csv"}, PrepareConfig(max_reject_ratio=1), tmp_path)
    assert counts["reasons"] == {"ragged_row": count // 2}


def test_a_misspelt_column_of_answers_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,reply\na,b\nc,d\n")
    config = PrepareConfig(columns={"prompt": "text", "completion": "repl"})
    with pytest.raises(DataError, match=r"data\.columns\.completion='repl': no row .* did you mean 'reply'\?"):
        prepare({"train": tmp_path / "rows.csv"}, config, tmp_path)
    assert prepare({"train": tmp_path / "rows.csv"}, config.model_copy(update={"rows": 2}), tmp_path)["train"] == 1


def test_a_cell_of_a_csv_file_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"prompt,completion\n" + b"x" * 200_000 + b",b\n")
    cases, rejects = read_cases(tmp_path / "rows.csv", TASKS["conversation"])
    assert (len(cases), rejects) == (1, [])


@pytest.mark.parametrize(
    "row",
    [
        {"a": 1, "b": [{"c": None}]},
        {"messages": {"role": "user"}},
        {"messages": [1]},
        {"prompt": 1.5, "completion": {"a": "b"}},
    ],
)
def test_rows_of_another_schema_are_rejected(tmp_path: Path, row: Any) -> None:
    (tmp_path / "rows.parquet").write_bytes(parquet(row, row))
    cases, rejects = read_cases(tmp_path / "rows.parquet", TASKS["conversation"])
    assert (cases, len(rejects)) == ([], 2)


@pytest.mark.parametrize("block", [b"\0", ROW], ids=["zeros", "one row again and again"])
def test_a_compressed_file_of_far_more_text_is_refused(
    tmp_path: Path, block: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 MB of text in 10 to 30 kB, with a limit that is reached sooner than that of a job."""
    monkeypatch.setattr(formats, "LEAST_BOMB", 1_000_000)
    member = gzip.compress(block * (1_000_000 // len(block)), 9)
    (tmp_path / "rows.jsonl.gz").write_bytes(member * 10)
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz: its text is more than 100 times as long"):
        list(read_records(tmp_path / "rows.jsonl.gz"))


@pytest.mark.parametrize("first", [ROW, b"prompt,completion\na,b\n"], ids=["JSONL", "CSV"])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_file_of_blank_lines_is_refused(tmp_path: Path, first: bytes, blank: bytes) -> None:
    path = tmp_path / "rows.gz"
    path.write_bytes(gzip.compress(first + blank * MAX_BLANK_LINES + first))
    assert len(list(read_records(path))) >= 2
    path.write_bytes(gzip.compress(first + blank * (MAX_BLANK_LINES + 1) + first))
    with pytest.raises(
        DataError, match=r"rows\.gz:10000\d: has more than 100,000 blank lines in a row; write the file"
    ):
        list(read_records(path))


@pytest.mark.parametrize("row", [b'{"prompt": "\\udfff"}', b'{"prompt": "caf\xe9"}', b'{"prompt": '])
def test_a_json_array_that_is_broken_is_refused(tmp_path: Path, row: bytes) -> None:
    (tmp_path / "rows.json").write_bytes(b"[" + ROW.strip() + b"," + row + b"]")
    with pytest.raises(DataError, match=r"rows\.json: is no complete JSON array"):
        read_cases(tmp_path / "rows.json", TASKS["conversation"])


def test_no_row_of_a_file_that_is_cut_is_used(tmp_path: Path) -> None:
    rows = [{"prompt": f"{random.Random(number).random()}", "completion": "a"} for number in range(2000)]
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(jsonl(*rows))[:-500])
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(tmp_path / "rows.jsonl.gz", TASKS["conversation"])
