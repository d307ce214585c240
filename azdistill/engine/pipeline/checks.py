"""Static checks of a pipeline: problems are found before anything runs."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.authorities import CLIENT, SERVICE
from azdistill.engine.pipeline.labels import unsafe_path, unversioned_asset
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Data, Node, Pipeline
from azdistill.engine.pipeline.node_checks import NodeCheck
from azdistill.engine.pipeline.snapshots import MAX_CHECKED_FILES, MAX_REFUSALS, data_upload
from azdistill.engine.pipeline.yaml_node import YamlNode, has_unlisted_errors
from azdistill.engine.problems import SECRET_URL, Problem, can_be_forced

_NEED_COMPUTE = ("command", "sweep", "parallel")

# Identity a job runs as, its queue, and services to reach it: fields without effect in a local run.
_AZURE_ONLY = ("identity", "queue_settings", "services")


def validate_file(path: Path, change: Callable[[Pipeline], Pipeline] = lambda pipeline: pipeline) -> list[Problem]:
    """Find all that Azure ML would reject or ignore in a pipeline or component file, after a `change`, such as other
    values of its inputs, which may raise PipelineError.

    Never raises because of the file's content. What only the local engine cannot run, such as a registered component,
    is not a problem here.
    """
    try:
        pipeline = change(load_pipeline(path))
    except PipelineError as error:
        return list(error.problems)
    return [problem for problem in pipeline_problems(pipeline) if problem.scope != "local"]


def require_runnable(pipeline: Pipeline, force: bool = False) -> None:
    """Raise PipelineError with all problems that prevent a local run.

    What only Azure ML rejects, such as a missing compute, does not prevent it. `force`: neither does any other error
    that the engine itself does not refuse.
    """
    problems = pipeline_problems(pipeline)
    errors = [problem for problem in problems if problem.severity == "error" and problem.scope != "azure"]
    if errors := [problem for problem in errors if not (force and can_be_forced(problem))]:
        raise PipelineError(problems=errors)


def pipeline_problems(pipeline: Pipeline, nested: bool = False) -> list[Problem]:
    """All problems of a pipeline and of its components, ordered by file and line; its own file comes first.

    A `nested` pipeline is a node of another one, from which it gets its inputs.
    """
    problems = list(pipeline.problems)
    root = YamlNode(pipeline.document, problems)
    for node in pipeline.nodes.values():
        if has_unlisted_errors(problems):
            break
        NodeCheck(pipeline, node, root.at(*pipeline.field_of(node.name)), nested).run()
    components = {id(inner): inner for node in pipeline.nodes.values() if (inner := node.component.pipeline)}
    for inner in components.values():
        problems += [problem for problem in pipeline_problems(inner, nested=True) if problem not in problems]
    _check_files(pipeline, root)
    _check_cycles(pipeline.nodes, root)
    _check_writers(pipeline, root)
    _check_outputs(pipeline, root)
    _check_compute(pipeline, root)
    return sorted(
        problems, key=lambda problem: (problem.file != pipeline.path, str(problem.file), problem.line, problem.text)
    )


def azure_only(pipeline: Pipeline) -> list[Problem]:
    """Add at most one warning about the fields of a file that have no effect in a local run, at the first of them."""
    root = YamlNode(pipeline.document, [])
    owners = [root, *(root.at(*pipeline.field_of(name)) for name in pipeline.nodes if not pipeline.is_single)]
    ignored = [owner.at(name) for owner in owners for name in _AZURE_ONLY if owner.mapping().get(name) is not None]
    if not ignored:
        return []
    others = list(dict.fromkeys(str(node.field[-1]) for node in ignored))[1:]
    more = f", nor have {', '.join(others)}" if others else ""
    ignored[0].warning("ignored_field", f"has no effect in a local run{more}", scope="local", value=None)
    return root.problems


def execution_order(nodes: Mapping[str, Node]) -> list[str]:
    """Names of the nodes, each after the nodes that it reads from. Raises graphlib.CycleError."""
    graph = {name: sorted(node.upstream() & nodes.keys()) for name, node in nodes.items()}
    return list(TopologicalSorter(graph).static_order())


def _check_files(pipeline: Pipeline, root: YamlNode) -> None:
    # A job outside a pipeline has its inputs at the fields of those of its pipeline, which have the values.
    values = {
        (*pipeline.field_of(node.name), "inputs", name): value
        for node in pipeline.nodes.values()
        for name, value in node.inputs.items()
    } | {("inputs", name): value for name, value in pipeline.inputs.items()}
    uploads: dict[str, tuple[YamlNode, Data]] = {}
    for field, value in values.items():
        if isinstance(value, Data) and not value.is_remote and "${{" not in value.path:
            _check_file(root.at(*field), value)
            uploads.setdefault(str(value.local), (root.at(*field), value))
        elif isinstance(value, Data) and value.path.startswith("azureml://") and (reason := unsafe_path(value.path)):
            root.at(*field).error("unsafe_path", reason, "write the path without them", value=value.path)
        elif isinstance(value, Data) and (name := unversioned_asset(value.path)):
            message, fix = "Azure ML requires a version", f"write azureml:{name}:VERSION"
            root.at(*field).error("missing_version", message, fix, scope="azure", value=value.path)
        if isinstance(value, Data) and value.is_remote and SECRET_URL.search(value.path):
            message = "has a password or a parameter that authenticates, and everyone who sees the job can read it"
            fix = "create a datastore for it and write azureml://datastores/NAME/paths/..."
            root.at(*field).warning("secret_in_url", message, fix, value=None)
    for node, data in uploads.values():
        if os.path.isdir(data.local):
            _check_upload(node, data)


def _check_file(node: YamlNode, data: Data) -> None:
    if not os.path.exists(data.local):
        node.error("missing_file", f"no such file or folder in {str(data.base)!r}", value=data.path)
    elif data.type == "uri_file" and os.path.isdir(data.local):
        node.error("wrong_file_type", "is a folder, but the input is a uri_file", value=data.path)
    elif data.type in ("uri_folder", "mltable") and os.path.isfile(data.local):
        node.error("wrong_file_type", f"is a file, but the input is of type {data.type}", value=data.path)


def _check_upload(node: YamlNode, data: Data) -> None:
    """Report what Azure's client refuses or leaves out when it uploads a folder. A local run reads all files."""
    snapshot, ignored = data_upload(Path(data.local), MAX_CHECKED_FILES)
    for refusal in snapshot.refusals[:MAX_REFUSALS]:
        value = data.path if refusal.value is None else os.path.join(data.path, refusal.value)
        node.error(refusal.code, refusal.message, refusal.fix, value=value, scope="azure")
    if ignored and snapshot.files:
        files = repr(ignored[0]) if len(ignored) == 1 else f"{len(ignored):,} files such as {ignored[0]!r}"
        message = f"its ignore file leaves {files} out of the upload, and a local run reads all files"
        fix = "remove what the ignore file names, or its line there"
        node.warning("ignored_data", message, fix, value=data.path, scope="azure")


def _check_cycles(nodes: Mapping[str, Node], root: YamlNode) -> None:
    try:
        execution_order(nodes)
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        root.at("jobs", cycle[0]).error("cycle", f"jobs depend on each other in a cycle: {' -> '.join(cycle)}")


def _check_writers(pipeline: Pipeline, root: YamlNode) -> None:
    """Two jobs that write to the same path overwrite each other. A mounted output, such as a store, may be shared."""
    writers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for node in pipeline.nodes.values():
        for name, setting in node.outputs.items():
            target = f"outputs.{node.promoted[name]}" if name in node.promoted else setting.path
            target = target and target.replace("${{output_name}}", name)
            if target and (name in node.promoted or (setting.mode != "rw_mount" and "${{name}}" not in target)):
                writers[target.rstrip("/")].append((node.name, name))
    for target, ports in writers.items():
        first_node, first_output = ports[0]
        for node_name, name in ports[1:]:
            message = f"jobs.{first_node}.outputs.{first_output} writes to {target} too"
            output = root.at(*pipeline.field_of(node_name), "outputs", name)
            output.error("shared_output", message, "give each output its own path", value=None)


def _check_outputs(pipeline: Pipeline, root: YamlNode) -> None:
    written = {target for node in pipeline.nodes.values() for target in node.promoted.values()}
    for name in pipeline.outputs:
        if name not in written:
            root.at("outputs", name).warning("unused_output", "no job writes this output", value=None)


def _check_compute(pipeline: Pipeline, root: YamlNode) -> None:
    """A component uses the compute of the job that contains it, and a job outside a pipeline serverless compute."""
    settings = root.at("settings").value
    is_unknown = settings is not None and not isinstance(settings, Mapping)
    if pipeline.is_component or pipeline.is_single or pipeline.default_compute or is_unknown:
        return
    fix = "set it here or in settings.default_compute, for example to serverless"
    for node in pipeline.nodes.values():
        job = root.at("jobs", node.name)
        if _lacks_compute(node):
            compute = job.at("compute")  # the client accepts an empty text
            by = SERVICE if "" in (compute.value, root.at("compute").value) else CLIENT
            compute.error("missing_compute", "no compute is set", fix, scope="azure", refused_by=by)
        elif node.component.pipeline and (inner := list(_jobs_without_compute(node.component.pipeline))):
            more = f" and {len(inner) - 3} more" if len(inner) > 3 else ""
            message, fix_inner = f"no compute is set for {', '.join(inner[:3])}{more}", "set settings.default_compute"
            job.error("missing_compute", message, fix_inner, scope="azure", value=None)


def _lacks_compute(node: Node) -> bool:
    return node.component.kind in _NEED_COMPUTE and not node.settings.get("compute")


def _jobs_without_compute(pipeline: Pipeline) -> Iterator[str]:
    """Fields of the jobs of a pipeline component, and of those inside of it, that name no compute."""
    for node in pipeline.nodes.values():
        if _lacks_compute(node):
            yield f"jobs.{node.name}"
        if node.component.pipeline:
            yield from (f"jobs.{node.name}.{inner}" for inner in _jobs_without_compute(node.component.pipeline))
