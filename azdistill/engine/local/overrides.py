"""Override pipeline inputs for one run, with the types that the pipeline declares."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.model import ANY, Data, InputPort, Pipeline, Scalar
from azdistill.engine.pipeline.types import mismatch
from azdistill.engine.problems import suggest
from azdistill.engine.yaml_document import read_scalar

_TYPES = {bool: "boolean", int: "integer", float: "number"}


def override_inputs(pipeline: Pipeline, values: Mapping[str, str]) -> Pipeline:
    """The pipeline with other values of some inputs. Text is converted to the type of the input; a path is relative to
    the current folder. Raises PipelineError for an unknown input or a value of another type."""
    inputs = {name: _convert(pipeline, name, text) for name, text in values.items()}
    return replace(pipeline, inputs={**pipeline.inputs, **inputs})


def _convert(pipeline: Pipeline, name: str, text: str) -> Scalar | Data:
    def error(code: str, message: str, fix: str) -> PipelineError:
        return PipelineError(message, code=code, fix=fix, subject="--set", field=("inputs", name), value=text)

    if name not in pipeline.inputs:
        raise error("unknown_input", "the pipeline has no such input", suggest(name, pipeline.inputs))
    port = pipeline.ports.get(name) or _port(pipeline.inputs[name])
    if port.is_data or isinstance(pipeline.inputs[name], Data):
        return Data(port.type, text, Path.cwd())
    value = text if port.type == "string" else read_scalar(text)
    if reason := mismatch(port, value):
        raise error(reason.code, reason.message, reason.fix)
    return value


def _port(value: Scalar | Data | None) -> InputPort:
    """The type of an input without a declaration: that of its value."""
    if isinstance(value, Data):
        return InputPort(value.type)
    return InputPort(ANY if value is None else _TYPES.get(type(value), "string"))
