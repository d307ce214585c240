"""Read a pipeline file with its components. Wrong values become problems, and the rest is still read."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.authorities import CLIENT, CLIENT_AND_ENGINE, ENGINE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.client_fields import (
    COMPONENT,
    check_component_file,
    check_node,
    check_output_port,
    check_pipeline_job,
    check_port,
    check_sweep_job,
    check_types,
    check_unreplaced,
    takes_expressions,
)
from azdistill.engine.pipeline.components import (
    as_scalar,
    check_name,
    job_as_component,
    read_component,
    read_port,
    trial_as_component,
)
from azdistill.engine.pipeline.environments import read_environment, warn_unpinned
from azdistill.engine.pipeline.expressions import PipelineInput, PipelineOutput, input_text, is_expression, reference
from azdistill.engine.pipeline.job_values import check_input, check_output, lower
from azdistill.engine.pipeline.kinds import FLOW, JOB_OR_COMPONENT, OtherKind, kind_of
from azdistill.engine.pipeline.labels import check_asset_address, check_job_name
from azdistill.engine.pipeline.model import (
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
from azdistill.engine.pipeline.parallel import JOB_FIELDS as PARALLEL_FIELDS
from azdistill.engine.pipeline.parallel import read_parallel
from azdistill.engine.pipeline.run_settings import RUN_SETTINGS, check_run_settings
from azdistill.engine.pipeline.single_job import node_name, single_component, single_job
from azdistill.engine.pipeline.sweeps import read_sweep
from azdistill.engine.pipeline.yaml_node import YamlNode, has_unlisted_errors, read_azure_document
from azdistill.engine.pipeline.yaml_readings import warn_of_readings
from azdistill.engine.problems import FieldPath
from azdistill.engine.yaml_document import Document

_CONTROL_FLOW = frozenset({"if_else", "do_while", "parallel_for"})
JOB_TYPES = frozenset("command sweep parallel pipeline spark automl import data_transfer".split()) | _CONTROL_FLOW
_TYPES_WITH_OWN_COMPONENT = frozenset({"command", "parallel", "spark"})
_CHECKED_TYPES = frozenset({"command", "parallel", "sweep"})
_COMPONENT_FIELDS = frozenset(
    "$schema type name version display_name description tags is_deterministic inputs outputs jobs".split()
)
_COMMAND_FIELDS = frozenset(
    "$schema type name display_name description tags component command code environment environment_variables inputs "
    "outputs compute resources limits distribution identity services queue_settings is_deterministic properties "
    "additional_includes comment retry_settings".split()
)
# Fields that Azure ML reads and then ignores, by type of job.
_IGNORED_FIELDS = {
    "command": ("retry_settings", "command", "code", "environment"),
    "sweep": ("identity", "environment_variables"),
}

# Maximum numbers of jobs, and of inputs and outputs of their components, that are read. A small pipeline file may name
# a component with thousands of inputs in each job.
MAX_JOBS = 1000
MAX_PORTS = 100_000

# Path of the file of a registered component by its `azureml:` address; the file may not exist. None: unknown.
Registered = Callable[[str], Path | None]


def _none_registered(address: str) -> None:
    """Registered components are known to Azure ML only."""


def load_pipeline(path: Path, registered: Registered = _none_registered) -> Pipeline:
    """The pipeline of a file with its problems; for the file of a component, or of a job outside a pipeline, the
    pipeline that runs it.

    `registered` finds the files of registered components. Raises PipelineError only for a file that is not a YAML
    mapping.
    """
    document = read_azure_document(path)
    kind = kind_of(document.value)
    if kind == "component":
        return single_component(YamlNode(document, []))
    reader = _Reader(document, (), registered)
    return reader.job(kind) if kind in ("command job", "sweep job") else reader.pipeline()


class _Reader:
    """Reader of one pipeline file. A component file that several jobs name is read once.

    `outer` are the pipeline files that contain this one.
    """

    def __init__(self, document: Document, outer: tuple[Path, ...], registered: Registered) -> None:
        self.root, self.registered = YamlNode(document, []), registered
        self.folder = document.path.parent
        self.open_files = (*outer, document.path.resolve())
        self.is_component = bool(outer) or "pipelineComponent" in str(document.value.get("$schema"))
        self.components: dict[str, Component | None] = {}

    def pipeline(self) -> Pipeline:
        self._check_fields()
        inputs = self.root.at("inputs").entries()
        outputs = {name: _output_setting(output, ANY) for name, output in self.root.at("outputs").entries()}
        for _, output in self.root.at("outputs").entries():
            if self.is_component:
                check_output_port(output)
            else:
                check_output(output, is_pipeline=True)
        settings = self.root.at("settings").mapping()
        nodes = self._nodes(outputs)
        for name, input in inputs:
            check_name(input, name)
        ports = {name: port for name, input in inputs if (port := self._declaration(input))}
        warn_of_readings(self.root, _boolean_inputs(nodes, ports))
        return Pipeline(
            document=self.root.document,
            inputs={name: self._pipeline_input(input) for name, input in inputs},
            ports=ports,
            outputs=outputs,
            nodes=nodes,
            force_rerun=settings.get("force_rerun") is True,
            continue_on_step_failure=settings.get("continue_on_step_failure") is True,
            problems=tuple(self.root.problems),
            is_component=self.is_component,
        )

    def job(self, kind: Literal["command job", "sweep job"]) -> Pipeline:
        """The pipeline that runs a job outside a pipeline."""
        root = self.root
        if kind == "sweep job":
            check_sweep_job(root)
        check_job_name(root.at("name"))
        name = node_name(root.document.path.stem)
        warn_of_readings(root, ())
        return single_job(root, self._node(name, root, {}))

    def _nodes(self, outputs: Mapping[str, OutputSetting]) -> dict[str, Node]:
        """The nodes by name. Where more errors are found than are listed, the rest is not read."""
        nodes = {}
        ports = 0
        for name, job in self._jobs():
            if has_unlisted_errors(self.root.problems):
                break
            nodes[name] = self._node(name, job, outputs)
            ports += len(nodes[name].component.inputs) + len(nodes[name].outputs)
            if ports > MAX_PORTS:
                message = f"the components of the jobs have more than {MAX_PORTS:,} inputs and outputs in total"
                self.root.at("jobs").error(
                    "too_many_ports", message, "use fewer jobs or smaller components", value=None
                )
                break
        return nodes

    def _check_fields(self) -> None:
        type = self.root.at("type")
        if type.value is not None and type.value != "pipeline":
            type.error("invalid_choice", "is not a pipeline file", "write type: pipeline")
        if self.is_component:
            self.root.check_fields(_COMPONENT_FIELDS)
            check_types(self.root, COMPONENT, expressions=False)
            check_unreplaced(self.root)
            if len(self.open_files) == 1:  # a file of its own, not part of a pipeline
                check_component_file(self.root)
                if type.value is None:
                    message, fix = "without a type, Azure ML reads a command component", "write type: pipeline"
                    type.error("missing_field", message, fix, scope="azure")
            return
        check_pipeline_job(self.root)
        if type.value is None:
            message = "without a type, Azure ML reads the file as a command job"
            type.error("missing_field", message, "write type: pipeline", scope="azure")

    def _jobs(self) -> list[tuple[str, YamlNode]]:
        jobs, component = self.root.at("jobs"), self.root.at("component")
        if component.value:
            message = "the local engine cannot run a pipeline by its component"
            component.error("unsupported_locally", message, "run the component's file", scope="local")
            if jobs.value:
                component.error("duplicate_value", "a pipeline has jobs or a component, not both", "remove one of them")
        elif not jobs.mapping():
            message = "a pipeline has a mapping of node names to jobs"
            jobs.error("missing_field", message, value=None, refused_by=ENGINE)
        if len(jobs.mapping()) > MAX_JOBS:
            jobs.error(
                "too_many_jobs", f"more than {MAX_JOBS:,} jobs", "divide them among pipeline components", value=None
            )
        listed = jobs.entries()[:MAX_JOBS]
        for _, job in listed:
            if not isinstance(job.value, Mapping):
                job.error("wrong_type", "must be a mapping with type, and component or command")
        return [(name, job) for name, job in listed if isinstance(job.value, Mapping)]

    def _pipeline_input(self, node: YamlNode) -> Scalar | Data | None:
        value = node.value
        if self.is_component:
            check_port(node)
        elif value is None:
            node.error("missing_value", "Azure ML refuses an input without a value", "give it a value", scope="azure")
        if isinstance(value, list) and not self.is_component:
            node.error("wrong_type", "must be a literal, or a mapping with type and path")
            return None
        if not isinstance(value, Mapping):
            _check_finite(node)
            return as_scalar(value)
        if not self.is_component:
            check_input(node, expressions=True)
        if lower(value.get("type"), "") in DATA_TYPES or "path" in value:
            return self._data(node) if value.get("path") else None
        return as_scalar(value.get("default", value.get("value")))

    def _declaration(self, node: YamlNode) -> InputPort | None:
        """The declaration of a pipeline input; a literal declares none."""
        if not isinstance(node.value, Mapping) or not node.value.get("type"):
            return None
        if self.is_component:
            return read_port(node)
        type = lower(node.value["type"], ANY)
        return InputPort(type, optional=node.value.get("optional") is True) if type in DATA_TYPES else None

    def _data(self, node: YamlNode) -> Data:
        path = str(node.value["path"])
        if path.endswith("@latest"):
            warn_unpinned(node.at("path"))
        return Data(lower(node.value.get("type"), ANY), path, self.folder)

    def _node(self, name: str, job: YamlNode, pipeline_outputs: Mapping[str, OutputSetting]) -> Node:
        component = self._component(name, job)
        if not job.value.get("component") and not job.value.get("trial"):
            component = replace(component, outputs={**component.outputs, **_promoted_types(job, pipeline_outputs)})
        _check_node_fields(job, component.kind)
        expressions = takes_expressions(job)
        for _, output in job.at("outputs").entries():
            check_output(output, expressions)
        outputs = {port: _default_setting(type) for port, type in component.outputs.items()}
        outputs |= {
            port: _output_setting(node, outputs[port].type)
            for port, node in job.at("outputs").entries()
            if port in outputs
        }
        promoted = {port: target.name for port, node in job.at("outputs").entries() if (target := _promotion(node))}
        for port, target_name in promoted.items():
            if target_name in pipeline_outputs and port in outputs:
                outputs[port] = replace(pipeline_outputs[target_name], type=outputs[port].type)
        own_settings = {name: job.value[name] for name in RUN_SETTINGS if job.value.get(name) is not None}
        inputs = {port: self._value(node, expressions) for port, node in job.at("inputs").entries()}
        return Node(
            name=name,
            component=component,
            inputs={port: value for port, value in inputs.items() if value is not None},
            outputs=outputs,
            promoted=promoted,
            variables={key: _variable(node) for key, node in job.at("environment_variables").entries()},
            settings=dict(component.settings) | own_settings,
            sweep=read_sweep(job) if component.kind == "sweep" else None,
        )

    def _component(self, name: str, job: YamlNode) -> Component:
        """The component of a job: a component file, a mapping, the job itself, or one known to Azure ML only."""
        type = job.value.get("type")
        kind = "command" if type in (None, "") else str(type)
        kind = kind.lower() if job.field else kind  # the client has types of jobs outside a pipeline in lower case only
        if kind not in JOB_TYPES:
            job.at("type").error("invalid_choice", f"must be one of {', '.join(sorted(JOB_TYPES))}")
        if kind == "sweep" and not job.field and isinstance(job.at("trial").value, Mapping):
            return replace(trial_as_component(job, name), kind=kind)
        named = job.at("trial" if kind == "sweep" else "component")
        component = self._named_component(name, named) if named.value else self._own_component(name, job, kind)
        if component is None:
            return Component(name, self.folder, kind, ports_known=False)
        return self._with_job_settings(job, named, component, kind)

    def _own_component(self, name: str, job: YamlNode, kind: str) -> Component | None:
        if kind == "sweep":
            job.at("trial").error("missing_field", "required field is missing")
        elif kind == "pipeline":
            job.error("missing_field", "a job of type pipeline has a component", value=None)
        elif kind == "command" and not job.value.get("command"):
            is_refused = job.value.get("command") != "" and job.value.get("type")
            authorities = CLIENT_AND_ENGINE if is_refused else SERVICE_AND_ENGINE
            job.error("missing_field", "a command job has a component or a command", refused_by=authorities)
        elif kind in _TYPES_WITH_OWN_COMPONENT:
            return job_as_component(job, name, kind)
        return None

    def _named_component(self, name: str, node: YamlNode) -> Component | None:
        if isinstance(node.value, Mapping):
            return read_component(node, name)
        text = node.text() or ""
        if not text.startswith("azureml:"):
            return self._component_file(node, self.folder / text.removeprefix("file:"))
        check_asset_address(node)
        if text.endswith("@latest") or "/labels/" in text:
            warn_unpinned(node)
        path = self.registered(text)
        if path is not None and os.path.isfile(path):
            return self._component_file(node, path)
        message = "the local engine has no file of this registered component"
        fix = "name its file instead" if path is None else f"save its file as {path}, or name its file instead"
        node.error("unsupported_locally", message, fix, scope="local")
        return None

    def _component_file(self, node: YamlNode, path: Path) -> Component | None:
        """The component of a file, which may be named by different paths: `a/../c.yml` is `c.yml`."""
        file = _real_path(path)
        if file not in self.components:
            try:
                document = read_azure_document(path, "component file")
            except PipelineError as error:
                node.error(error.problems[0].code, error.problems[0].unattributed)
                self.components[file] = None
            else:
                self.components[file] = self._read_component(node, document)
        return self.components[file]

    def _read_component(self, node: YamlNode, document: Document) -> Component | None:
        """The component of a file; None for a file of another kind. Azure's client reads a prompt flow as a component
        with ports that the file does not declare."""
        kind = kind_of(document.value)
        if kind == FLOW:
            node.error("unsupported_locally", f"this file is {kind}, which only Azure ML runs", scope="local")
            return None
        is_other = isinstance(kind, OtherKind) and kind.command != "az ml component create"
        if is_other and document.value.get("type") not in JOB_OR_COMPONENT:
            node.error("wrong_file_type", f"this file is {kind}, not a component", refused_by=CLIENT_AND_ENGINE)
            return None
        component = read_component(YamlNode(document, node.problems), document.path.parent.name)
        return replace(component, pipeline=self._inner_pipeline(node, document, component))

    def _inner_pipeline(self, node: YamlNode, document: Document, component: Component) -> Pipeline | None:
        """The pipeline of a pipeline component, None for other components."""
        if component.kind != "pipeline":
            return None
        if document.path.resolve() in self.open_files:
            node.error("recursive_pipeline", "the pipeline contains itself")
            return None
        return _Reader(document, self.open_files, self.registered).pipeline()

    def _with_job_settings(self, job: YamlNode, named: YamlNode, component: Component, kind: str) -> Component:
        """The component with what a job that names it overrides: kind and parallel settings."""
        if kind == "sweep":
            return replace(component, kind=kind)
        if job.value.get("type") and kind in JOB_TYPES and kind != component.kind:
            named.error("type_mismatch", f"the component is of type {component.kind}, but the job of type {kind}")
        if named.value and job.value.get("environment"):
            read_environment(job.at("environment"))  # only for its problems: that of the component counts
        if named.value and component.parallel:
            component = replace(component, parallel=read_parallel(job, component.parallel))
        return component

    def _value(self, node: YamlNode, expressions: bool) -> Value | None:
        value = node.value
        if isinstance(value, Mapping):
            path = value.get("path")
            check_input(node, expressions)
            if isinstance(path, str) and is_expression(path):
                return _reference(node.at("path"), path)
            return self._data(node) if path is not None else as_scalar(value.get("value"))
        if isinstance(value, list):
            node.error("wrong_type", "must be a literal, an expression, or a mapping with type and path")
            return None
        _check_finite(node)
        if not isinstance(value, str) or "${{" not in value:
            return value
        return (None if is_expression(value) else input_text(value)) or _reference(node, value)


def _check_finite(node: YamlNode) -> None:
    if isinstance(node.value, float) and not math.isfinite(node.value):
        node.error("wrong_type", "must be a finite number", refused_by=CLIENT)


def _boolean_inputs(nodes: Mapping[str, Node], ports: Mapping[str, InputPort]) -> set[FieldPath]:
    """Fields of inputs of type boolean: of jobs, of the pipeline, and of the pipeline bound to one of a job."""
    fields: set[FieldPath] = {("inputs", name, "default") for name, port in ports.items() if port.type == "boolean"}
    for node in nodes.values():
        for name, port in node.component.inputs.items() if node.component.kind != "sweep" else ():
            if port.type == "boolean" and node.component.ports_known:
                value = node.inputs.get(name)
                fields.add(("jobs", node.name, "inputs", name))
                fields |= {("inputs", value.name)} if isinstance(value, PipelineInput) else set()
    return fields


def _variable(node: YamlNode) -> str:
    """The text of an environment variable. The client sends a list or a mapping as Python writes it."""
    if isinstance(node.value, (Mapping, list)):
        node.warning(
            "wrong_type", f"Azure ML gives the command the text {str(node.value)!r}", "write a text", value=None
        )
    return "" if node.value is None else str(node.value)


def _real_path(path: Path) -> str:
    """The path without `..` and links of its folder, to which a component's own paths are relative.

    It is unchanged where it contains NUL, which no file name does.
    """
    return str(path) if "\0" in str(path) else os.path.join(os.path.realpath(path.parent), path.name)


def _check_node_fields(job: YamlNode, kind: str) -> None:
    has_component = bool(job.value.get("component"))
    if kind == "command" and has_component:
        job.check_fields(_COMMAND_FIELDS)
    if kind == "parallel" and has_component:
        job.check_fields(PARALLEL_FIELDS)
    for name in _IGNORED_FIELDS.get(kind, ()) if job.field else ():
        if job.value.get(name) is not None and (has_component or kind != "command"):
            message = f"Azure ML ignores this field of a {kind} job{' with a component' * has_component}"
            job.at(name).warning("ignored_field", message, "remove it", value=None)
    if kind in _CHECKED_TYPES:
        check_node(job, kind)
    if kind == "import":
        job.at("type").error("invalid_choice", "azure-ai-ml 1.35 fails on jobs of this type", refused_by=CLIENT)
    if kind in _CONTROL_FLOW:
        message = "Azure ML accepts this type of job in a private preview only"
        job.at("type").error("invalid_choice", message, scope="azure")
    check_run_settings(job)


def _reference(node: YamlNode, text: str) -> Value | None:
    target = reference(text)
    if target is None or isinstance(target, PipelineOutput):
        message = "must be one ${{parent.jobs.NODE.outputs.NAME}}, or text with ${{parent.inputs.NAME}} only"
        node.error("invalid_reference", message)
        return None
    return target


@cache
def _default_setting(type: str) -> OutputSetting:
    """The setting of an output that a job does not set. A thousand jobs may have a component with thousands."""
    return OutputSetting(type)


def _output_setting(node: YamlNode, type: str) -> OutputSetting:
    fields = node.value if isinstance(node.value, Mapping) else {}
    path = fields.get("path")
    if path is not None and is_expression(str(path)):
        path = None
    mode = fields.get("mode")
    return OutputSetting(lower(fields.get("type"), type), mode and lower(mode, ""), path and str(path))


def _promoted_types(job: YamlNode, pipeline_outputs: Mapping[str, OutputSetting]) -> dict[str, str]:
    """Types of the outputs that a job without a component only binds: those of the pipeline's outputs."""
    outputs = job.at("outputs").entries()
    bound = {name: _promotion(output) for name, output in outputs if isinstance(output.value, str)}
    types = {name: pipeline_outputs[to.name].type for name, to in bound.items() if to and to.name in pipeline_outputs}
    return {name: type for name, type in types.items() if type != ANY}


def _promotion(node: YamlNode) -> PipelineOutput | None:
    """The pipeline output that a job's output is bound to, None where it is not."""
    text = node.value.get("path") if isinstance(node.value, Mapping) else node.value
    if not isinstance(text, str) or (isinstance(node.value, Mapping) and not is_expression(text)):
        return None
    target = reference(text)
    if not isinstance(target, PipelineOutput):
        message = "must be ${{parent.outputs.NAME}}, or a mapping with mode and path"
        node.error("invalid_reference", message, value=text)
        return None
    return target
