"""Read a pipeline file with its components. What is wrong becomes findings, and the rest is read all the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.alone import component_alone, is_component
from azdistill.engine.pipeline.components import job_as_component, read_component, read_port
from azdistill.engine.pipeline.documents import (
    ANY,
    DATA_TYPES,
    Component,
    Data,
    InputPort,
    Node,
    OutputSetting,
    Pipeline,
    Scalar,
    Value,
)
from azdistill.engine.pipeline.environments import read_environment
from azdistill.engine.pipeline.expressions import PipelineOutput, is_expression, reference
from azdistill.engine.pipeline.job_ports import check_job_input, check_job_output
from azdistill.engine.pipeline.parallel import read_parallel
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.run_settings import RUN_SETTINGS, check_run_settings
from azdistill.engine.pipeline.sweeps import read_sweep
from azdistill.engine.yaml_document import Document, read_document

KINDS = frozenset("command sweep parallel pipeline spark automl import data_transfer if_else do_while".split())
_WITH_INLINE_JOB = frozenset({"command", "parallel", "spark"})
_KNOWN_PIPELINE = frozenset(
    "$schema type name display_name description tags experiment_name compute settings identity inputs outputs jobs "
    "properties queue_settings component".split()
)
_KNOWN_COMMAND = frozenset(
    "$schema type name display_name description tags component command code environment environment_variables inputs "
    "outputs compute resources limits distribution identity services queue_settings is_deterministic properties "
    "additional_includes comment retry_settings".split()
)
_DROPPED = {"command": ("retry_settings",), "sweep": ("identity", "environment_variables")}


Registered = Callable[[str], Path | None]
"""Where the file of a registered component lies or would lie, by its address; None where nobody knows."""


def _nowhere(address: str) -> None:
    """Registered components are known to Azure ML alone."""


def load_pipeline(path: Path, registered: Registered = _nowhere) -> Pipeline:
    """The pipeline of a file, or the one that runs the component in it alone, with its findings.

    `registered` tells where the files of registered components lie. Raises PipelineError only when it is no YAML
    mapping.
    """
    return read_pipeline(read_document(path, PipelineError, "pipeline file"), registered)


def read_pipeline(document: Document, registered: Registered = _nowhere) -> Pipeline:
    """The pipeline of a document, or the one that runs the component in it alone, with its findings."""
    return component_alone(document) if is_component(document) else _Reader(document, (), registered).pipeline()


class _Reader:
    """One pipeline file. A component file that several jobs name is read once."""

    def __init__(self, document: Document, outer: tuple[Path, ...], registered: Registered) -> None:
        self.root, self.registered = Part(document, []), registered
        self.base = document.path.parent
        self.within = (*outer, document.path.resolve())
        self.is_component = bool(outer) or "pipelineComponent" in str(document.value.get("$schema"))
        self.files: dict[Path, Component | None] = {}

    def pipeline(self) -> Pipeline:
        self.root.unknown_fields(_KNOWN_PIPELINE)
        self._check_kind()
        inputs = self.root.at("inputs").entries()
        outputs = {name: _setting(at, ANY) for name, at in self.root.at("outputs").entries()}
        for _, at in self.root.at("outputs").entries():
            check_job_output(at)
        return Pipeline(
            document=self.root.document,
            inputs={name: self._pipeline_input(at) for name, at in inputs},
            ports={name: port for name, at in inputs if (port := _declaration(at))},
            outputs=outputs,
            nodes={name: self._node(name, at, outputs) for name, at in self._jobs()},
            force_rerun=self._setting("force_rerun"),
            continue_on_step_failure=self._setting("continue_on_step_failure"),
            findings=tuple(self.root.found),
            is_component=self.is_component,
        )

    def _setting(self, name: str) -> bool:
        return self.root.at("settings").mapping().get(name) is True

    def _check_kind(self) -> None:
        kind = self.root.at("type")
        if kind.value is not None and kind.value != "pipeline":
            kind.error("this file is no pipeline; expected 'pipeline'")

    def _jobs(self) -> list[tuple[str, Part]]:
        jobs = self.root.at("jobs")
        if not jobs.mapping() and not self.root.value.get("component"):
            jobs.error("required, a mapping of node names to jobs", value=None)
        if self.root.value.get("component"):
            self.root.at("component").error("a pipeline of a component runs on Azure ML only; name its file", "local")
        for _, at in jobs.entries():
            if not isinstance(at.value, Mapping):
                at.error("expected a mapping, with type and component or command")
        return [(name, at) for name, at in jobs.entries() if isinstance(at.value, Mapping)]

    def _pipeline_input(self, part: Part) -> Scalar | Data | None:
        raw = part.value
        if isinstance(raw, list):
            part.error("expected a literal, or a mapping with type and path")
            return None
        if not isinstance(raw, Mapping):
            return raw  # type: ignore[no-any-return]
        if not self.is_component:
            check_job_input(part)
        if raw.get("type") in DATA_TYPES or "path" in raw:
            return self._data(part) if raw.get("path") else None
        return _scalar(raw.get("default", raw.get("value")))

    def _data(self, part: Part) -> Data:
        path = str(part.value["path"])
        if path.endswith("@latest"):
            part.at("path").warning("it changes when someone registers newer data; name a version")
        return Data(str(part.value.get("type") or ANY), path, self.base)

    def _node(self, name: str, part: Part, pipeline_outputs: Mapping[str, OutputSetting]) -> Node:
        component = self._component(name, part)
        if not part.value.get("component") and not part.value.get("trial"):
            component = replace(component, outputs={**component.outputs, **_promoted_types(part, pipeline_outputs)})
        self._check_fields(part, component.kind)
        for _, at in part.at("outputs").entries():
            check_job_output(at)
        outputs = {port: _setting(part.at("outputs", port), kind) for port, kind in component.outputs.items()}
        promoted = {port: ref.name for port, at in part.at("outputs").entries() if (ref := _promotion(at))}
        for port, target in promoted.items():
            if target in pipeline_outputs and port in outputs:
                given = pipeline_outputs[target]
                outputs[port] = replace(given, type=outputs[port].type)
        return Node(
            name=name,
            component=component,
            inputs={port: value for port, at in part.at("inputs").entries() if (value := self._value(at)) is not None},
            outputs=outputs,
            promoted=promoted,
            variables={key: at.text() or "" for key, at in part.at("environment_variables").entries()},
            settings=dict(component.settings) | _given(part, RUN_SETTINGS),
            sweep=read_sweep(part) if component.kind == "sweep" else None,
        )

    def _check_fields(self, part: Part, kind: str) -> None:
        if kind == "command":
            part.unknown_fields(_KNOWN_COMMAND)
        for name in _DROPPED.get(kind, ()):
            if part.value.get(name) is not None:
                part.at(name).warning(f"Azure ML drops it on a {kind} job; take it out", value=None)
        check_run_settings(part)

    def _component(self, name: str, part: Part) -> Component:
        """What a job runs: a component file, a mapping, the job itself, or something known to Azure ML alone."""
        kind = str(part.value.get("type") or "command")
        if kind not in KINDS:
            part.at("type").error(f"no such type of job; expected one of {', '.join(sorted(KINDS))}")
        given = part.at("trial" if kind == "sweep" else "component")
        found = self._given_component(name, given) if given.value else self._own_component(name, part, kind)
        if found is None:
            return Component(name, self.base, kind, closed=False)
        return self._with_job(part, given, found, kind)

    def _own_component(self, name: str, part: Part, kind: str) -> Component | None:
        if kind == "sweep":
            part.at("trial").error("required, and not given")
        elif kind == "command" and not part.value.get("command"):
            part.error("neither a component nor a command given")
        elif kind in _WITH_INLINE_JOB:
            return job_as_component(part, name, kind)
        return None

    def _given_component(self, name: str, part: Part) -> Component | None:
        if isinstance(part.value, Mapping):
            return read_component(part, name)
        text = part.text() or ""
        if text.startswith("azureml:"):
            if text.endswith("@latest") or "/labels/" in text:
                part.warning("it changes when someone registers a newer one; name a version")
            return self._registered(part, text)
        return self._component_file(part, self.base / text.removeprefix("file:"))

    def _registered(self, part: Part, address: str) -> Component | None:
        path = self.registered(address)
        if path is None:
            part.error("registered components run on Azure ML only; name its file", "local")
        elif not path.is_file():
            part.error(f"no such registered component on this machine; put its file at {path}, or name it", "local")
        else:
            return self._component_file(part, path)
        return None

    def _component_file(self, part: Part, path: Path) -> Component | None:
        if path not in self.files:
            try:
                document = read_document(path, PipelineError, "component file")
            except PipelineError as error:
                part.error(str(error))
                self.files[path] = None
            else:
                found = read_component(Part(document, part.found), path.parent.name)
                self.files[path] = replace(found, pipeline=self._inner(part, document, found))
        return self.files[path]

    def _inner(self, part: Part, document: Document, component: Component) -> Pipeline | None:
        """The pipeline that a pipeline component is."""
        if component.kind != "pipeline":
            return None
        if document.path.resolve() in self.within:
            part.error("a pipeline that holds itself")
            return None
        return _Reader(document, self.within, self.registered).pipeline()

    def _with_job(self, part: Part, given: Part, found: Component, kind: str) -> Component:
        """The job's own say about a component that it names: its kind, its environment and its settings."""
        if kind == "sweep":
            return replace(found, kind=kind)
        if part.value.get("type") and kind != found.kind:
            part.at("type").error(f"the component is a {found.kind}")
        if given.value and part.value.get("environment"):
            found = replace(found, environment=read_environment(part.at("environment")))
        if given.value and found.parallel:
            found = replace(found, parallel=read_parallel(part, found.parallel))
        return found

    def _value(self, part: Part) -> Value | None:
        raw = part.value
        if isinstance(raw, Mapping):
            path = raw.get("path")
            if isinstance(path, str) and is_expression(path):
                return self._reference(part.at("path"), path)
            check_job_input(part)
            return self._data(part) if path is not None else _scalar(raw.get("value"))
        if isinstance(raw, list):
            part.error("expected a literal, an expression, or a mapping with type and path")
            return None
        return self._reference(part, raw) if isinstance(raw, str) and "${{" in raw else raw

    def _reference(self, part: Part, text: str) -> Value | None:
        found = reference(text)
        if found is None or isinstance(found, PipelineOutput):
            part.error("expected ${{parent.inputs.NAME}} or ${{parent.jobs.NODE.outputs.NAME}}, alone")
            return None
        return found


def _given(part: Part, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: part.value[name] for name in names if part.value.get(name) is not None}


def _declaration(part: Part) -> InputPort | None:
    """The declared type of a pipeline input: a literal alone declares none."""
    return read_port(part) if isinstance(part.value, Mapping) and part.value.get("type") else None


def _scalar(raw: Any) -> Scalar | None:
    return raw if isinstance(raw, (str, int, float)) else None


def _setting(part: Part, kind: str) -> OutputSetting:
    raw = part.value if isinstance(part.value, Mapping) else {}
    path = raw.get("path")
    if path is not None and is_expression(str(path)):
        path = None
    return OutputSetting(str(raw.get("type") or kind), raw.get("mode"), path and str(path))


def _promoted_types(part: Part, pipeline_outputs: Mapping[str, OutputSetting]) -> dict[str, str]:
    """A job that is its own component declares no type for an output that it only binds: the pipeline's holds."""
    bound = {name: _promotion(at) for name, at in part.at("outputs").entries() if isinstance(at.value, str)}
    types = {name: pipeline_outputs[to.name].type for name, to in bound.items() if to and to.name in pipeline_outputs}
    return {name: kind for name, kind in types.items() if kind != ANY}


def _promotion(part: Part) -> PipelineOutput | None:
    raw = part.value.get("path") if isinstance(part.value, Mapping) else part.value
    if not isinstance(raw, str) or (isinstance(part.value, Mapping) and not is_expression(raw)):
        return None
    found = reference(raw)
    if not isinstance(found, PipelineOutput):
        part.error("expected ${{parent.outputs.NAME}}, or a mapping with mode and path", value=raw)
        return None
    return found
