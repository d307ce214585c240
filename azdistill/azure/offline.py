"""Check a pipeline file with Azure's own client, azure-ai-ml: on this machine, without a login."""

import copy
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import yaml

from azdistill.azure.errors import in_one_line
from azdistill.azure.workspace import fast_validation, require_sdk
from azdistill.contracts.errors import PipelineError
from azdistill.contracts.problems import FieldPath, Problem
from azdistill.engine.pipeline.authorities import CLIENT
from azdistill.engine.pipeline.kinds import kind_of
from azdistill.engine.pipeline.yaml_node import read_azure_document
from azdistill.engine.yaml_document import Document

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job

Kind = Literal["component", "job"]

# How often the client reads a file on which it fails, to find the field.
MAX_TRIES = 60

# The client adds this to the errors of every field that could also hold a `${{ }}`.
_NOT_AN_EXPRESSION = re.compile(r"(?:^|(?<=; ))Value passed is not a data binding string: [^;]*(?:; |$)")


def sdk_problems(pipeline: Path) -> list[Problem]:
    """Errors of the client in the file of a pipeline, a job or a component. It checks other things than our own checks.

    Raises InputError without the extra `azure`, PipelineError for a file that is not YAML.
    """
    require_sdk()
    document = read_azure_document(pipeline)
    kind: Kind = "component" if kind_of(document.value) in ("component", "pipeline component") else "job"
    with fast_validation():
        try:
            messages = _validation_messages(_load(kind, pipeline, pipeline))
        except PipelineError as error:
            return list(error.problems)
        except Exception as error:  # the client raises errors of any type for values that it does not expect
            return _located(pipeline, [(_failing_field(kind, document, type(error)), _words(error))])
    return _located(pipeline, [(_field_path(path), message) for path, message in messages.items()])


def _words(error: Exception) -> str:
    """The message of an error of the client, with its type where it is no error of validation."""
    messages = getattr(error, "messages", None)  # of marshmallow
    if isinstance(messages, list):
        return "; ".join(map(str, messages))
    return f"the client failed with {type(error).__name__}: {error}"


def _failing_field(kind: Kind, document: Document, error: type[Exception]) -> FieldPath:
    """The innermost field without which the client no longer fails with such an error, which has no field itself.

    The client reads the file again without each of its fields. Empty where they are too many, or where it is no one
    field.
    """
    tries = iter(range(MAX_TRIES))
    tree = copy.deepcopy(document.tree)

    def failure() -> type[Exception] | None:
        try:
            _validation_messages(_load(kind, document.path, io.StringIO(yaml.serialize(tree, allow_unicode=True))))
        except Exception as other:
            return type(other)
        return None

    def within(node: yaml.Node, field: FieldPath) -> FieldPath:
        entries = list(node.value) if isinstance(node, yaml.MappingNode) else []
        causes: dict[bool, tuple[yaml.Node, FieldPath]] = {}
        for key, value in entries:
            if key.value in ("$schema", "type") or next(tries, None) is None:
                continue
            node.value = [entry for entry in entries if entry[0] is not key]
            other = failure()
            if other is not error:
                causes.setdefault(other is None, (value, (*field, key.value)))
        node.value = entries
        # Without a required field, the client fails with another error.
        cause = causes.get(True) or causes.get(False)
        return within(*cause) if cause else field

    return within(tree, ())


def _validation_messages(entity: Any) -> dict[str, str]:
    """The client's errors by field. Its public method needs a workspace. A sweep job is checked when it is loaded."""
    messages: dict[str, str] = entity._validate().error_messages if hasattr(entity, "_validate") else {}
    return messages


def load_pipeline_job(pipeline: Path, source: Path | IO[str], overrides: Sequence[dict[str, Any]]) -> "Job":
    """The client's job of `source`, with some fields overridden. Its paths are relative to the file `pipeline`.

    Raises PipelineError with all problems where the client does not load it.
    """
    job: Job = _load("job", pipeline, source, overrides)
    return job


def _load(kind: Kind, pipeline: Path, source: Path | IO[str], overrides: Sequence[dict[str, Any]] = ()) -> Any:
    from azure.ai.ml import load_component, load_job
    from azure.ai.ml.exceptions import MlException
    from marshmallow import ValidationError

    try:
        load = load_component if kind == "component" else load_job
        return load(source, relative_origin=str(pipeline), params_override=list(overrides))
    except ValidationError as error:
        messages = _nested_messages(error.messages) or _listed_messages(str(error))
        raise PipelineError(problems=_located(pipeline, messages)) from None
    except MlException as error:
        raise PipelineError(problems=_located(pipeline, [((), in_one_line(error))])) from None


def _nested_messages(messages: Any, field: FieldPath = ()) -> list[tuple[FieldPath, str]]:
    """Errors as marshmallow nests them: dictionaries along the fields, with lists of messages as leaves."""
    if isinstance(messages, dict):
        inner = [(field if key in ("value", "_schema") else (*field, key), value) for key, value in messages.items()]
        return [message for path, value in inner for message in _nested_messages(value, path)]
    return [(field, "; ".join(map(str, messages)))] if field else []


def _listed_messages(text: str) -> list[tuple[FieldPath, str]]:
    """Errors as the client prints them: JSON in the middle of advice about schemas and editors. That of a job outside a
    pipeline is in a message of other JSON, nested along the fields."""
    match = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        content = json.loads(match[0]) if match else {}
    except ValueError:
        content = {}
    if "errors" not in content:
        return _nested_messages(content) or [((), text)]
    return [
        ((*_field_path(error["path"]), *field), message)
        for error in content["errors"]
        for field, message in _listed_messages(error["message"])
    ]


def _field_path(path: str) -> FieldPath:
    return tuple(int(key) if key.isdecimal() else key for key in path.split(".") if key != "*")


def _located(pipeline: Path, messages: Sequence[tuple[FieldPath, str]]) -> list[Problem]:
    document = read_azure_document(pipeline)
    return [
        Problem(
            code="rejected_by_sdk",
            message=in_one_line(_NOT_AN_EXPRESSION.sub("", message) or message),
            file=pipeline,
            line=document.line(field),
            field=field,
            refused_by=CLIENT,
        )
        for field, message in _at_jobs(messages, document.value)
    ]


def _at_jobs(messages: Sequence[tuple[FieldPath, str]], document: Any) -> list[tuple[FieldPath, str]]:
    """The messages, where the client has the fields of a job without a component below a component. It misses this
    component, too, where the job has another error."""
    at_jobs = []
    for field, message in messages:
        job = document.get("jobs", {}).get(field[1]) if field[:1] == ("jobs",) and len(field) > 2 else None
        is_own = isinstance(job, dict) and field[2] == "component" and "component" not in job
        others = [other for other, _ in messages if other[:2] == field[:2] and other != field]
        if not (is_own and others and field[3:] == ()):
            at_jobs.append(((*field[:2], *field[3:]) if is_own else field, message))
    return at_jobs
