"""azdistill schema: the JSON Schema of a job file."""

import json
from pathlib import Path

from azdistill.job.schema import job_schema
from tests.cli.conftest import Command


def test_it_prints_the_schema(azdistill: Command) -> None:
    done = azdistill("schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == job_schema()


def test_it_writes_the_schema(azdistill: Command) -> None:
    done = azdistill("schema", "-o", "job.schema.json")
    assert (done.code, done.out) == (0, "wrote job.schema.json\n")
    assert json.loads(Path("job.schema.json").read_text()) == job_schema()


def test_a_file_that_cannot_be_written_is_one_line(azdistill: Command, folder: Path) -> None:
    (folder / "file").write_text("")
    done = azdistill("schema", "-o", "file/job.schema.json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("file/job.schema.json: ")
    assert done.err.count("\n") == 1
