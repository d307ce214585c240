"""A pipeline file as Azure's own client reads it: on this machine, without a login."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from azdistill.azure.problems import in_one_line
from azdistill.azure.workspace import hushed, require_sdk, unhindered
from azdistill.contracts.errors import PipelineError
from azdistill.contracts.findings import Finding, Place, named
from azdistill.engine.pipeline.alone import is_component
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job

Kind = Literal["component", "job"]
Refusal = tuple[Place, str]

_NO_EXPRESSION = re.compile(r"(?:^|(?<=; ))Value passed is not a data binding string: [^;]*(?:; |$)")
"""Said of all that is wrong, as it is no `${{ }}` either."""


class Refused(Exception):
    """The client doesn't load a file. `found`: place and sentence of each finding."""

    def __init__(self, found: Sequence[Refusal]) -> None:
        super().__init__(found)
        self.found = found


def refusals(pipeline: Path) -> list[Finding]:
    """What the client finds wrong with a file of a pipeline or of a component: it looks less closely than our own
    checks, and at other things.

    Raises InputError without the extra `azure`, PipelineError for what is no YAML.
    """
    require_sdk()
    document = read_document(pipeline, PipelineError, "pipeline file")
    kind: Kind = "component" if is_component(document) else "job"
    with hushed(), unhindered():
        try:
            result = _load(kind, pipeline, pipeline)._validate()  # which has no public way that needs no workspace
        except Refused as problem:
            return _findings(pipeline, problem.found)
    return _findings(pipeline, [(_place(path), text) for path, text in result.error_messages.items()])


def load_pipeline_job(pipeline: Path, source: Path | IO[str], overrides: Sequence[dict[str, Any]]) -> "Job":
    """The client's job of `source`, whose paths are meant as in the file `pipeline`, with some fields set otherwise.

    Raises PipelineError, one line a finding, for what the client doesn't load.
    """
    try:
        job: Job = _load("job", pipeline, source, overrides)
        return job
    except Refused as problem:
        raise PipelineError("\n".join(map(str, _findings(pipeline, problem.found)))) from None


def _load(kind: Kind, pipeline: Path, source: Path | IO[str], overrides: Sequence[dict[str, Any]] = ()) -> Any:
    from azure.ai.ml import load_component, load_job
    from azure.ai.ml.exceptions import MlException
    from marshmallow import ValidationError

    try:
        load = load_component if kind == "component" else load_job
        return load(source, relative_origin=str(pipeline), params_override=list(overrides))
    except ValidationError as problem:
        raise Refused(_nested(problem.messages) or _listed(str(problem))) from None
    except MlException as problem:
        raise Refused([((), in_one_line(problem))]) from None


def _nested(messages: Any, place: Place = ()) -> list[Refusal]:
    """Findings as marshmallow has them: dictionaries along the fields, with lists of sentences at their ends."""
    if isinstance(messages, dict):
        inside = [(place if key in ("value", "_schema") else (*place, key), part) for key, part in messages.items()]
        return [found for deeper, part in inside for found in _nested(part, deeper)]
    return [(place, "; ".join(map(str, messages)))] if place else []


def _listed(told: str) -> list[Refusal]:
    """Its findings are JSON in the middle of advice about schemas and editors."""
    listed = re.search(r"\{.*\}", told, re.DOTALL)
    try:
        errors = json.loads(listed[0])["errors"] if listed else []
    except (ValueError, KeyError):
        errors = []
    return [(_place(error["path"]), error["message"]) for error in errors] or [((), told)]


def _place(path: str) -> Place:
    return tuple(int(part) if part.isdecimal() else part for part in path.split(".") if part != "*")


def _findings(pipeline: Path, found: Iterable[Refusal]) -> list[Finding]:
    document = read_document(pipeline, PipelineError, "pipeline file")
    return [
        Finding("error", pipeline, document.line(place), named(place), _sentence(named(place), text))
        for place, text in found
    ]


def _sentence(field: str, text: str) -> str:
    told = in_one_line(_NO_EXPRESSION.sub("", text) or text)
    return f"{field + ': ' if field else ''}{told} (so says azure-ai-ml)"
