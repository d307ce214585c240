"""One invalid field hides no other problem: checks of several fields run on the valid ones."""

from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import dotted
from azdistill.job.model import DistillationJob

SCOPE = "https://cognitiveservices.azure.com/.default"
TEACHER = {"model": "m", "connection": "deepseek"}
RIGHT: dict[str, Any] = {
    "task": "qa",
    "data": {"training_data": "rows.jsonl"},
    "teacher": {"teachers": [TEACHER]},
    "student": {"model": "azureml:student:1"},
}
TOO_SHORT = {"timeout": {"train": 5}}


def problems(sections: dict[str, Any]) -> set[str]:
    """Code and field of each problem of a right job with other sections."""
    with pytest.raises(SpecError) as error:
        DistillationJob(**RIGHT | sections)
    names = [f"{problem.code} {dotted(problem.field)}" for problem in error.value.problems]
    assert len(names) == len(set(names))
    return set(names)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (  # a time limit that is too short, and checks of other fields
            {"compute": TOO_SHORT | {"gpu_instance_type": "Standard_NC24ads_A100v4", "shm_size": 3}},
            {
                "out_of_range compute.timeout.train",
                "wrong_type compute.shm_size",
                "unknown_vm_size compute.gpu_instance_type",
            },
        ),
        (  # a wrong entry of a mapping, and a misspelt one
            {"compute": {"timeout": {"train": 5, "predcit": 3600}, "train_processes": 2}},
            {
                "out_of_range compute.timeout.train",
                "unknown_step compute.timeout.predcit",
                "out_of_range compute.train_processes",
            },
        ),
        (  # the check of train_processes needs the VM size, which is invalid, so it says nothing
            {"compute": {"gpu_instance_type": 7, "cpu_instance_type": "E4s_v3", "train_processes": 2}},
            {"wrong_type compute.gpu_instance_type", "unknown_vm_size compute.cpu_instance_type"},
        ),
        (  # validators of a section and of a section in it
            {"compute": TOO_SHORT | {"identity": {"type": "user_identity"}}},
            {"out_of_range compute.timeout.train", "incompatible_fields compute"},
        ),
        (  # user_identity needs a cluster: the user named one, although its name is invalid
            {"compute": {"cpu": "a b", "gpu": "c", "identity": {"type": "user_identity"}}},
            {"wrong_format compute.cpu"},
        ),
        (
            {"compute": {"identity": {"type": "user_identity", "client_id": "8"}}},
            {"wrong_format compute.identity.client_id", "incompatible_fields compute"},
        ),
        (  # each validator of a section, though an entry of its list is invalid
            {
                "teacher": {
                    "teachers": [TEACHER | {"weight": 0}, TEACHER],
                    "samples": 2,
                    "temperature": 0,
                    "prompting": {"chain_of_thought": True, "chain_of_density": True, "max_len_summary": 0},
                }
            },
            {
                "out_of_range teacher.teachers.0.weight",
                "out_of_range teacher.prompting.max_len_summary",
                "duplicate_name teacher",
                "incompatible_fields teacher",
                "incompatible_fields teacher.prompting",
            },
        ),
        (
            {
                "teacher": {
                    "teachers": [{"model": "m", "key_variable": "K", "entra_scope": "https://x/.default", "name": ""}]
                }
            },
            {"empty_field teacher.teachers.0.name", "incompatible_fields teacher.teachers.0", "no_endpoint teacher"},
        ),
        (  # a misspelt name, which may be that of the missing connection
            {"teacher": {"teachers": [{"model": "m", "conection": "deepseek"}], "samples": 2}},
            {"unknown_field teacher.teachers.0.conection", "incompatible_fields teacher"},
        ),
        (  # a teacher that is no mapping: its name is not known
            {"teacher": {"teachers": ["m"]}, "simulation": {"m": {}}},
            {"wrong_type teacher.teachers.0"},
        ),
        (  # an optional section
            {
                "tuning": {"search_space": {"learning_rat": [1e-5]}, "max_trials": 0},
                "compute": {"identity": {"client_id": "8"}, "environment_variables": {"A": "b"}},
            },
            {
                "out_of_range tuning.max_trials",
                "unknown_field tuning.search_space.learning_rat",
                "wrong_format compute.identity.client_id",
            },
        ),
        (  # checks of several sections
            {
                "train": {"learning_rate": 1},
                "evaluate": {"gates": {"metrics": {"acuracy": 0.5}, "min_retention": 95}},
                "simulation": {"n": {}},
                "compute": {"timeout": {"tain": 60}},
                "tags": {"a": "b" * 1001, "c" * 101: 3} | {f"t{number}": "" for number in range(50)},
            },
            {
                "wrong_length tags",
                "wrong_length tags.a",
                f"wrong_type tags.{'c' * 101}",
                "out_of_range train.learning_rate",
                "out_of_range evaluate.gates.min_retention",
                "unknown_metric evaluate.gates.metrics.acuracy",
                "unknown_teacher simulation.n",
                "unknown_step compute.timeout.tain",
            },
        ),
        (
            {"data": {}, "student": 3, "compute": {"timeout": {"tain": 60}}},
            {"missing_field data.training_data", "wrong_type student", "unknown_step compute.timeout.tain"},
        ),
    ],
)
def test_an_invalid_field_hides_no_other_problem(sections: dict[str, Any], expected: set[str]) -> None:
    assert problems(sections) == expected
