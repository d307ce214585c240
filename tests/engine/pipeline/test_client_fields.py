"""Our checks of fields and Azure's own client have the same verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml._schema.assets.environment import AnonymousEnvironmentSchema, BuildContextSchema
from azure.ai.ml._schema.component.input_output import InputPortSchema, OutputPortSchema, ParameterSchema
from azure.ai.ml._schema.job.distribution import (
    MPIDistributionSchema,
    PyTorchDistributionSchema,
    RayDistributionSchema,
    TensorFlowDistributionSchema,
)
from azure.ai.ml._schema.job.identity import AMLTokenIdentitySchema, ManagedIdentitySchema, UserIdentitySchema
from azure.ai.ml._schema.job.input_output_entry import DataInputSchema, OutputSchema
from azure.ai.ml._schema.job.job_limits import CommandJobLimitsSchema, SweepJobLimitsSchema
from azure.ai.ml._schema.job_resource_configuration import JobResourceConfigurationSchema
from azure.ai.ml._schema.pipeline.pipeline_command_job import PipelineCommandJobSchema
from azure.ai.ml._schema.pipeline.pipeline_job import PipelineJobSchema
from azure.ai.ml._schema.pipeline.settings import PipelineJobSettingsSchema
from azure.ai.ml._schema.queue_settings import QueueSettingsSchema
from azure.ai.ml.constants._job.job import JobPriorityValues, JobTierNames

from azdistill.azure.offline import sdk_problems
from azdistill.engine.pipeline import client_fields
from azdistill.engine.pipeline.checks import validate_file
from tests.engine.pipeline.examples import CLIENT_FILES, COMMAND_FILES
from tests.engine.pipeline.wrong import AREAS, IGNORED, REFUSED, A, P, write_files


@pytest.mark.parametrize(
    ("fields", "schema"),
    [
        (client_fields.PIPELINE, PipelineJobSchema),
        (client_fields.SETTINGS, PipelineJobSettingsSchema),
        (client_fields.INLINE_COMMAND, PipelineCommandJobSchema),
        (client_fields.RESOURCES, JobResourceConfigurationSchema),
        (client_fields.LIMITS, CommandJobLimitsSchema),
        (client_fields.SWEEP_LIMITS, SweepJobLimitsSchema),
        (client_fields.QUEUE_SETTINGS, QueueSettingsSchema),
        (client_fields.DISTRIBUTIONS["pytorch"], PyTorchDistributionSchema),
        (client_fields.DISTRIBUTIONS["mpi"], MPIDistributionSchema),
        (client_fields.DISTRIBUTIONS["tensorflow"], TensorFlowDistributionSchema),
        (client_fields.DISTRIBUTIONS["ray"], RayDistributionSchema),
        (client_fields.IDENTITIES["aml_token"], AMLTokenIdentitySchema),
        (client_fields.IDENTITIES["user_identity"], UserIdentitySchema),
        # The client has msi_resource_id in its schema, and raises a TypeError where a file has it.
        ({**client_fields.IDENTITIES["managed"], "msi_resource_id": "text"}, ManagedIdentitySchema),
        (client_fields.INPUT, DataInputSchema),
        (client_fields.OUTPUT, OutputSchema),
        (client_fields.LITERAL_PORT, ParameterSchema),
        (client_fields.DATA_PORT, InputPortSchema),
        (client_fields.OUTPUT_PORT, OutputPortSchema),
        (client_fields.ENVIRONMENT, AnonymousEnvironmentSchema),
        (client_fields.BUILD, BuildContextSchema),
    ],
)
def test_the_known_fields_are_those_of_the_client(fields: Mapping[str, str], schema: Any) -> None:
    declared = {"$schema" if name == "schema_ignored" else name for name in schema._declared_fields}
    assert fields.keys() - {"status", "log_files", "creation_context", "id", "$schema"} == declared - {
        "status",
        "log_files",
        "creation_context",
        "id",
        "$schema",
    }


def test_the_known_tiers_are_those_of_the_client() -> None:
    assert sorted(client_fields.JOB_TIERS) == sorted(JobTierNames.ALLOWED_NAMES)
    assert sorted(client_fields.PRIORITIES) == sorted(JobPriorityValues.ALLOWED_VALUES)


@pytest.mark.parametrize("name", AREAS[REFUSED].cases)
def test_the_client_refuses_what_is_an_error(tmp_path: Path, name: str) -> None:
    case = AREAS[REFUSED].cases[name]
    assert case.severity == "error"
    write_files(tmp_path, {**CLIENT_FILES, case.file: CLIENT_FILES[case.file].replace(case.before, case.after, 1)})
    assert sdk_problems(tmp_path / P)


def test_the_client_accepts_what_is_a_warning(tmp_path: Path) -> None:
    """All of it in one file."""
    files = dict(CLIENT_FILES)
    for case in AREAS[IGNORED].cases.values():
        assert case.severity == "warning"
        files[case.file] = files[case.file].replace(case.before, case.after, 1)
    write_files(tmp_path, files)
    assert sdk_problems(tmp_path / P) == []
    assert {problem.severity for problem in validate_file(tmp_path / P)} == {"warning"}


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("name: prepare\n", "", "missing_field"),
        ("name: prepare", "name: prepare-it", "invalid_name"),
        ("name: prepare", "name: Prepare", "invalid_name"),
        ("name: prepare", "name: 1prepare", "invalid_name"),
        ("name: prepare", "name: prepare\ntags: {a: 5}", "wrong_type"),
    ],
)
def test_a_component_file_has_a_name_that_the_client_accepts(
    tmp_path: Path, before: str, after: str, code: str
) -> None:
    write_files(tmp_path, {**COMMAND_FILES, A: COMMAND_FILES[A].replace(before, after, 1)})
    assert [(problem.code, problem.scope) for problem in validate_file(tmp_path / A)] == [(code, "azure")]
    assert sdk_problems(tmp_path / A)
    assert sdk_problems(tmp_path / P) == []  # the client generates a name for a component of a pipeline
    assert validate_file(tmp_path / P) == [] or code == "wrong_type"
