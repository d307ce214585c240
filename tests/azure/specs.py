"""Random jobs that are valid, as a user's YAML has them.

What a field may hold is read off the models, so that a field is drawn as soon as there is one. Only what no field
says by itself is written down here: which files there are, and which fields go together.
"""

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

from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.task import TaskName
from azdistill.contracts.teacher import Prompting, Teacher
from azdistill.job.model import Data, DistillationJob, Student
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
    "student/config.json": "{}\n",
    "Schüler 1/config.json": "{}\n",
    "Schüler 1/tokenizer/merges.txt": "e n\n",
}
ROWS = (
    "rows.jsonl",
    "./Zeilen für alle.json l",
    "no suffix/rows",
    "azureml:rows:3",
    "azureml:rows@latest",
    "azureml://datastores/workspaceblobstore/paths/a folder/rows.jsonl",
    "azureml://registries/shared/data/rows/versions/1",
    "https://account.blob.core.windows.net/container/rows.jsonl?version=1",
    "wasbs://container@account.blob.core.windows.net/rows.jsonl",
    "abfss://container@account.dfs.core.windows.net/rows.jsonl",
)
NAMED = "phi-4-mini"
STUDENTS = (
    "./student",
    "Schüler 1",
    NAMED,
    "azureml:tiny:1",
    "azureml:tiny@latest",
    "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1",
    "azureml://datastores/workspaceblobstore/paths/models/tiny",
)
MINE = "one-of-mine"
"""A student that only the catalog of its job knows."""

ENDPOINTS = (
    "https://shop.services.ai.azure.com",
    "https://shop.openai.azure.com/openai/deployments/gpt 4.1/chat/completions?api-version=2024-10-21&a=b",
    "https://bücher.example/v1/#é",
    "http://[::1]:8000/v1",
)
TASKS = (*typing.get_args(TaskName), "./my_task.py", "azureml://datastores/workspaceblobstore/paths/my_task.py")

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
"""Texts that YAML, a shell or a template may take for something else."""

BEYOND = 2**53
"""What is drawn of a whole number without a bound."""

GATED_METRICS = [metric.name for metric in METRICS if not gate_problems([metric.name])]
METRIC_BOUNDS = st.dictionaries(
    st.sampled_from(GATED_METRICS), st.floats(0, 100, allow_nan=False, allow_infinity=False), max_size=3
)

CHARACTERS = st.characters(codec="utf-8")
TEXT = st.sampled_from(ODD) | st.text(CHARACTERS, max_size=12)


def write_files(folder: Path) -> Path:
    """The files that jobs name, in a folder that may be there already."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    shutil.copyfile(OWN_TASK, folder / "my_task.py")
    return folder


def fields(model: type[BaseModel], /, **drawn: Drawn) -> SearchStrategy[Values]:
    """Some fields of a model and all that it requires; `drawn` stands in for what their types say."""
    inherited = set() if model is DistillationJob else set(INHERITED)
    known = {
        name: drawn[name] if name in drawn else _values(info.annotation, info.metadata)
        for name, info in model.model_fields.items()
        if name not in inherited
    }
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    return st.fixed_dictionaries(
        {name: known[name] for name in known.keys() & required},
        optional={name: known[name] for name in known.keys() - required},
    )


def _values(kind: Any, bounds: list[Any]) -> Drawn:
    """What a type admits within its bounds."""
    parts, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return st.none() | st.one_of([_values(part, bounds) for part in parts if part is not type(None)])
    if origin is typing.Annotated:
        return _values(parts[0], [bound for part in parts[1:] for bound in getattr(part, "metadata", [part])])
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(_values(parts[0], []), max_size=3)
    if origin is dict:
        return st.dictionaries(TEXT, _values(parts[1], []), max_size=3)
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
        least, most = bounds["ge"], bounds.get("le", BEYOND)
        return st.sampled_from((least, most)) | st.integers(least, most)
    if kind is float:
        return _float(bounds)
    if kind is date:
        return st.dates().map(str)
    if "pattern" in bounds:
        return _matching(bounds["pattern"], bounds.get("max_length", 255))
    return TEXT.filter(lambda text: len(text) >= bounds.get("min_length", 0))


def _float(bounds: Mapping[str, Any]) -> Drawn:
    """Finite, as YAML's `.inf` is no number to Azure ML; often a bound itself or what is next to it."""
    least, most = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return st.floats(
        least, most, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_nan=False, allow_infinity=False
    )


def _matching(pattern: str, longest: int) -> Drawn:
    """As pydantic reads a pattern: `$` is the very end, where Python lets a newline follow, and a half is no word."""
    words = st.characters(codec="utf-8", exclude_categories=["No"])
    found = st.from_regex(pattern.removesuffix("$"), fullmatch=pattern.endswith("$"), alphabet=words)
    return found.filter(lambda text: len(text) <= longest)


@st.composite
def jobs(draw: st.DrawFn) -> Values:
    """A job's values; its local files are those of `write_files`."""
    task = draw(st.sampled_from(TASKS))
    rows, maybe_rows = st.sampled_from(ROWS), st.none() | st.sampled_from(ROWS)
    values: Values = draw(
        fields(
            DistillationJob,
            task=st.just(task),
            simulation=st.just({}),
            evaluate=fields(EvaluateConfig, gates=fields(Gates, metrics=METRIC_BOUNDS)),
            data=fields(Data, training_data=rows, validation_data=maybe_rows, test_data=maybe_rows),
            teacher=teachings(),
            student=fields(Student, model=st.sampled_from((*STUDENTS, MINE))),
        )
    )
    if values["student"]["model"] == MINE:
        address = draw(st.sampled_from([place for place in STUDENTS if place != NAMED]))
        values.setdefault("catalog", {}).setdefault("students", {})[MINE] = {"address": address}
    names = [_called(teacher) for teacher in _asked(values["teacher"])]
    values["simulation"] = draw(st.dictionaries(st.sampled_from(names), fields(Simulation), max_size=3))
    if task in typing.get_args(TaskName) and task != "summarization":
        _no_summaries(values["teacher"])
    return values


@st.composite
def teachings(draw: st.DrawFn) -> Values:
    """The teacher's section, of one to three teachers or of answers that are there."""
    completions = st.none() | st.sampled_from(ROWS)
    teacher = fields(Teacher, endpoint=st.none() | st.sampled_from(ENDPOINTS)).map(_one_way_in)
    teachers = st.lists(teacher, min_size=1, max_size=3, unique_by=_called)
    section: Values = draw(
        fields(TeacherSection, teachers=teachers, completions=completions, prompting=fields(Prompting).map(_rendered))
    )
    if section.get("completions") and draw(st.booleans()):
        del section["teachers"]
    return _reachable(_paid(_apart(section)))


def _called(teacher: Values) -> str:
    return str(teacher.get("name") or teacher["model"])


def _one_way_in(teacher: Values) -> Values:
    return teacher | {"entra_scope": None} if teacher.get("key_variable") else teacher


def _rendered(prompting: Values) -> Values:
    """A template that has its place, one way to reason, and a length only where it is kept."""
    template = prompting.get("template")
    if template is not None:
        prompting = prompting | {"template": template.replace("{prompt}", "") + "{prompt}"}
    if prompting.get("chain_of_density"):
        return prompting | {"chain_of_thought": False}
    return {name: value for name, value in prompting.items() if name != "max_len_summary"}


def _apart(section: Values) -> Values:
    """Several answers at a temperature."""
    return (
        section | {"temperature": 0.7} if section.get("samples", 1) > 1 and not section.get("temperature") else section
    )


def _paid(section: Values) -> Values:
    """A budget with the prices of all teachers."""
    if section.get("budget") is None:
        return section
    free = {"input_price": 0.0, "output_price": 0.0}
    given = [{name: value for name, value in teacher.items() if value is not None} for teacher in _asked(section)]
    return section | {"teachers": [free | teacher for teacher in given]}


def _reachable(section: Values) -> Values:
    """An endpoint for who is asked at one."""
    route = section.get("teacher_route", "endpoint" if section.get("completions") is None else "completions")
    if route != "endpoint":
        return section
    found = [
        teacher if teacher.get("endpoint") or teacher.get("connection") else teacher | {"connection": "deepseek-v3"}
        for teacher in _asked(section)
    ]
    return section | {"teachers": found}


def _asked(section: Values) -> list[Values]:
    return list(section.get("teachers", [{"model": "given"}]))


def _no_summaries(section: Values) -> None:
    """Only what is summarized gets denser."""
    for name in ("chain_of_density", "max_len_summary"):
        section.get("prompting", {}).pop(name, None)
