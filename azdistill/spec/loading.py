"""Read a job file: YAML with positions, so that every finding names its line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from azdistill.contracts.errors import SpecError
from azdistill.contracts.findings import Place, findings
from azdistill.spec.job import DistillationJob
from azdistill.spec.paths import missing
from azdistill.spec.short import written


def load_job(path: Path | str) -> DistillationJob:
    """The job of a YAML file; its local paths are taken relative to the file.

    Raises SpecError, one line a finding: `job.yaml:12: training.learning_rate=0.2: ...`.
    """
    path = Path(path)
    document = read_yaml(path)
    try:
        job = DistillationJob.model_validate(_plain(document), context={"base": path.parent})
    except ValidationError as problem:
        raise SpecError(_report(path, document, findings(problem))) from None
    if absent := list(missing(job)):
        raise SpecError(_report(path, document, absent))
    return job


def read_yaml(path: Path) -> CommentedMap:
    """The mapping in a YAML 1.2 file, with positions. Raises SpecError with the line of what is wrong."""
    try:
        document = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SpecError(f"{path}: {problem.strerror}; name a job file (YAML)") from None
    except UnicodeDecodeError as problem:
        raise SpecError(f"{path}: not UTF-8 at byte {problem.start}; save it as UTF-8") from None
    except MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise SpecError(f"{path}:{line}: not YAML ({problem.problem})") from None
    except YAMLError as problem:
        raise SpecError(f"{path}: not YAML ({str(problem).splitlines()[0]})") from None
    if not isinstance(document, CommentedMap):
        raise SpecError(f"{path}: holds no mapping of fields; start with task: and data:")
    return document


def _report(path: Path, document: CommentedMap, found: Iterable[tuple[Place, str]]) -> str:
    lines = sorted((_line(document, place), sentence) for place, sentence in found)
    return "\n".join(f"{path}:{line}: {sentence}" for line, sentence in lines)


def _line(document: CommentedMap, place: Place) -> int:
    """1-based line of the deepest part of `place` that the file holds."""
    return max(_descend(document, option) for option in (place, *written(place)))


def _descend(node: Any, place: Place) -> int:
    line: int = node.lc.line + 1
    for part in place:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            break
        node = node[part]
    return line


def _plain(node: Any) -> Any:
    """Plain dicts, lists and scalars, without ruamel's own types."""
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
