"""Checks of one node: its name, its type, and what its inputs and outputs are bound to."""

import re
from collections.abc import Mapping
from typing import Any

from azdistill.engine.pipeline.authorities import CLIENT, CLIENT_AND_ENGINE, SERVICE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.expressions import InputText, JobOutput, PipelineInput, names, reference, required_names
from azdistill.engine.pipeline.model import ANY, Data, InputPort, Node, Pipeline
from azdistill.engine.pipeline.parallel import check_parallel
from azdistill.engine.pipeline.run_settings import check_gpus, check_processes, check_vm_size
from azdistill.engine.pipeline.sweep_checks import check_sweep
from azdistill.engine.pipeline.types import accepts_type, is_unlikely, is_unquoted, mismatch
from azdistill.engine.pipeline.yaml_node import YamlNode
from azdistill.engine.problems import dotted

# Types of jobs that the local engine runs.
LOCAL_TYPES = frozenset({"command", "parallel", "pipeline", "sweep"})

# Fields of a job whose references are checked elsewhere.
_CHECKED_FIELDS = ("inputs", "outputs", "component", "trial", "jobs", "search_space")
_NODE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,254}")

# Files in the folder of a node that the local engine writes.
_ENGINE_FILES = ("log.txt", "node.json", "trials.json")


class NodeCheck:
    """The checks of one node. `nested`: its pipeline is a node of another one, which gives the inputs their values."""

    def __init__(self, pipeline: Pipeline, node: Node, job: YamlNode, nested: bool = False) -> None:
        self.pipeline, self.node, self.job, self.nested = pipeline, node, job, nested
        self.component = node.component

    def run(self) -> None:
        if not _NODE_NAME.fullmatch(self.node.name):
            message = "node names have at most 255 lower case letters, digits and _, and do not start with a digit"
            is_too_long = _NODE_NAME.fullmatch(self.node.name[:255])
            self.job.error("invalid_name", message, refused_by=SERVICE_AND_ENGINE if is_too_long else CLIENT_AND_ENGINE)
        if self.component.kind not in LOCAL_TYPES:
            fix = f"it runs {', '.join(sorted(LOCAL_TYPES))} jobs"
            message = "the local engine does not run this type of job"
            self.job.at("type").error("unsupported_locally", message, fix, scope="local", value=self.component.kind)
        searched = check_sweep(self.job, self.node) if self.component.kind == "sweep" else set()
        self._check_inputs(searched)
        self._check_outputs()
        self._check_optional_inputs(searched)
        if self.component.kind == "command":
            check_processes(self.job, self.node.settings)
        else:
            self._check_references(self.job)
        check_parallel(self.job, self.node)
        check_gpus(self.job, self.node.settings)
        check_vm_size(self.job, self.node.settings, self.pipeline.default_compute)

    def _check_inputs(self, searched: set[str]) -> None:
        for name, value in self.node.inputs.items():
            node = self.job.at("inputs", name)
            port = self.component.inputs.get(name, InputPort(ANY, optional=True))
            if self.component.ports_known and name not in self.component.inputs:
                hint = node.suggest(name, self.component.inputs)
                message = "the component has no such input, so that Azure's client drops it"
                node.warning("unknown_input", message, hint, value=None)
            elif isinstance(value, PipelineInput):
                self._check_pipeline_input(node, port, value)
            elif isinstance(value, InputText):
                self._check_text(node, port, value)
            elif isinstance(value, JobOutput):
                self._check_job_output(node, port, value)
            elif reason := mismatch(port, value):
                node.error(*reason, value=value.path if isinstance(value, Data) else value, refused_by=SERVICE)
            elif isinstance(value, Data):
                _check_likely(node, port.type, value.type, value.path)
            elif is_unquoted(port, value):
                node.warning("unquoted_text", "is no text, but the input is a string", "put it in quotes")
        values = self.job.at("inputs").mapping()
        written = {name for name, value in values.items() if value is not None}
        provided = written | self.node.inputs.keys() | searched
        for name, port in self.component.inputs.items():
            if port.required and name not in provided:
                self.job.at("inputs", name).error("missing_input", "required input is missing", "give it a value")
            elif name in values and name not in written:
                message, fix = "Azure ML refuses an input without a value", "remove it or give it a value"
                self.job.at("inputs", name).error("missing_value", message, fix, scope="azure")

    def _check_pipeline_input(self, node: YamlNode, port: InputPort, value: PipelineInput) -> None:
        """An input bound to an input of the pipeline."""
        if value.name not in self.pipeline.inputs:
            hint = node.suggest(value.name, self.pipeline.inputs)
            node.error("unknown_input", "the pipeline has no such input", hint)
            return
        if "." in value.name and not self.job.value.get("component") and not self.pipeline.is_single:
            message = "azure-ai-ml finds an input with a dot in its name only for a job with a component"
            node.error("invalid_reference", message, "rename it", refused_by=CLIENT)
        declared = self.pipeline.ports.get(value.name)
        if declared is not None and not accepts_type(port.type, declared.type):
            message = f"inputs.{value.name} is of type {declared.type}, but this input is of type {port.type}"
            node.error("type_mismatch", message)
            return
        if declared is not None:
            _check_likely(node, port.type, declared.type)
        self._check_pipeline_value(node, port, value.name)

    def _check_text(self, node: YamlNode, port: InputPort, text: InputText) -> None:
        """Text with inputs of the pipeline, which must be literals."""
        if port.is_data:
            message = f"is text, but the input is of type {port.type}"
            node.error("type_mismatch", message, "write a mapping with type and path")
        first, last = str(node.value)[:9], str(node.value)[-2:]
        if (first, last) == ("${{parent", "}}") and not self.job.value.get("component"):
            message = "azure-ai-ml takes several expressions from the first to the last letter for a single one"
            node.error("invalid_reference", message, "put text before or after them", refused_by=CLIENT)
        for part in text.parts:
            if not isinstance(part, PipelineInput):
                continue
            declared = self.pipeline.ports.get(part.name, InputPort(ANY))
            if part.name not in self.pipeline.inputs:
                hint = node.suggest(part.name, self.pipeline.inputs)
                node.error("unknown_input", f"the pipeline has no input {part.name!r}", hint)
            elif declared.is_data or isinstance(self.pipeline.inputs[part.name], Data):
                node.error("type_mismatch", f"inputs.{part.name} is a file or folder, which text cannot contain")
            elif self.pipeline.inputs[part.name] is None and not self.nested:
                source = YamlNode(node.document, node.problems, ("inputs", part.name))
                fix = f"set it with --set inputs.{part.name}=VALUE"
                source.error("missing_value", f"{dotted(node.field)} requires a value", fix, scope="local")

    def _check_pipeline_value(self, node: YamlNode, port: InputPort, name: str) -> None:
        """The value of a pipeline input, against the node's input that it is bound to."""
        value, declared = self.pipeline.inputs[name], self.pipeline.ports.get(name)
        source = YamlNode(node.document, node.problems, ("inputs", name))
        target = f"jobs.{self.node.name}.inputs.{node.field[-1]}"
        if value is None:
            if declared is not None and declared.optional and port.required:
                node.error("optional_for_required", f"inputs.{name} is optional, but this input is required")
            elif port.required and not self.nested:
                fix = f"set it with --set inputs.{name}=VALUE"
                source.error("missing_value", f"{target} requires a value", fix, scope="local")
        elif isinstance(value, str) and "${{" in value:
            fix = f"set it with --set inputs.{name}=VALUE"
            source.error("unsupported_locally", "only Azure ML replaces this expression", fix, scope="local")
        elif reason := mismatch(port, value):
            message = f"{reason.message} ({target})"
            shown = value.path if isinstance(value, Data) else value
            source.error(reason.code, message, reason.fix, value=shown, refused_by=SERVICE)
        elif isinstance(value, Data):
            if declared is None or declared.type == port.type:
                _check_likely(source, port.type, value.type, value.path)
        elif is_unquoted(port, value):
            source.warning("unquoted_text", f"is no text, but {target} is a string", "put it in quotes", value=value)

    def _check_job_output(self, node: YamlNode, port: InputPort, value: JobOutput) -> None:
        """An input bound to an output of a job."""
        nodes = self.pipeline.nodes
        if value.node not in nodes:
            node.error("unknown_node", f"the pipeline has no job {value.node!r}", node.suggest(value.node, nodes))
            return
        component = nodes[value.node].component
        if value.name not in component.outputs:
            if component.ports_known:
                hint = node.suggest(value.name, component.outputs)
                node.error("unknown_output", f"jobs.{value.node} has no such output", hint)
            return
        type = nodes[value.node].outputs[value.name].type
        if not accepts_type(port.type, type):
            node.error("type_mismatch", f"the output is of type {type}, but the input is of type {port.type}")
        else:
            _check_likely(node, port.type, type)

    def _check_outputs(self) -> None:
        outputs = self.component.outputs
        for name, node in self.job.at("outputs").entries():
            if self.component.ports_known and name not in outputs:
                hint = node.suggest(name, outputs)
                node.error("unknown_output", "the component has no such output", hint, value=None)
        for name in set(outputs) & set(_ENGINE_FILES):
            message = f"the local engine uses the name {name!r} itself"
            self.job.error("unsupported_locally", message, "rename this output", scope="local", value=None)
        for name, target in self.node.promoted.items():
            node = self.job.at("outputs", name)
            if target not in self.pipeline.outputs:
                message = "the pipeline has no such output"
                node.error("unknown_output", message, node.suggest(target, self.pipeline.outputs))
                continue
            type = self.pipeline.outputs[target].type
            if name in outputs and not accepts_type(type, outputs[name]):
                message = f"outputs.{target} is of type {type}, but the component writes type {outputs[name]}"
                node.error("type_mismatch", message)
            elif name in outputs and is_unlikely(type, outputs[name]):
                message = f"outputs.{target} is of type {type}, but the component declares type {outputs[name]}"
                node.warning("type_mismatch", message)

    def _check_optional_inputs(self, searched: set[str]) -> None:
        """An optional input without a value must be inside `$[[ ]]` in the command, which is then removed."""
        required = required_names(self.component.command)
        provided = self.node.inputs.keys() | searched
        for name, port in self.component.inputs.items():
            if f"inputs.{name}" in required and port.optional and port.default is None and name not in provided:
                message = f"uses the optional inputs.{name}, which has no value"
                self.job.error("optional_for_required", message, "put its flag into $[[ ]]", value=None)

    def _check_references(self, node: YamlNode) -> None:
        """References outside of inputs and outputs: `input_data` of a parallel job, data of an automl job."""
        for name, inner in node.entries() if isinstance(node.value, Mapping) else ():
            if len(inner.field) > 3 or name not in _CHECKED_FIELDS:
                self._check_references(inner)
        for name in names(node.value) if isinstance(node.value, str) else ():
            self._check_reference(node, name)

    def _check_reference(self, node: YamlNode, name: str) -> None:
        group, _, port = name.partition(".")
        target = reference(f"${{{{{name}}}}}")
        if isinstance(target, PipelineInput) and target.name not in self.pipeline.inputs:
            message = "the pipeline has no such input"
            node.error("unknown_input", message, node.suggest(target.name, self.pipeline.inputs))
        elif isinstance(target, JobOutput):
            self._check_job_output(node, InputPort(ANY), target)
        elif self.component.ports_known and group in ("inputs", "outputs") and not self._has_port(group, port):
            kind = group.removesuffix("s")
            ports = [*self.node.inputs, *self.component.inputs] if kind == "input" else self.component.outputs
            node.error(f"unknown_{kind}", f"the job has no such {kind}", node.suggest(port, ports))

    def _has_port(self, group: str, name: str) -> bool:
        if group == "outputs":
            return name in self.component.outputs
        return name in self.node.inputs or name in self.component.inputs


def _check_likely(node: YamlNode, accepted: str, type: str, value: Any = None) -> None:
    """Warn about a file for a folder: Azure ML gives the command what the job has."""
    if is_unlikely(accepted, type):
        message = f"is of type {type}, but the input is of type {accepted}; Azure ML gives the command a {type}"
        node.warning("type_mismatch", message, value=node.value if value is None else value)
