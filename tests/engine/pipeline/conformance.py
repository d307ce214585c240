"""Text of docs/conformance.md: each field of the schemas of Azure's client, its checks, and its effect in a local run.

The fields are those of the installed azure-ai-ml, so that one of a later version is missing here and fails a test.
"Checked" is computed: `validate` reports a wrong value of the field. `test_conformance.py` proves the other columns.
"""

import ast
import copy
import functools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from azure.ai.ml._schema._sweep.search_space import ChoiceSchema, NormalSchema, QUniformSchema, RandintSchema
from azure.ai.ml._schema._sweep.sweep_objective import SweepObjectiveSchema
from azure.ai.ml._schema._sweep.sweep_sampling_algorithm import RandomSamplingAlgorithmSchema
from azure.ai.ml._schema._sweep.sweep_termination import BanditPolicySchema, TruncationSelectionPolicySchema
from azure.ai.ml._schema.assets.environment import AnonymousEnvironmentSchema
from azure.ai.ml._schema.component.input_output import InputPortSchema, OutputPortSchema, ParameterSchema
from azure.ai.ml._schema.component.parallel_task import ComponentParallelTaskSchema
from azure.ai.ml._schema.component.retry_settings import RetrySettingsSchema
from azure.ai.ml._schema.job.distribution import (
    MPIDistributionSchema,
    PyTorchDistributionSchema,
    RayDistributionSchema,
    TensorFlowDistributionSchema,
)
from azure.ai.ml._schema.job.input_output_entry import DataInputSchema, OutputSchema
from azure.ai.ml._schema.job.job_limits import CommandJobLimitsSchema, SweepJobLimitsSchema
from azure.ai.ml._schema.job.parameterized_command import ParameterizedCommandSchema
from azure.ai.ml._schema.job_resource_configuration import JobResourceConfigurationSchema
from azure.ai.ml._schema.pipeline.pipeline_component import PipelineJobsField
from azure.ai.ml._schema.pipeline.settings import PipelineJobSettingsSchema
from azure.ai.ml._schema.queue_settings import QueueSettingsSchema

from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Node
from azdistill.engine.pipeline.node_checks import LOCAL_TYPES
from azdistill.engine.pipeline.run_settings import process_layout, timeout
from azdistill.engine.problems import FieldPath
from tests.corpus.verdicts import client_version
from tests.engine.pipeline.every_field import EXAMPLES, FILES, document
from tests.engine.pipeline.wrong import write_files

ROOT = Path(__file__).parent.parent.parent.parent
Status = Literal["run", "simulated", "ignored", "refused"]


class Local(NamedTuple):
    """Effect of a field in a local run. `test` shows it: a file below tests/engine and a function. That an ignored
    field changes nothing is shown by `test_conformance.py`."""

    status: Status
    effect: str
    test: str = ""


class Section(NamedTuple):
    """A table of the page: the fields of a schema. `value` replaces the value of an example at `field`."""

    title: str
    schema: Any
    example: str
    field: FieldPath = ()
    value: Any = None

    def fields(self) -> list[str]:
        """The fields that a file may have; the service fills in the others."""
        declared = self.schema._declared_fields
        return [name for name, field in declared.items() if not field.dump_only and name not in ("id", "schema")]

    def document(self) -> dict[str, Any]:
        """The file of the example, with the section."""
        value = document(EXAMPLES[self.example])
        if self.value is not None:
            parent = at(value, self.path[:-1])
            parent[self.path[-1]] = copy.deepcopy(self.value)
        return value

    @property
    def path(self) -> FieldPath:
        return (*EXAMPLES[self.example].field, *self.field)


_PIPELINE, _COMMAND, _COMPONENT_NODE = "pipeline job", "command job of a pipeline", "command job with a component"
_SWEEP, _PARALLEL, _COMPONENT = "sweep job of a pipeline", "parallel job of a pipeline", "command component"
_DISTRIBUTION = ("distribution",)
_TRUNCATION = {
    "type": "truncation_selection",
    "truncation_percentage": 10,
    "evaluation_interval": 2,
    "delay_evaluation": 3,
}

SECTIONS = (
    *(Section(name[0].upper() + name[1:], example.schema, name) for name, example in EXAMPLES.items()),
    Section("`trial` of a sweep job", ParameterizedCommandSchema, "sweep job", ("trial",)),
    Section("`settings` of a pipeline", PipelineJobSettingsSchema, _PIPELINE, ("settings",)),
    Section("Input of a job", DataInputSchema, _COMPONENT_NODE, ("inputs", "rows")),
    Section("Output of a job", OutputSchema, _COMPONENT_NODE, ("outputs", "out")),
    Section("File or folder that a component reads", InputPortSchema, _COMPONENT, ("inputs", "rows")),
    Section("Literal that a component reads", ParameterSchema, _COMPONENT, ("inputs", "n")),
    Section("Output of a component", OutputPortSchema, _COMPONENT, ("outputs", "out")),
    Section("`environment`", AnonymousEnvironmentSchema, _COMMAND, ("environment",)),
    Section("`resources`", JobResourceConfigurationSchema, _COMPONENT_NODE, ("resources",)),
    Section("`limits` of a command", CommandJobLimitsSchema, _COMPONENT_NODE, ("limits",)),
    Section("`queue_settings`", QueueSettingsSchema, _COMPONENT_NODE, ("queue_settings",)),
    Section("`distribution: {type: pytorch}`", PyTorchDistributionSchema, _COMPONENT_NODE, _DISTRIBUTION),
    Section("`distribution: {type: mpi}`", MPIDistributionSchema, _COMPONENT_NODE, _DISTRIBUTION,
            {"type": "mpi", "process_count_per_instance": 1}),
    Section("`distribution: {type: tensorflow}`", TensorFlowDistributionSchema, _COMPONENT_NODE, _DISTRIBUTION,
            {"type": "tensorflow", "parameter_server_count": 1, "worker_count": 1}),
    Section("`distribution: {type: ray}`", RayDistributionSchema, _COMPONENT_NODE, _DISTRIBUTION,
            {"type": "ray", "port": 6379}),
    Section("`sampling_algorithm`", RandomSamplingAlgorithmSchema, _SWEEP, ("sampling_algorithm",)),
    Section("`objective`", SweepObjectiveSchema, _SWEEP, ("objective",)),
    Section("`limits` of a sweep", SweepJobLimitsSchema, _SWEEP, ("limits",)),
    Section("`early_termination: {type: bandit}`", BanditPolicySchema, _SWEEP, ("early_termination",)),
    Section("`early_termination: {type: truncation_selection}`", TruncationSelectionPolicySchema, _SWEEP,
            ("early_termination",), _TRUNCATION),
    Section("`search_space`: choice", ChoiceSchema, _SWEEP, ("search_space", "n")),
    Section("`search_space`: randint", RandintSchema, _SWEEP, ("search_space", "n"), {"type": "randint", "upper": 5}),
    Section("`search_space`: quniform, uniform", QUniformSchema, _SWEEP, ("search_space", "n"),
            {"type": "quniform", "min_value": 1, "max_value": 5, "q": 1}),
    Section("`search_space`: normal", NormalSchema, _SWEEP, ("search_space", "n"),
            {"type": "normal", "mu": 1, "sigma": 5}),
    Section("`task` of a parallel job", ComponentParallelTaskSchema, _PARALLEL, ("task",)),
    Section("`retry_settings` of a parallel job", RetrySettingsSchema, _PARALLEL, ("retry_settings",)),
)  # fmt: skip

_SHOWN = "shown in the studio of Azure ML"
_DATA_FLOWS = "local/test_running.py::test_data_flows_from_node_to_node_and_out_of_the_pipeline"
_DISTRIBUTED = "local/test_distribution.py::test_each_pytorch_process_gets_its_ranks_and_the_master_address"
_PARALLEL_RUN = "local/test_parallel.py::test_the_documented_pipeline_runs"
_BEST_TRIAL = "local/test_sweep.py::test_the_next_node_reads_the_model_of_the_best_trial"
_VENV = "local/test_environments.py::test_an_environment_is_created_from_its_pip_packages"
_DEFINITION = "part of the definition, on which reuse depends"
_POLICY = "local/test_sweep_early_termination.py::"
_SPACE = "local/test_sweep_sampling.py::"

# By field, where all schemas with the field treat it alike.
GENERAL: dict[str, Local] = {
    "type": Local("run", "the kind of job", "local/test_running.py::test_unsupported_jobs_are_refused_by_name"),
    **dict.fromkeys(("name", "display_name", "description", "tags", "properties", "comment"), Local("ignored", _SHOWN)),
    "experiment_name": Local("ignored", "runs are in folders"),
    **dict.fromkeys(("version", "auto_delete_setting"), Local("ignored", "registers the asset on Azure ML")),
    "services": Local("ignored", "no service is started"),
    "identity": Local("ignored", "commands run as you"),
    "compute": Local("ignored", "commands run on this machine"),
    "queue_settings": Local("ignored", "nodes start when their inputs exist"),
    "parent_job_name": Local("ignored", "a local run has no parent"),
    "component": Local("run", "a file, a mapping, or a registered component with a local file",
                       "local/test_registered.py::test_a_registered_component_runs_from_the_folder_of_its_version"),
    "command": Local("run", "bash, with the expressions replaced",
                     "local/test_running.py::test_literals_are_formatted_as_on_azure"),
    "code": Local("run", "a snapshot of the folder, without ignored files",
                  "local/test_running.py::test_ignored_files_are_not_in_the_snapshot"),
    "environment": Local("simulated", "azdistill's Python; a virtual environment with `--make-environments`; no image",
                         _VENV),
    "environment_variables": Local("run", "set for the command", "local/test_running.py::"
                                   "test_variables_of_the_job_reach_the_command_and_those_of_a_component_do_not"),
    "resources": Local("simulated", "as many processes as `instance_count` has with `distribution`", _DISTRIBUTED),
    "distribution": Local("simulated", "processes on this machine, with their ranks", _DISTRIBUTED),
    "limits": Local("run", "ends the command", "local/test_distribution.py::test_a_node_ends_at_its_timeout"),
    "inputs": Local("run", "literals, files, folders and outputs of other nodes", _DATA_FLOWS),
    "outputs": Local("run", "files and folders of the run, or in `.azdistill/datastores`", _DATA_FLOWS),
    "jobs": Local("run", "concurrently, each when its inputs exist",
                  "local/test_running.py::test_independent_nodes_run_concurrently"),
    "settings": Local("run", "see its table", "local/test_reuse.py::test_force_rerun_runs_everything"),
    "is_deterministic": Local("run", "a node with false is never reused",
                              "local/test_reuse.py::test_a_deterministic_false_node_always_runs"),
    "additional_includes": Local("run", "part of the snapshot", "local/test_running.py::"
                                 "test_paths_of_a_component_are_relative_to_its_file"),
    "trial": Local("run", "the component of each trial", _BEST_TRIAL),
    "sampling_algorithm": Local("simulated", "grid and random; Sobol and Bayesian sampling draw at random, with a "
                                "warning", _SPACE + "test_a_grid_has_each_combination_once_and_the_last_input_"
                                "changes_first"),
    "search_space": Local("run", "values of the trials",
                          _SPACE + "test_values_are_within_the_bounds_and_reach_both"),
    "objective": Local("run", "the metric that MLflow logs in a trial", _BEST_TRIAL),
    "early_termination": Local("run", "ends trials that fall behind",
                               "local/test_sweep.py::test_a_policy_ends_a_trial_that_falls_behind"),
    "logging_level": Local("run", "of the log of a worker", _PARALLEL_RUN),
    "task": Local("run", "see its table", _PARALLEL_RUN),
    "mini_batch_size": Local("run", "files or bytes of a mini-batch", _PARALLEL_RUN),
    "partition_keys": Local("run", "columns that group the rows of a table", "local/test_parallel.py::"
                            "test_a_table_is_split_by_partition_keys_and_the_output_has_a_header"),
    "input_data": Local("run", "the input that is split", _PARALLEL_RUN),
    "retry_settings": Local("run", "see its table", "local/test_parallel.py::test_a_failed_mini_batch_is_retried"),
    "max_concurrency_per_instance": Local("run", "worker processes", "local/test_parallel.py::"
                                          "test_as_many_workers_run_concurrently_as_an_instance_has"),
    "error_threshold": Local("run", "failed files or rows that are allowed", "local/test_parallel.py::"
                             "test_as_many_failures_as_allowed_do_not_fail_the_node"),
    "mini_batch_error_threshold": Local("run", "failed mini-batches that are allowed", "local/test_parallel.py::"
                                        "test_more_failures_than_allowed_fail_the_node_at_once"),
    "optional": Local("run", "text in `$[[ ]]` is removed where it has no value",
                      "local/test_running.py::test_optional_text_without_a_value_is_removed"),
    "default": Local("run", "the value where the job gives none",
                     "local/test_nested.py::test_a_value_of_the_job_replaces_the_default_of_the_component"),
    "path": Local("run", "a local path, a copy of remote data, or a download",
                  "local/test_data.py::test_a_copy_is_found_by_name_or_address"),
    "mode": Local("simulated", "each mode gives a local path",
                  "local/test_data.py::test_every_mode_of_an_input_gives_a_path"),
    "evaluation_interval": Local("run", "metrics between two evaluations", _POLICY +
                                 "test_the_policy_evaluates_every_multiple_of_the_interval_after_the_delay"),
    "delay_evaluation": Local("run", "metrics before the first evaluation", _POLICY +
                              "test_the_policy_evaluates_every_multiple_of_the_interval_after_the_delay"),
}  # fmt: skip

# By table and field, where it differs.
_PORT_TYPE = Local("run", "converts values, and is checked against what is bound", "local/test_overrides.py::"
                   "test_text_is_converted_to_the_type_of_the_input")  # fmt: skip
_BOUND = Local("run", "values outside are errors", "pipeline/test_wrong_pipelines.py::"
               "test_a_wrong_pipeline_gives_its_problem")  # fmt: skip
_COMPONENT_NAME = Local("run", "name of the component in messages and of its node", "local/test_selection.py::"
                        "test_a_component_runs_alone_with_its_inputs_set")  # fmt: skip
_IN_DEFINITION = Local("run", _DEFINITION, "local/test_reuse.py::"
                       "test_a_change_reruns_only_dependent_nodes_and_is_named")  # fmt: skip
_NO_CLUSTER = Local("ignored", "the command starts once, with a warning where it has several instances")
SPECIAL: dict[tuple[str, str], Local] = {
    ("Pipeline job", "component"): Local("refused", "run the file of the component instead"),
    **{("Command job with a component", name): Local("ignored", "as on Azure ML: the component's counts")
       for name in ("command", "code", "environment")},
    ("Command component", "name"): _COMPONENT_NAME,
    ("Parallel component", "name"): _COMPONENT_NAME,
    ("Pipeline component", "version"): Local("ignored", "registers the asset on Azure ML"),
    ("Command component", "environment_variables"): Local("ignored", "as on Azure ML, with a warning"),
    ("Parallel job of a pipeline", "environment_variables"): Local(
        "run", "set for the workers", "local/test_parallel.py::test_the_documented_pipeline_runs"),
    ("Sweep job of a pipeline", "resources"): Local("ignored", "those of the trial count"),
    ("Sweep job", "resources"): Local("ignored", "those of the trial count"),
    ("Sweep job of a pipeline", "limits"): Local("run", "see its table", "local/test_sweep.py::"
                                                  "test_concurrent_trials_are_limited_by_the_sweep_and_by_jobs"),
    ("Sweep job", "limits"): Local("run", "see its table", "local/test_single_jobs.py::"
                                   "test_a_sweep_job_gives_the_output_of_its_best_trial"),
    **{(f"Parallel {kind}", "resources"): Local("ignored", "the workers of one instance run") for kind in (
        "job of a pipeline", "job with a component", "component")},
    ("Parallel job of a pipeline", "environment"): Local("ignored", "that of the task counts"),
    ("`settings` of a pipeline", "default_compute"): Local("ignored", "commands run on this machine"),
    ("`settings` of a pipeline", "default_datastore"): Local(
        "simulated", "`${{default_datastore}}` in addresses of outputs",
        "local/test_data.py::test_expressions_in_the_address_of_an_output_are_replaced"),
    ("`settings` of a pipeline", "continue_on_step_failure"): Local(
        "run", "other nodes finish after a failure",
        "local/test_failures.py::test_independent_nodes_finish_after_a_failure_if_the_pipeline_continues"),
    ("`settings` of a pipeline", "force_rerun"): Local(
        "run", "no node is reused", "local/test_reuse.py::test_force_rerun_runs_everything"),
    ("Input of a job", "type"): Local("run", "a file or a folder", "local/test_data.py::"
                                      "test_an_http_address_is_refused_for_a_folder"),
    ("Input of a job", "mode"): Local("ignored", "each mode gives a local path"),
    ("Input of a job", "path_on_compute"): Local("ignored", "only `path` is read"),
    ("Input of a job", "datastore"): Local("ignored", "local paths are not uploaded"),
    ("Output of a job", "type"): Local("run", "a file or a folder", "local/test_failures.py::"
                                       "test_a_node_that_exits_with_0_without_its_output_has_failed"),
    ("Output of a job", "mode"): Local("simulated", "a shared output of mode rw_mount keeps its files", "local/"
                                       "test_reuse.py::test_a_changed_shared_output_reruns_the_nodes_that_read_it"),
    ("Output of a job", "path"): Local("simulated", "a folder in `.azdistill/datastores`", "local/test_running.py::"
                                       "test_a_datastore_in_the_home_is_shared_between_runs"),
    **{("Output of a job", name): Local("ignored", "registers the output on Azure ML") for name in ("name", "version")},
    **{(title, "type"): _PORT_TYPE for title in ("File or folder that a component reads",
                                                 "Literal that a component reads", "Output of a component")},
    **{("Literal that a component reads", name): _BOUND for name in ("min", "max", "enum")},
    ("File or folder that a component reads", "mode"): Local("ignored", "each mode gives a local path"),
    ("File or folder that a component reads", "default"): Local("run", "its text, where the job gives no data", "local/"
        "test_nested.py::test_a_value_of_the_job_replaces_the_default_of_the_component"),
    ("Output of a component", "mode"): Local("ignored", "outputs are written in place"),
    **{("`environment`", name): _IN_DEFINITION for name in (
        "name", "version", "description", "tags", "image", "datastore", "os_type", "inference_config",
        "auto_delete_setting")},
    ("`environment`", "conda_file"): Local("simulated", "its pip packages, with `--make-environments`", _VENV),
    ("`environment`", "build"): Local("simulated", "its requirements file, with `--make-environments`",
                                      "local/test_environments.py::test_requirements_of_a_build_context"),
    ("`resources`", "instance_count"): Local("simulated", "processes of a distribution", _DISTRIBUTED),
    **{("`resources`", name): Local("ignored", "the machine is this one") for name in (
        "instance_type", "max_instance_count", "shm_size", "docker_args", "locations", "properties")},
    ("`limits` of a command", "timeout"): Local("run", "seconds, after which the command ends",
                                                "local/test_distribution.py::test_a_node_ends_at_its_timeout"),
    **{("`queue_settings`", name): Local("ignored", "nodes start when their inputs exist") for name in (
        "job_tier", "priority")},
    ("`distribution: {type: pytorch}`", "type"): Local("simulated", "sets RANK, WORLD_SIZE, MASTER_ADDR, ...",
                                                       _DISTRIBUTED),
    ("`distribution: {type: pytorch}`", "process_count_per_instance"): Local("simulated", "processes", _DISTRIBUTED),
    ("`distribution: {type: mpi}`", "type"): Local("simulated", "sets OMPI_COMM_WORLD_RANK, ...", "local/"
                                                   "test_distribution.py::test_mpi_processes_get_their_own_variables"),
    ("`distribution: {type: mpi}`", "process_count_per_instance"): Local(
        "simulated", "processes", "local/test_distribution.py::test_mpi_processes_get_their_own_variables"),
    **{("`distribution: {type: tensorflow}`", name): _NO_CLUSTER for name in (
        "type", "parameter_server_count", "worker_count")},
    **{("`distribution: {type: ray}`", name): _NO_CLUSTER for name in (
        "type", "port", "address", "include_dashboard", "dashboard_port", "head_node_additional_args",
        "worker_node_additional_args")},
    ("`sampling_algorithm`", "type"): Local("simulated", "grid or random", "pipeline/"
        "test_sweeps.py::test_sampling_that_only_azure_has_is_a_warning_of_a_local_run"),
    ("`sampling_algorithm`", "seed"): Local("run", "the same seed gives the same trials", _SPACE +
        "test_the_same_seed_gives_the_same_trials_and_more_trials_begin_with_them"),
    ("`sampling_algorithm`", "rule"): Local("simulated", "Sobol draws at random, with a warning",
                                            "pipeline/test_sweeps.py::"
                                            "test_sampling_that_only_azure_has_is_a_warning_of_a_local_run"),
    ("`sampling_algorithm`", "logbase"): Local("ignored", "belongs to Sobol sampling"),
    ("`objective`", "goal"): Local("run", "selects the best trial", "local/test_sweep_trials.py::"
                                   "test_the_best_is_the_first_with_the_best_last_value"),
    ("`objective`", "primary_metric"): Local("run", "the metric that MLflow logs in a trial", "local/test_sweep.py::"
                                             "test_a_missing_metric_is_reported_with_the_logged_ones"),
    ("`limits` of a sweep", "max_total_trials"): Local("run", "trials", _BEST_TRIAL),
    ("`limits` of a sweep", "max_concurrent_trials"): Local("run", "trials at the same time", "local/test_sweep.py::"
        "test_concurrent_trials_are_limited_by_the_sweep_and_by_jobs"),
    ("`limits` of a sweep", "timeout"): Local("run", "seconds of the sweep", "local/test_sweep.py::"
        "test_a_sweep_that_times_out_uses_the_best_completed_trial"),
    ("`limits` of a sweep", "trial_timeout"): Local("run", "seconds of a trial", "local/test_sweep.py::"
        "test_a_trial_ends_at_its_timeout_and_the_others_continue"),
    ("`early_termination: {type: bandit}`", "type"): Local("run", "the policy", _POLICY +
        "test_a_bandit_that_minimizes_allows_a_fifth_more"),
    ("`early_termination: {type: bandit}`", "slack_factor"): Local("run", "the allowed ratio", _POLICY +
        "test_a_bandit_of_slack_factor_a_fifth_allows_two_thirds_of_an_accuracy_of_eight_tenths"),
    ("`early_termination: {type: bandit}`", "slack_amount"): Local("run", "the allowed distance", _POLICY +
        "test_a_bandit_with_slack_amount_measures_the_distance"),
    **{("`early_termination: {type: truncation_selection}`", name): Local("run", "share of trials that ends", _POLICY +
        "test_truncation_selection_ends_the_lowest_percentage") for name in ("type", "truncation_percentage")},
    **{("`search_space`: choice", name): Local("run", "each of the values", _SPACE +
        "test_no_combination_is_repeated_and_a_small_space_ends_early") for name in ("type", "values")},
    **{("`search_space`: randint", name): Local("run", "integers below `upper`", _SPACE +
        "test_values_are_within_the_bounds_and_reach_both") for name in ("type", "upper")},
    **{("`search_space`: quniform, uniform", name): Local("run", "also in `loguniform` and `qloguniform`", _SPACE +
        "test_values_are_within_the_bounds_and_reach_both") for name in ("type", "min_value", "max_value")},
    ("`search_space`: quniform, uniform", "q"): Local("run", "multiples of it", _SPACE +
        "test_a_distribution_with_q_gives_short_multiples"),
    **{("`search_space`: normal", name): Local("run", "also in `lognormal`, `qnormal` and `qlognormal`", _SPACE +
        "test_normal_has_its_mean_and_deviation_and_lognormal_those_of_its_logarithm")
       for name in ("type", "mu", "sigma")},
    ("`task` of a parallel job", "type"): Local("run", "run_function; the types model and function are refused",
                                                _PARALLEL_RUN),
    ("`task` of a parallel job", "entry_script"): Local("run", "`init`, `run` and `shutdown` of it", _PARALLEL_RUN),
    ("`task` of a parallel job", "code"): Local("run", "a snapshot of the folder", _PARALLEL_RUN),
    ("`task` of a parallel job", "program_arguments"): Local("run", "after those of Azure ML", "local/"
        "test_parallel.py::test_arguments_come_after_those_of_azure"),
    ("`task` of a parallel job", "model"): Local("ignored", "belongs to the type model, which is refused"),
    ("`task` of a parallel job", "append_row_to"): Local("run", "the rows of all mini-batches", _PARALLEL_RUN),
    ("`retry_settings` of a parallel job", "timeout"): Local("run", "seconds of a mini-batch", "local/"
        "test_parallel.py::test_a_worker_that_hangs_is_replaced_and_its_mini_batch_retried"),
    ("`retry_settings` of a parallel job", "max_retries"): Local("run", "tries after the first one", "local/"
        "test_parallel.py::test_a_failed_mini_batch_is_retried"),
}  # fmt: skip

# Tests of the types of nodes that run.
NODES: dict[str, str] = {
    "command": _DATA_FLOWS,
    "sweep": _BEST_TRIAL,
    "parallel": _PARALLEL_RUN,
    "pipeline": "local/test_nested.py::test_data_flows_through_a_pipeline_component_and_out_of_the_pipeline",
}

WRONG: tuple[Any, ...] = (["a"], {"zzz": [1]}, 5, "zzz zzz", None, -1, "${{parent.inputs.none}}", "")


def local(section: Section, field: str) -> Local:
    """The effect of a field of a section. Raises KeyError for a field that is not described here."""
    return SPECIAL.get((section.title, field)) or GENERAL[field]


def at(value: Any, path: FieldPath) -> Any:
    return functools.reduce(lambda inner, key: inner[key], path, value)


def is_checked(folder: Path, section: Section, field: str) -> bool:
    """True if a wrong value of the field is a problem at the field."""
    path = folder / EXAMPLES[section.example].name
    wrong = (*section.path, field)
    for value in WRONG:
        content = section.document()
        at(content, section.path)[field] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        if any(problem.field[: len(wrong)] == wrong for problem in validate_file(path)):
            return True
    return False


def effect(folder: Path, section: Section, content: Any) -> Any:
    """All that a local run takes from a file: its nodes, without the settings of which it reads none."""
    path = folder / EXAMPLES[section.example].name
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    pipeline = load_pipeline(path)
    nodes = {name: _as_run(node) for name, node in pipeline.nodes.items()}
    return nodes, pipeline.inputs, pipeline.outputs, pipeline.force_rerun, pipeline.continue_on_step_failure


def _as_run(node: Node) -> tuple[Any, ...]:
    component = replace(node.component, settings={})
    if component.pipeline:
        component = replace(component, pipeline=None)
    return replace(node, component=component, settings={}), process_layout(node.settings), timeout(node.settings)


def defined(test: str) -> str | None:
    """The source of the file of a test, None where it does not define the function."""
    name, function = test.split("::")
    text = (ROOT / "tests" / "engine" / name).read_text(encoding="utf-8")
    functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    return text if function in functions else None


def node_types() -> list[str]:
    """Types of the nodes of a pipeline that the client takes, and those of its private preview."""
    types: list[str] = list(PipelineJobsField().value_field._type_sensitive_fields_dict)
    return [*types, "if_else", "do_while", "parallel_for"]


INTRODUCTION = """\
# What the local engine does with a published pipeline

`azdistill validate` and `azdistill run` take the files of `az ml job create` as they are. This page lists every field
of the schemas of azure-ai-ml {version}, the client of Azure ML: whether `validate` checks it, and its effect in a local
run.

- **checked**: `validate` reports a wrong value of the field at its line, and
  [who refuses it](engine.md#supported-nodes).
- **run**: it has the same meaning as on Azure ML.
- **simulated**: it has a local form, which the table describes.
- **ignored**: a run is the same without it. Its test compares both.
- **refused**: the run ends before the first node, with the reason.

The page is generated. The fields are read from the client, "checked" is computed with wrong values, and each effect
names a test that shows it. `$schema` only tells the kind of a file. Fields that the service fills in, such as `status`,
are left out. Complete files, right and wrong ones, are in [tests/corpus](../tests/corpus) with the verdict of the
client.
"""


def conformance_page() -> str:
    """The text of docs/conformance.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, FILES)
        return "\n".join([INTRODUCTION.format(version=client_version()), *_nodes(), *_tables(folder)])


def _nodes() -> Iterator[str]:
    yield "## Types of nodes\n\n| type | local run | shown by |\n|---|---|---|"
    refused = "local/test_running.py::test_unsupported_jobs_are_refused_by_name"
    for type in node_types():
        status = "run" if type in LOCAL_TYPES else "refused"
        yield f"| `{type}` | {status} | {_link(NODES.get(type, refused))} |"


def _tables(folder: Path) -> Iterator[str]:
    for section in SECTIONS:
        yield f"\n## {section.title}\n\n| field | checked | local run | effect | shown by |\n|---|---|---|---|---|"
        for field in sorted(section.fields(), key=str):
            status, text, test = local(section, field)
            mark = "yes" if is_checked(folder, section, field) else ""
            shown = _link(test) if test else f"[{_COMPARED[status]}](../tests/engine/pipeline/test_conformance.py)"
            yield f"| `{field}` | {mark} | {status} | {text} | {shown} |"
    yield ""


_COMPARED = {"ignored": "same without it", "refused": "an error of a local run"}


def _link(test: str) -> str:
    name, function = test.split("::")
    words = function.removeprefix("test_").replace("_", " ")
    return f"[{words}](../tests/engine/{name})"
