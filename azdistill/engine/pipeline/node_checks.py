"""Checks of one node: what its inputs and outputs are bound to."""

import re
from collections.abc import Mapping

from azdistill.engine.pipeline.documents import ANY, Data, InputPort, Node, Pipeline
from azdistill.engine.pipeline.expressions import JobOutput, PipelineInput, names, reference, required_names
from azdistill.engine.pipeline.parallel import check_parallel
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.run_settings import check_gpus, check_processes
from azdistill.engine.pipeline.sweep_checks import check_sweep
from azdistill.engine.pipeline.types import fits, misfit, needs_quotes
from azdistill.engine.problems import suggest

_PORTS = ("inputs", "outputs", "component", "trial", "jobs", "search_space")
LOCAL_KINDS = frozenset({"command", "parallel", "pipeline", "sweep"})
"""What the local engine runs."""

_NODE_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class NodeCheck:
    """The checks of one node. `inside`: of a pipeline that is a node of another, which gives it its inputs."""

    def __init__(self, pipeline: Pipeline, node: Node, part: Part, inside: bool = False) -> None:
        self.pipeline, self.node, self.part, self.inside = pipeline, node, part, inside

    def run(self) -> None:
        if not _NODE_NAME.fullmatch(self.node.name):
            self.part.error("a node's name is lower case letters, digits and _, and begins with no digit", value=None)
        if self.node.component.kind not in LOCAL_KINDS:
            runs = ", ".join(sorted(LOCAL_KINDS))
            text = f"runs on Azure ML only; the local engine runs {runs} jobs"
            self.part.at("type").error(text, "local", value=self.node.component.kind)
        searched = check_sweep(self.part, self.node) if self.node.component.kind == "sweep" else set()
        self._inputs(searched)
        self._outputs()
        self._optional_names(searched)
        if self.node.component.kind != "command":
            self._references(self.part)
        else:
            check_processes(self.part, self.node.settings)
        check_parallel(self.part, self.node)
        check_gpus(self.part, self.node.settings)

    def _inputs(self, searched: set[str]) -> None:
        component = self.node.component
        for name, value in self.node.inputs.items():
            part = self.part.at("inputs", name)
            port = component.inputs.get(name, InputPort(ANY))
            if component.closed and name not in component.inputs:
                part.error(f"the component has no such input; {suggest(name, component.inputs)}", value=None)
            elif isinstance(value, PipelineInput):
                self._parent_input(part, port, value)
            elif isinstance(value, JobOutput):
                self._job_output(part, port, value)
            elif problem := misfit(port, value):
                part.error(problem, value=value.path if isinstance(value, Data) else value)
            elif needs_quotes(port, value):
                part.warning("the input is a string; put it in quotes")
        given = {name for name, part in self.part.at("inputs").entries() if part.value is not None}
        given |= self.node.inputs.keys()
        for name, port in component.inputs.items():
            if port.required and name not in given | searched:
                self.part.at("inputs", name).error("required, and not given")

    def _parent_input(self, part: Part, port: InputPort, value: PipelineInput) -> None:
        if value.name not in self.pipeline.inputs:
            part.error(f"the pipeline has no such input; {suggest(value.name, self.pipeline.inputs)}")
            return
        declared = self.pipeline.ports.get(value.name)
        if declared is not None and not fits(declared.type, port.type):
            part.error(f"inputs.{value.name} is of type {declared.type}, and the input of type {port.type}")
            return
        self._parent_value(part, port, value)

    def _parent_value(self, part: Part, port: InputPort, value: PipelineInput) -> None:
        given = self.pipeline.inputs[value.name]
        own = Part(part.document, part.found, ("inputs", value.name))
        field = f"jobs.{self.node.name}.inputs.{part.place[-1]}"
        if given is None:
            declared = self.pipeline.ports.get(value.name)
            if declared is not None and declared.optional and port.required:
                part.error(f"inputs.{value.name} is optional, and the input is not")
            elif port.required and not self.inside:
                own.error(f"{field} needs a value; --set inputs.{value.name}=VALUE gives it for one run", "local")
        elif isinstance(given, str) and "${{" in given:
            own.error(f"Azure ML fills it in; --set inputs.{value.name}=VALUE gives it for a run here", "local")
        elif problem := misfit(port, given):
            own.error(f"{problem} ({field})", value=given.path if isinstance(given, Data) else given)
        elif needs_quotes(port, given):
            own.warning(f"{field} is a string; put it in quotes", value=given)

    def _job_output(self, part: Part, port: InputPort, value: JobOutput) -> None:
        nodes = self.pipeline.nodes
        if value.node not in nodes:
            part.error(f"the pipeline has no job {value.node!r}; {suggest(value.node, nodes)}")
            return
        component = nodes[value.node].component
        if value.name not in component.outputs:
            if component.closed:
                part.error(f"jobs.{value.node} has no such output; {suggest(value.name, component.outputs)}")
            return
        kind = nodes[value.node].outputs[value.name].type
        if not fits(kind, port.type):
            part.error(f"that output is of type {kind}, and the input of type {port.type}")

    def _outputs(self) -> None:
        component = self.node.component
        for name, part in self.part.at("outputs").entries():
            if component.closed and name not in component.outputs:
                part.error(f"the component has no such output; {suggest(name, component.outputs)}", value=None)
        for name, target in self.node.promoted.items():
            part = self.part.at("outputs", name)
            if target not in self.pipeline.outputs:
                part.error(f"the pipeline has no such output; {suggest(target, self.pipeline.outputs)}")
            elif name in component.outputs and not fits(component.outputs[name], self.pipeline.outputs[target].type):
                kind = self.pipeline.outputs[target].type
                part.error(f"outputs.{target} is of type {kind}, and the component writes a {component.outputs[name]}")

    def _optional_names(self, searched: set[str]) -> None:
        """An optional input without a value leaves a hole in the command, unless it stands in `$[[ ]]`."""
        component = self.node.component
        required = set(required_names(component.command))
        given = self.node.inputs.keys() | searched
        for name, port in component.inputs.items():
            if f"inputs.{name}" in required and port.optional and port.default is None and name not in given:
                self.part.error(f"inputs.{name} is optional and has no value; put its flag into $[[ ]]", value=None)

    def _references(self, part: Part) -> None:
        """References outside of inputs and outputs: `input_data` of a parallel job, data of an automl job."""
        for name, inner in part.entries() if isinstance(part.value, Mapping) else ():
            if len(inner.place) > 3 or name not in _PORTS:
                self._references(inner)
        for name in names(part.value) if isinstance(part.value, str) else ():
            self._reference(part, name)

    def _reference(self, part: Part, name: str) -> None:
        whole, _, port = name.partition(".")
        ports = {"inputs": [*self.node.inputs, *self.node.component.inputs], "outputs": self.node.component.outputs}
        found = reference(f"${{{{{name}}}}}")
        if isinstance(found, PipelineInput) and found.name not in self.pipeline.inputs:
            part.error(f"the pipeline has no such input; {suggest(found.name, self.pipeline.inputs)}")
        elif isinstance(found, JobOutput):
            self._job_output(part, InputPort(ANY), found)
        elif whole in ports and self.node.component.closed and port not in ports[whole]:
            part.error(f"the job has no such {whole[:-1]}; {suggest(port, ports[whole])}")
