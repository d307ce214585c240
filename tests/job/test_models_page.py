"""docs/models.md is generated from the model catalog."""

import re

from ruamel.yaml import YAML

from azdistill.job.model import DistillationJob
from tests.job.models_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    """`python -m tests.job.models_page` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_its_examples_are_jobs() -> None:
    acknowledged, example = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    job = DistillationJob.model_validate(YAML(typ="safe", pure=True).load(example + acknowledged))
    assert job.teacher.teachers[0].model == "our-deployment"
    assert job.student.model == "azureml:my-student:3"
    assert job.licences_acknowledged == ("llama3.3",)
    corrected = job.known.teacher("gpt-5.1")
    assert corrected
    assert corrected.lifecycle == "legacy"
