"""Pipeline inputs set for one run, with the types that the pipeline gives them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.model import ANY, Data, InputPort, Pipeline, Scalar
from azdistill.engine.pipeline.types import mismatch
from azdistill.engine.problems import suggest
from azdistill.engine.yaml_document import read_scalar

_TYPES = {bool: "boolean", int: "integer", float: "number"}


def with_inputs(pipeline: Pipeline, settings: Mapping[str, str]) -> Pipeline:
    """The pipeline with some inputs set. Text is read as the type of the input has it; a path is relative
    to the current folder. Raises PipelineError for an input that the pipeline doesn't have."""
    changed = {name: _value(pipeline, name, text) for name, text in settings.items()}
    return replace(pipeline, inputs={**pipeline.inputs, **changed})


def _value(pipeline: Pipeline, name: str, text: str) -> Scalar | Data:
    if name not in pipeline.inputs:
        hint = suggest(name, pipeline.inputs)
        raise PipelineError(f"--set inputs.{name}={text!r}: the pipeline has no such input; {hint}")
    port = pipeline.ports.get(name) or _port(pipeline.inputs[name])
    if port.is_data or isinstance(pipeline.inputs[name], Data):
        return Data(port.type, text, Path.cwd())
    value = text if port.type == "string" else read_scalar(text)
    if reason := mismatch(port, value):
        raise PipelineError(reason.message, code=reason.code, fix=reason.fix, subject=f"--set inputs.{name}={text!r}")
    return value


def _port(before: Scalar | Data | None) -> InputPort:
    """The type of an input that declares none: that of its value."""
    if isinstance(before, Data):
        return InputPort(before.type)
    return InputPort(ANY if before is None else _TYPES.get(type(before), "string"))
