"""Write a plan as a bundle: the folder that the local engine, the SDK and `az ml` all consume.

::

    DIR/pipeline.yml                    the pipeline, written last
    DIR/components/<step>/component.yml, code/azdistill/...
    DIR/environments/<name>/            dependencies only
    DIR/inputs/                         the job's local files, and nested settings as JSON

The same job gives the same bytes from any directory and at any time.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import InputError, SpecError
from azdistill.contracts.files import write_text
from azdistill.contracts.layout import BUNDLE, CODE, COMPONENT_FILE, COMPONENTS, ENVIRONMENTS, INPUTS, PIPELINE_FILE
from azdistill.contracts.step import EnvironmentName, PortType, Step
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.job.assets import asset
from azdistill.job.components import component, step_of
from azdistill.job.graph import PUBLISHED
from azdistill.job.judge_section import judge_file_problems
from azdistill.job.model import DistillationJob
from azdistill.job.paths import files_of, is_remote, missing_files
from azdistill.job.plan import Plan, PlannedFile, PlannedNode, Text, plan
from azdistill.job.run_settings import compute_address, run_settings
from azdistill.job.sections import ComputeSection, Identity
from azdistill.job.snapshot import ROOT, closure
from azdistill.job.task import metric_file_problems, task_file_problems

SCHEMA = "https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json"

# Content of a file of the bundle: text, or the bytes of another file.
Content = str | Path

# Bytes from which on a file is linked.
LEAST_LINKED = 1_000_000


def compile_job(job: DistillationJob, folder: Path | str, *, link: bool = False) -> Path:
    """Write the bundle of `job` into `folder`, and return the path of its pipeline.yml.

    Only changed files are written. With `link`, large files are hard links where the file system has them, so that the
    bundles of many runs contain a student once. Raises SpecError for local files that don't exist, and InputError when
    `folder` contains other files than a bundle.
    """
    folder = Path(folder)
    _check_files(job)
    _check_folder(folder)
    planned = plan(job)
    _synchronise(folder, dict(_files(planned)), to_yaml(pipeline_document(planned)), link)
    return folder / PIPELINE_FILE


def _check_files(job: DistillationJob) -> None:
    problems = [*missing_files(job), *task_file_problems(job.task), *metric_file_problems(job.metrics)]
    if problems := [*problems, *judge_file_problems(job.judge)]:
        raise SpecError(problems=problems)


def _check_folder(folder: Path) -> None:
    others = [path.name for path in folder.iterdir() if path.name not in BUNDLE] if folder.is_dir() else []
    if others or (folder.exists() and not folder.is_dir()):
        reason = f"contains {others[0]!r}" if others else "is a file"
        message = f"output folder {str(folder)!r} {reason}, so it is not a bundle"
        raise InputError(message, fix="name a new or empty folder")


def _synchronise(folder: Path, files: Mapping[str, Content], pipeline: str, link: bool) -> None:
    """Make `folder` contain exactly `files` and the pipeline.

    The pipeline is deleted first and written last, so an incomplete bundle has none. Only the pipeline is synced to
    disk, because a bundle can be compiled again at any time.
    """
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    stale = present - files.keys() - {PIPELINE_FILE}
    changed = [name for name, content in files.items() if not _same(folder / name, content)]
    if not stale and not changed and _same(folder / PIPELINE_FILE, pipeline):
        return
    (folder / PIPELINE_FILE).unlink(missing_ok=True)
    for name in stale:
        _remove(folder, name)
    for name in changed:
        write_content(folder / name, files[name], link=link)
    write_text(folder / PIPELINE_FILE, pipeline)


def _remove(folder: Path, name: str) -> None:
    """Delete a file, and the folders that are empty without it: a file of another bundle may have the name of one."""
    (folder / name).unlink()
    for parent in (folder / name).parents:
        if parent == folder or any(parent.iterdir()):
            return
        parent.rmdir()


def _same(path: Path, content: Content) -> bool:
    """True if a file has this content. As in rsync, a copy is the same when its size and modification time are."""
    if not path.is_file():
        return False
    if isinstance(content, str):
        return path.read_bytes() == content.encode()
    copy, source = path.stat(), content.stat()
    return (copy.st_size, copy.st_mtime_ns) == (source.st_size, source.st_mtime_ns)


def write_content(path: Path, content: Content, *, link: bool = False) -> None:
    """Write a file of a bundle, and its folder. `link`: a large file is a hard link if possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link to a file of others
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="\n")
    elif not (link and content.stat().st_size >= LEAST_LINKED and _linked(content, path)):
        shutil.copyfile(content, path)
        shutil.copystat(content, path)


def _linked(source: Path, path: Path) -> bool:
    """Create a hard link. False if `path` is on another file system, or the file system has none."""
    try:
        os.link(source.resolve(), path)
    except OSError:
        return False
    return True


def _files(planned: Plan) -> Iterator[tuple[str, Content]]:
    yield from step_files([node.step for node in planned.nodes])
    for name, file in planned.files.items():
        yield from _input_files(name, file)


def step_files(steps: Iterable[Step[Any]]) -> Iterator[tuple[str, Content]]:
    """Path and content of each file of the steps: their components with code, and the environments."""
    by_name = {step.name: step for step in steps}
    for step in by_name.values():
        yield from _component_files(step)
    for name in sorted({step.environment for step in by_name.values()}):
        yield from _folder_files(asset("environments") / name, f"{ENVIRONMENTS}/{name}")


def _component_files(step: Step[Any]) -> Iterator[tuple[str, Content]]:
    yield (
        f"{COMPONENTS}/{step.name}/{COMPONENT_FILE}",
        _component_text(step.qualified_name, step.environment, _types(step)),
    )
    for path in closure(step.module):
        yield f"{COMPONENTS}/{step.name}/{CODE}/{path.as_posix()}", ROOT / path


def _types(step: Step[Any]) -> tuple[tuple[str, PortType], ...]:
    return tuple((name, port.type) for name, port in step.inputs.items())


@cache
def _component_text(name: str, environment: EnvironmentName, types: tuple[tuple[str, PortType], ...]) -> str:
    """The component of a step, whose input ports have the `types` of the job's data."""
    step = step_of(name)
    inputs = {port: replace(step.inputs[port], type=type) for port, type in types}
    return to_yaml(component(replace(step, environment=environment, inputs=inputs), {"code": f"./{CODE}"}))


def _folder_files(source: Path, target: str) -> Iterator[tuple[str, Content]]:
    for path in files_of(source):
        yield f"{target}/{path.relative_to(source).as_posix()}", path


def _input_files(name: str, file: PlannedFile) -> Iterator[tuple[str, Content]]:
    if isinstance(file.content, Text):
        yield _input_path(name, file), file.content.text
    elif not isinstance(file.content, str):
        text = json.dumps(file.content, indent=2, sort_keys=True, ensure_ascii=False)
        yield _input_path(name, file), text + "\n"
    elif not is_remote(file.content):
        source = Path(file.content)
        yield from (
            _folder_files(source, _input_path(name, file)) if source.is_dir() else [(_input_path(name, file), source)]
        )


def _input_path(name: str, file: PlannedFile) -> str:
    """Path of an input in the bundle: named after the input, so that no local file name is in it."""
    if isinstance(file.content, Text):
        return f"{INPUTS}/{name}.txt"
    if not isinstance(file.content, str):
        return f"{INPUTS}/{name}.json"
    return f"{INPUTS}/{name}{Path(file.content).suffix if file.type == 'uri_file' else ''}"


def pipeline_document(planned: Plan) -> dict[str, Any]:
    """The pipeline.yml of a plan, in Azure ML's pipeline job schema."""
    job = planned.job
    tags = {"tags": dict(sorted(job.tags.items()))} if job.tags else {}
    return {
        "$schema": SCHEMA,
        "type": "pipeline",
        "display_name": job.name,
        "experiment_name": job.name,
        **({"description": job.description} if job.description else {}),
        **tags,
        "identity": _identity(job.compute),
        "settings": _settings(job.compute),
        "inputs": {name: _file_input(name, file) for name, file in planned.files.items()} | dict(planned.scalars),
        "outputs": {name: {"type": "uri_folder", "mode": "rw_mount"} for name in PUBLISHED},
        "jobs": {node.name: node_document(node, job.compute, tags) for node in planned.nodes},
    }


def _settings(compute: ComputeSection) -> dict[str, Any]:
    datastore = compute.default_datastore
    return {
        "default_compute": compute_address(compute.cpu),
        **({"default_datastore": f"azureml:{datastore}"} if datastore else {}),
        "continue_on_step_failure": True,
        **({"force_rerun": True} if compute.force_rerun else {}),
    }


def _file_input(name: str, file: PlannedFile) -> dict[str, Any]:
    remote = isinstance(file.content, str) and is_remote(file.content)
    return {"type": file.type, "path": file.content if remote else f"./{_input_path(name, file)}", "mode": "download"}


def node_document(node: PlannedNode, compute: ComputeSection, tags: Mapping[str, Any]) -> dict[str, Any]:
    """A node, with the tags of the job: Azure reports costs by node.

    A sweep node accepts neither an identity nor environment variables, and it limits the time of its trials.
    """
    component, settings = f"./{COMPONENTS}/{node.step.name}/{COMPONENT_FILE}", run_settings(node.step, compute)
    ports = {"inputs": dict(node.inputs), "outputs": dict(node.outputs)}
    if node.sweep:
        settings = {name: value for name, value in settings.items() if name not in ("environment_variables", "limits")}
        return {"type": "sweep", "trial": component, **tags, **settings, **ports, **node.sweep}
    identity = {"identity": _identity(compute)} if compute.identity != Identity() else {}
    return {"type": "command", "component": component, **tags, **identity, **settings, **ports}


def _identity(compute: ComputeSection) -> dict[str, str]:
    """The identity of the pipeline. Nodes get the same one unless it is the default: a node without its own gets no
    token of the user. Source: azure-sdk-for-python issue 30104."""
    return compute.identity.model_dump(exclude_none=True)
