"""azdistill compile: a job file to a bundle, and the two ways to run it."""

from pathlib import Path

from tests.cli.conftest import Command, Writer


def test_it_writes_a_bundle_and_tells_how_to_run_it(azdistill: Command, job: Path) -> None:
    done = azdistill("compile", job, "-o", "bundle")
    assert (done.code, done.err) == (0, "")
    assert Path("bundle/pipeline.yml").is_file()
    assert done.out.splitlines() == [
        "wrote bundle/pipeline.yml",
        "run it here:      azdistill run bundle",
        "run it on Azure:  az ml job create -f bundle/pipeline.yml",
    ]


def test_a_folder_that_is_no_bundle_is_left_alone(azdistill: Command, job: Path) -> None:
    done = azdistill("compile", job, "-o", job.parent)
    assert done.code == 2
    assert "so it is no bundle" in done.err
    assert job.is_file()


def test_a_pipeline_is_not_a_job(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("compile", pipeline({"say": "echo hello"}), "-o", "bundle")
    assert done.code == 2
    assert "a pipeline or component, and this needs a job file" in done.err
    assert not Path("bundle").exists()
