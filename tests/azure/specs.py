"""Random valid jobs, as values of a YAML file.

The strategies are derived from the models, so new fields are covered without a change here. This module adds only what
the types of the fields do not express: the existing files, and fields that depend on one another.
"""

import contextlib
import shutil
import types
import typing
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.evaluate import SLICES, EvaluateConfig, Gates
from azdistill.contracts.request_parameters import check_parameter
from azdistill.contracts.requests import Prompting, Teacher
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.task import TaskName
from azdistill.contracts.train import CUDA_SETTINGS, FSDP_OPTIMIZERS, LossWeights, TrainConfig
from azdistill.engine.pipeline.vm_sizes import gpu_count, vm_size
from azdistill.engine.problems import looks_like_key, may_be_secret
from azdistill.job.deployment import DeploymentSection
from azdistill.job.loss_checks import WHITE_BOX_LOSSES
from azdistill.job.model import DistillationJob
from azdistill.job.run_settings import MAX_SPOT_TIMEOUT_S, MAX_TIMEOUT_S, TIMEOUTS_S
from azdistill.job.sections import ComputeSection, DataSection, StudentSection
from azdistill.job.shorthand import INHERITED
from azdistill.job.teacher_section import TeacherSection
from azdistill.metrics.registry import METRICS, gate_problems
from azdistill.tasks import source

Values = dict[str, Any]
Drawn = SearchStrategy[Any]

OWN_TASK = Path(source.__file__).parents[1] / "job" / "scaffold" / "my_task.py"
FILES = {
    "rows.jsonl": '{"messages": [{"role": "user", "content": "two and two"}], "gold": "4"}\n',
    "Zeilen für alle.json l": '{"messages": [{"role": "user", "content": "drei und drei"}], "gold": "6"}\n',
    "no suffix/rows": '{"messages": [{"role": "user", "content": "four and four"}], "gold": "8"}\n',
    "shards/2026/part-0.jsonl": '{"messages": [{"role": "user", "content": "five and five"}], "gold": "10"}\n',
    "student/config.json": "{}\n",
    "Schüler 1/config.json": "{}\n",
    "Schüler 1/tokenizer/merges.txt": "e n\n",
}
ROWS = (
    "rows.jsonl",
    "./Zeilen für alle.json l",
    "no suffix/rows",
    "shards",
    "azureml:rows:3",
    "azureml:rows@latest",
    "azureml://datastores/workspaceblobstore/paths/a folder/rows.jsonl",
    "azureml://datastores/workspaceblobstore/paths/a folder/",
    "azureml://registries/shared/data/rows/versions/1",
    "https://account.blob.core.windows.net/container/rows.jsonl?version=1",
    "wasbs://container@account.blob.core.windows.net/rows.jsonl",
    "abfss://container@account.dfs.core.windows.net/rows.jsonl",
)
CATALOG_NAME = "phi-4-mini"
STUDENTS = (
    "./student",
    "Schüler 1",
    CATALOG_NAME,
    "azureml:tiny:1",
    "azureml:tiny@latest",
    "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1",
    "azureml://datastores/workspaceblobstore/paths/models/tiny",
)
BASELINES = ("./student", "azureml:support:3", "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1")
# A student that only the catalog of its job contains.
CATALOG_STUDENT = "catalog-student"

ENDPOINTS = (
    "https://shop.services.ai.azure.com",
    "https://shop.openai.azure.com/openai/deployments/gpt 4.1/chat/completions?api-version=2024-10-21&a=b",
    "https://bücher.example/v1/é",
    "http://[::1]:8000/v1",
)
VM_SIZES = ("Standard_E4s_v3", "Standard_NC24ads_A100_v4", "Standard_NC96ads_A100_v4", "Standard_ND96new_v9")
# Steps that may run on spot VMs, with their compute target.
SPOT = {"train": "gpu", "teacher": "cpu"}
TASKS = (*typing.get_args(TaskName), "./my_task.py", "azureml://datastores/workspaceblobstore/paths/my_task.py")

# Texts that YAML, a shell or a template may interpret as something else.
ODD = (
    *("", " ", " a", "a ", "yes", "No", "~", "null", "1", "0x1F", "1_000", "1e5", "2e-05", ".5", "1:30", "2026-01-01"),
    *("=", "<<", "-", "- a", "?", "a: b", "a #b", "# a", "{a: b}", "[a]", "|", ">", "%a", "@a", "`a`", "!a", "&a"),
    *("*a", "'", '"', "it's", 'a "b" c', "\\", "a\\nb", "a\nb", "a\n\n  b\n", "\ta", "a\tb", "---", "...", "--rows 5"),
    *(
        "${{parent.inputs.rows}}",
        "$[[a]]",
        "$HOME",
        "`id`",
        "$(id)",
        "; rm -r .",
        "{prompt}",
        "%s",
        "é",
        "日本語",
        "🙂",
    ),
    *("\x7f", "\x85", "\u2028", "\ufeff", "\u200f"),
)

# Upper limit of integers without a bound.
MAX_INTEGER = 2**53

# Metrics of gates, except for those that need a file, a section or a price, which these jobs do not have.
GATED_METRICS = [
    metric.name
    for metric in METRICS
    if not gate_problems([metric.name]) and metric.name not in ("own", "judge", "cost_per_1000")
]
METRIC_BOUNDS = st.dictionaries(
    st.sampled_from(GATED_METRICS), st.floats(0, 100, allow_nan=False, allow_infinity=False), max_size=3
)

CHARACTERS = st.characters(codec="utf-8")
TEXT = st.sampled_from(ODD) | st.text(CHARACTERS, max_size=12)

NUMBER = st.floats(-1, 100, allow_nan=False, allow_infinity=False)
BOUND_OPTIONS = {
    "compared_with": st.sampled_from(("baseline", "teacher")),
    "slice": st.just("worst") | st.dictionaries(st.sampled_from(SLICES), TEXT, min_size=1, max_size=2),
    "confidence": st.sampled_from((0.9, 0.99)),
    "one_sided": st.booleans(),
}
BOUNDS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"metric": st.sampled_from(("accuracy", "agreement", "f1")), side: NUMBER}, optional=BOUND_OPTIONS
        )
        for side in ("at_least", "at_most")
    ),
    max_size=2,
)


def write_files(folder: Path) -> Path:
    """Write the files that the jobs refer to. The folder may exist."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    shutil.copyfile(OWN_TASK, folder / "my_task.py")
    return folder


def fields(model: type[BaseModel], /, **drawn: Drawn) -> SearchStrategy[Values]:
    """Values of all required and some optional fields of a model. `drawn` replaces the strategies of fields."""
    inherited = set() if model is DistillationJob else set(INHERITED)
    strategies = {
        name: drawn[name] if name in drawn else _values(info.annotation, info.metadata)
        for name, info in model.model_fields.items()
        if name not in inherited
    }
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    return st.fixed_dictionaries(
        {name: values for name, values in strategies.items() if name in required},
        optional={name: values for name, values in strategies.items() if name not in required},
    )


def _values(kind: Any, bounds: list[Any]) -> Drawn:
    """Values of a type within its bounds."""
    arguments, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return st.none() | st.one_of(
            [_values(argument, bounds) for argument in arguments if argument is not type(None)]
        )
    if origin is typing.Annotated:
        return _values(
            arguments[0], [bound for extra in arguments[1:] for bound in getattr(extra, "metadata", [extra])]
        )
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_values(arguments[0], []), max_size=3)
    if origin is dict:
        return st.dictionaries(TEXT, _values(arguments[1], []), max_size=3)
    if issubclass(kind, BaseModel):
        return fields(kind)
    return _scalar(kind, {name: value for bound in bounds for name, value in _bound(bound)})


def _bound(bound: Any) -> list[tuple[str, Any]]:
    names = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
    return [(name, value) for name in names if (value := getattr(bound, name, None)) is not None]


def _scalar(kind: type, bounds: Mapping[str, Any]) -> Drawn:
    if kind is bool:
        return st.booleans()
    if kind is int:
        minimum, maximum = bounds["ge"], bounds.get("le", MAX_INTEGER)
        return st.sampled_from((minimum, maximum)) | st.integers(minimum, maximum)
    if kind is float:
        return _float(bounds)
    if kind is date:
        return st.dates().map(str)
    if "pattern" in bounds:
        return _matching(bounds["pattern"], bounds.get("max_length", 255))
    return TEXT.filter(lambda text: len(text) >= bounds.get("min_length", 0))


def _float(bounds: Mapping[str, Any]) -> Drawn:
    """Finite numbers, because Azure ML does not accept `.inf`. Includes the bounds and their neighbours."""
    minimum, maximum = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return st.floats(
        minimum, maximum, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_nan=False, allow_infinity=False
    )


def _matching(pattern: str, max_length: int) -> Drawn:
    """Texts that match a pattern in pydantic's dialect of regular expressions.

    There `$` matches only at the end (in Python also before a final newline), and `\\w` no number such as 1/2.
    Names that look like keys are left out, because jobs refuse them.
    """
    alphabet = st.characters(codec="utf-8", exclude_categories=["No"])
    texts = st.from_regex(pattern.removesuffix("$"), fullmatch=pattern.endswith("$"), alphabet=alphabet)
    return texts.filter(lambda text: len(text) <= max_length and not looks_like_key(text))


@st.composite
def jobs(draw: st.DrawFn) -> Values:
    """Values of a job. Its local files are those of `write_files`."""
    task = draw(st.sampled_from(TASKS))
    rows, maybe_rows = st.sampled_from(ROWS), st.none() | st.sampled_from(ROWS)
    values: Values = draw(
        fields(
            DistillationJob,
            task=st.just(task),
            simulation=st.just({}),
            labels=st.none(),  # a list that the steps have as a text
            metrics=st.none(),  # a Python file
            judge=st.none(),  # a node that other jobs do not have
            regressions=st.just([]),  # the same
            tuning=st.none(),  # a sweep is another kind of node, see tests/job/test_tuning.py
            evaluate=fields(
                EvaluateConfig,
                gates=fields(Gates, metrics=METRIC_BOUNDS, bounds=BOUNDS),
                primary_metric=st.none() | st.sampled_from(("accuracy", "agreement")),
            ),
            data=fields(
                DataSection,
                training_data=rows,
                validation_data=maybe_rows,
                test_data=maybe_rows,
                public_test_sets=st.none() | st.just("azureml://datastores/public/paths/test-sets/"),
                types=st.just({}),  # for registered assets: see tests/job/bundle/test_bundle.py
                columns=st.just({}),  # in the section data, and in the config of prepare
                slice_columns=st.just(()),  # a list that the steps have as a text
            ),
            teacher=teacher_sections(),
            compute=compute_sections(),
            deployment=st.none() | deployment_sections(),
            curate=fields(CurateConfig, min_judge_score=st.none()),  # needs a judge
            white_box=st.just([]),  # models, see tests/job/test_white_box.py
            scorer=st.none(),  # needs train.on_policy
            train=fields(
                TrainConfig,
                on_policy=st.none(),  # needs a model
                losses=st.none()
                | fields(LossWeights, text=st.just(0.5), **dict.fromkeys(WHITE_BOX_LOSSES, st.just(0.0))),
            ).map(_valid_training),
            student=fields(
                StudentSection,
                model=st.sampled_from((*STUDENTS, CATALOG_STUDENT)),
                chat_template=st.sampled_from(("chatml", "my_task.py")),
                baseline=st.none() | st.sampled_from(BASELINES),
            ),
        )
    )
    if values["student"]["model"] == CATALOG_STUDENT:
        address = draw(st.sampled_from([student for student in STUDENTS if student != CATALOG_NAME]))
        values.setdefault("catalog", {}).setdefault("students", {})[CATALOG_STUDENT] = {"address": address}
    names = [_teacher_name(teacher) for teacher in _teachers(values["teacher"])]
    values["simulation"] = draw(st.dictionaries(st.sampled_from(names), fields(Simulation), max_size=3))
    teacher = values["teacher"]
    if (losses := values.get("train", {}).get("losses")) and (
        not teacher.get("top_logprobs") or teacher.get("completions") is not None
    ):
        losses.pop("top_k", None)
    if task in typing.get_args(TaskName) and task != "summarization":
        _without_summary_settings(values["teacher"])
    if task in typing.get_args(TaskName) and task != "nli":
        for field in ("max_label_ratio", "weight_by_label"):
            values.get("curate", {}).pop(field, None)
    if augment := values["data"].pop("augment", None):
        # Without a budget, which needs the prices of all teachers.
        augment = {name: value for name, value in augment.items() if name != "budget"}
        values["data"] |= {"augment": augment} if _route(values["teacher"]) != "completions" else {}
    return values


def compute_sections() -> Drawn:
    """Values of the section `compute`."""
    sizes, seconds = st.sampled_from(VM_SIZES), st.integers(60, MAX_TIMEOUT_S)
    variables = st.dictionaries(st.from_regex(r"[A-QS-Za-qs-z_][A-Z0-9_]{0,9}", fullmatch=True), TEXT, max_size=3)
    drawn = fields(
        ComputeSection,
        cpu_instance_type=sizes,
        gpu_instance_type=sizes,
        predict_instance_type=st.none() | sizes,
        timeout=st.dictionaries(st.sampled_from(list(TIMEOUTS_S)), seconds, max_size=3),
        environment_variables=variables.map(_without_secrets),
    )
    return drawn.map(_valid_identity).map(_valid_processes).map(_valid_spot)


def deployment_sections() -> Drawn:
    """Values of the section `deployment`, which no step reads."""
    return fields(
        DeploymentSection,
        endpoint_name=st.just("support"),
        batch_endpoint_name=st.sampled_from((None, "support-rows")),
        instance_type=st.sampled_from([name for name in VM_SIZES if gpu_count(name)]),
        autoscale=st.none(),
        max_model_length=st.none(),
        traffic=st.sampled_from(([100], [10, 50, 100])),
    )


def _valid_training(train: Values) -> Values:
    """Without settings that need a GPU, which not every VM size has, and FSDP with an optimizer that it can divide."""
    for setting in CUDA_SETTINGS:
        if train.get(setting.field) == setting.value:
            train = train | {setting.field: setting.substitute}
    train = train | {"train_on": "last"}  # all is an error with teacher.trace: keep
    can_divide = train.get("optimizer", *FSDP_OPTIMIZERS) in FSDP_OPTIMIZERS
    return train if can_divide else train | {"sharding": "none"}


def _without_secrets(variables: Values) -> Values:
    return {name: value for name, value in variables.items() if not may_be_secret(name, value)}


def _valid_processes(compute: Values) -> Values:
    """At most as many processes as the VM has GPUs."""
    size = vm_size(compute.get("gpu_instance_type", "Standard_NC24ads_A100_v4"))
    return {name: value for name, value in compute.items() if name != "train_processes"} if size else compute


def _valid_spot(compute: Values) -> Values:
    """Spot VMs of serverless compute only, with a time limit of at most a week."""
    serverless = {step for step, target in SPOT.items() if compute.get(target, "serverless") == "serverless"}
    spot = [step for step in compute.get("spot", []) if step in serverless]
    timeout = {step: min(value, MAX_SPOT_TIMEOUT_S) for step, value in compute.get("timeout", {}).items()}
    return compute | {"spot": spot, "timeout": timeout}


@st.composite
def teacher_sections(draw: st.DrawFn) -> Values:
    """Values of the section `teacher`: one to three teachers, existing completions, or both."""
    completions = st.none() | st.sampled_from(ROWS)
    teacher = fields(Teacher, endpoint=st.none() | st.sampled_from(ENDPOINTS), parameters=parameters())
    teacher = teacher.map(_one_authentication)
    teachers = st.lists(teacher, min_size=1, max_size=3, unique_by=_teacher_name)
    section: Values = draw(
        fields(
            TeacherSection,
            teachers=teachers,
            completions=completions,
            prompting=fields(Prompting).map(_valid_prompting),
        )
    )
    if section.get("completions") and draw(st.booleans()):
        del section["teachers"]
    return _with_endpoints(_with_prices(_with_temperature(section)))


def parameters() -> Drawn:
    """Request parameters: any JSON that a job may send."""
    numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    values = st.recursive(
        st.none() | st.booleans() | numbers | TEXT,
        lambda item: st.lists(item, max_size=3) | st.dictionaries(TEXT, item, max_size=3),
        max_leaves=4,
    )
    names = st.sampled_from(("top_k", "reasoning_effort", "chat_template_kwargs")) | TEXT
    return st.dictionaries(names, values, max_size=3).map(_sendable)


def _sendable(drawn: Values) -> Values:
    sendable = {}
    for name, value in drawn.items():
        with contextlib.suppress(PydanticCustomError):
            check_parameter(name, value)
            sendable[name] = value
    return sendable


def _teacher_name(teacher: Values) -> str:
    return str(teacher.get("name") or teacher["model"])


def _one_authentication(teacher: Values) -> Values:
    return teacher | {"entra_scope": None} if teacher.get("key_variable") else teacher


def _valid_prompting(prompting: Values) -> Values:
    """Prompting with {prompt} in its template, one kind of reasoning, and a length only for chain of density."""
    template = prompting.get("template")
    if template is not None:
        prompting = prompting | {"template": template.replace("{prompt}", "") + "{prompt}"}
    if prompting.get("chain_of_density"):
        return prompting | {"chain_of_thought": False}
    return {name: value for name, value in prompting.items() if name != "max_len_summary"}


def _valid_identity(compute: Values) -> Values:
    """A user has no client id, and runs on clusters only."""
    if compute.get("identity", {}).get("type") != "user_identity":
        return compute
    clusters = {name: "cluster-1" for name in ("cpu", "gpu") if compute.get(name, "serverless") == "serverless"}
    return compute | clusters | {"identity": {"type": "user_identity"}}


def _with_temperature(section: Values) -> Values:
    """Add a temperature to a section with several samples."""
    return (
        section | {"temperature": 0.7} if section.get("samples", 1) > 1 and not section.get("temperature") else section
    )


def _with_prices(section: Values) -> Values:
    """Add the prices of all teachers to a section with a budget."""
    if section.get("budget") is None:
        return section
    free = {"input_price": 0.0, "output_price": 0.0}
    teachers = [{name: value for name, value in teacher.items() if value is not None} for teacher in _teachers(section)]
    return section | {"teachers": [free | teacher for teacher in teachers]}


def _with_endpoints(section: Values) -> Values:
    """Add connections to teachers without an endpoint, if the route needs one."""
    if _route(section) != "endpoint":
        return section
    teachers = [
        teacher if teacher.get("endpoint") or teacher.get("connection") else teacher | {"connection": "deepseek-v3"}
        for teacher in _teachers(section)
    ]
    return section | {"teachers": teachers}


def _route(section: Values) -> Any:
    return section.get("teacher_route", "endpoint" if section.get("completions") is None else "completions")


def _teachers(section: Values) -> list[Values]:
    return list(section.get("teachers", [{"model": "given"}]))


def _without_summary_settings(section: Values) -> None:
    """Remove the settings that are valid for summarization only."""
    for name in ("chain_of_density", "max_len_summary"):
        section.get("prompting", {}).pop(name, None)
