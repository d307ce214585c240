"""azdistill data show: rows as step prepare and the student read them."""

from pathlib import Path

from tests.cli.conftest import Command
from tests.cli.run_folders import a_run
from tests.students import tiny

ROWS = """\
{"messages": [{"role": "user", "content": "Hi \\u001b[2J"}, {"role": "assistant", "content": "Hello"}], "rejected": "x"}
{"messages": [{"role": "moderator", "content": "x"}]}
"""


def test_a_file_is_described_and_its_first_rows_are_shown(azdistill: Command, folder: Path) -> None:
    (folder / "rows.jsonl").write_text(ROWS)
    done = azdistill("data", "show", "rows.jsonl")
    assert (done.code, done.err) == (0, "")
    assert "JSONL, 2 rows (chat messages), 1 of them rejected, 1 with a reference answer" in done.out
    assert "rows.jsonl:2: messages[0].role='moderator'" in done.out
    assert "not read  1  field rejected" in done.out
    assert "reference: Hello" in done.out
    assert "\x1b[2J" not in done.out


def test_target_tokens_of_a_student_are_marked(azdistill: Command, folder: Path) -> None:
    (folder / "rows.csv").write_text("prompt,completion\nn1?,n2\n")
    done = azdistill("data", "show", "rows.csv", "--student", tiny.write(folder / "student"))
    assert (done.code, done.err) == (0, "")
    prompt, _, targets = done.out.partition("[")
    assert "n1?" in prompt
    assert targets.startswith("n2")
    assert "of them targets" in targets


def test_a_file_without_a_usable_row_is_wrong_input(azdistill: Command, folder: Path) -> None:
    (folder / "rows.csv").write_text("frage,antwort\na,b\n")
    done = azdistill("data", "show", "rows.csv")
    assert done.code == 2
    assert "missing_field" in done.out
    columns = "{prompt: frage, completion: antwort}"
    assert done.err.endswith(f"or --columns '{columns}', which is data.columns in a job\n")
    done = azdistill("data", "show", "rows.csv", "--columns", columns)
    assert (done.code, done.err, "user: a\nreference: b\n" in done.out) == (0, "", True)
    assert azdistill("data", "show", "rows.csv", "--task", "qaa").code == 2
    assert azdistill("data", "show", "other.csv").err == "other.csv: no such file; check the path\n"


def test_wrong_columns_are_named(azdistill: Command, folder: Path) -> None:
    (folder / "rows.csv").write_text("frage,antwort\na,b\n")
    misspelt = azdistill("data", "show", "rows.csv", "--columns", "{prompt: frage, completion: antwrt}")
    assert (
        misspelt.code,
        "completion='antwrt': no row has a value in this column; did you mean 'antwort'?" in misspelt.err,
    ) == (2, True)
    for text in ("prompt=frage", "{prompt: 1}", "{prompt: "):
        assert "must be a mapping of fields" in azdistill("data", "show", "rows.csv", "--columns", text).err


def test_rows_that_cannot_be_read_have_to_be_corrected(azdistill: Command, folder: Path) -> None:
    (folder / "rows.jsonl").write_text('{\n  "prompt": "a"\n}\n')
    done = azdistill("data", "show", "rows.jsonl")
    assert done.code == 2
    assert "rows.jsonl:1: the line is only '{'; write each row as one line" in done.out
    assert done.err == "rows.jsonl: no row can be used; correct the rows\n"


def test_a_folder_of_shards_is_shown(azdistill: Command, folder: Path) -> None:
    (folder / "shards").mkdir()
    (folder / "shards" / "part-00000.jsonl").write_text(ROWS)
    done = azdistill("data", "show", "shards")
    assert (done.code, done.err) == (0, "")
    assert "JSONL; 1 file, 2 rows (chat messages)" in done.out
    assert "part-00000.jsonl:1\nuser: Hi" in done.out
    assert azdistill("data", "show", ".").out.startswith(".:")


def test_a_run_needs_a_row(azdistill: Command, folder: Path) -> None:
    a_run(folder / "runs" / "small", prepare="completed")
    done = azdistill("data", "show", "small")
    assert (done.code, done.out) == (2, "")
    assert done.err == ("small: a run; name a row too: azdistill data show RUN ROW; or name a file or folder of rows\n")


def test_a_large_file_is_shown_by_its_first_rows(azdistill: Command, folder: Path) -> None:
    row = f'{{"prompt": "{"a " * 2500}", "completion": "b"}}\n'
    (folder / "rows.jsonl").write_text(row * 2001)
    done = azdistill("data", "show", "rows.jsonl", "--rows", 0)
    assert (done.code, done.err) == (0, "")
    assert "JSONL, the first 2,000 rows (prompt + completion)" in done.out
