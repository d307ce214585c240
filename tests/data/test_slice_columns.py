"""Columns of the user's rows that the evaluation is sliced by."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Prompt, Reject
from azdistill.data.prepare import prepare

CONFIG = PrepareConfig(slice_columns="topic,urgent", test_fraction=0.2, validation_fraction=0, max_reject_ratio=0.1)


def test_columns_are_kept_as_text_and_a_missing_one_is_absent(jsonl, row, tmp_path):
    rows = [row(f"Where is order {n}?", topic=["billing", 7][n % 2], urgent=n % 2 == 0) for n in range(40)]
    rows += [row("Where is order 40?", topic=None), row("Where is order 41?", other="x")]
    prepare({"train": jsonl(rows)}, CONFIG, tmp_path)
    prompts = read_rows(tmp_path / "prompts.jsonl", Prompt)
    by_line = {int(prompt.source.rpartition(":")[2]): prompt.columns for prompt in prompts}
    assert by_line[1] == {"topic": "billing", "urgent": "true"}
    assert by_line[2] == {"topic": "7", "urgent": "false"}
    assert by_line[41] == by_line[42] == {}


def test_prompts_without_columns_are_written_as_before(jsonl, row, prepare_step):
    rows = [row(f"Where is order {n}?", topic="billing") for n in range(40)]
    done = prepare_step(jsonl(rows))
    assert "columns" not in (done.folder / "prompts.jsonl").read_text()
    done = prepare_step(jsonl(rows), slice_columns="topic")
    assert all(prompt.columns == {"topic": "billing"} for prompt in read_rows(done.folder / "prompts.jsonl", Prompt))


def test_a_column_that_is_a_list_rejects_its_row(jsonl, row, tmp_path):
    rows = [row(f"Where is order {n}?", topic="a", urgent=1) for n in range(40)] + [row("Hello", topic=["a"])]
    prepare({"train": jsonl(rows)}, CONFIG, tmp_path)
    (reject,) = read_rows(tmp_path / "rejects.jsonl", Reject)
    assert (reject.source, reject.reason) == ("rows.jsonl:41", "column_not_a_value")


def test_a_column_that_no_row_has_is_an_error(jsonl, row, tmp_path):
    rows = [row(f"Where is order {n}?", topic="billing") for n in range(40)]
    with pytest.raises(DataError) as raised:
        prepare({"train": jsonl(rows)}, CONFIG, tmp_path)
    (problem,) = raised.value.problems
    assert (problem.code, problem.field, problem.value) == ("unknown_column", ("data", "slice_columns"), "urgent")
