"""azdistill compile: compile a job file to a bundle."""

from pathlib import Path

from tests.cli.conftest import Command, Writer


def test_it_writes_a_bundle_and_prints_how_to_run_it(azdistill: Command, job: Path) -> None:
    done = azdistill("compile", job, "-o", "bundle")
    assert (done.code, done.err) == (0, "")
    assert Path("bundle/pipeline.yml").is_file()
    assert done.out.splitlines() == [
        "wrote bundle/pipeline.yml",
        "run it on this machine:  azdistill run bundle",
        "run it on Azure ML:      az ml job create -f bundle/pipeline.yml",
    ]
    quoted = azdistill("compile", job, "-o", "my bundle").out.splitlines()[1:]
    assert [line.split(":", 1)[1].strip() for line in quoted] == [
        "azdistill run 'my bundle'",
        "az ml job create -f 'my bundle/pipeline.yml'",
    ]


def test_a_folder_with_other_files_is_not_overwritten(azdistill: Command, job: Path) -> None:
    done = azdistill("compile", job, "-o", job.parent)
    assert done.code == 2
    assert "so it is not a bundle" in done.err
    assert job.is_file()


def test_a_pipeline_cannot_be_compiled(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("compile", pipeline({"say": "echo hello"}), "-o", "bundle")
    assert done.code == 2
    assert "this is a pipeline or component; give the path of a job file" in done.err
    assert not Path("bundle").exists()
