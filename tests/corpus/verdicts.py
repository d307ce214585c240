"""Verdicts of azure-ai-ml and of azdistill on the files of `tests/corpus`.

`python -m tests.corpus.verdicts` writes `verdicts.json`: the fields of each file that azure-ai-ml refuses, with its
message. A file that it accepts has none. Files in `tests/corpus/shared` are used by the others and have no verdict.

The client reads a file without the service, and does not open the files that a job uploads. A comment in a file of the
corpus says what is refused later, with the documentation of the service, or the module of the client:
`# refused later by the AUTHORITY: FIELD: REASON (SOURCE)`. An authority is the client (when it submits the job), the
service, or the engine, for what cannot run on this machine.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import yaml

from azdistill.azure.offline import sdk_problems
from azdistill.cli.paths import pipeline_file
from azdistill.cli.workspace import quiet_sdk, suppress_output
from azdistill.contracts.errors import InputError, PipelineError
from azdistill.contracts.problems import Problem, dotted
from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.pipeline.kinds import OtherKind, kind_of
from azdistill.engine.problems import Authority
from azdistill.engine.yaml_document import AZURE_YAML, read_document

CORPUS = Path(__file__).parent
VERDICTS = CORPUS / "verdicts.json"
FILES = tuple(
    str(path.relative_to(CORPUS))
    for path in sorted(CORPUS.rglob("*.y*ml"))
    if path.relative_to(CORPUS).parts[0] != "shared"
)

# Where the client's code failed.
_SOURCE = re.compile(r' from File ".*', re.DOTALL)
# Characters that are kept of a message that azdistill has shortened.
_SHORTENED = 120
_REFUSED_LATER = re.compile(r"^# refused later by the (client|service|engine): ([\w.$-]*): (.+)$", re.MULTILINE)

# Fields that the client refuses, with a message.
Refused = Mapping[str, str]


class Refusal(NamedTuple):
    """A field of a file that is refused."""

    authority: Authority
    field: str
    reason: str


class Verdict(NamedTuple):
    """azdistill's verdict on a file: its kind, the command of Azure ML for a kind that only Azure ML reads, and the
    problems of the other kinds."""

    kind: str
    command: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


def verdict(name: str) -> Verdict:
    """The verdict of `azdistill validate`."""
    path = CORPUS / name
    try:
        kind = kind_of(read_document(path, InputError, "file", AZURE_YAML).value)
    except InputError:
        kind = None
    try:
        file = pipeline_file(path)
    except InputError as error:
        command = kind.command if isinstance(kind, OtherKind) else ""
        return Verdict(str(kind or "not readable"), command, () if command else error.problems)
    if file is None:
        problem = Problem(code="other_kind", message="is taken for a distillation job", file=path)
        return Verdict("distillation job", problems=(problem,))
    return Verdict(str(kind or "not readable"), problems=tuple(validate_file(file)))


def client_verdict(name: str) -> Refused:
    """The fields that azure-ai-ml refuses when it loads and validates a file; none of a file that it accepts."""
    path = CORPUS / name
    kind = verdict(name)
    with quiet_sdk(), suppress_output():
        if kind.command and kind.command != "az ml job create":
            return _loaded(path, *_entities(kind.command))
        try:
            messages = {dotted(problem.field): _portable(problem.message) for problem in sdk_problems(path)}
            return dict(sorted(messages.items()))
        except PipelineError:  # azdistill cannot read it as YAML
            return _loaded(path, "job")


def _entities(command: str) -> list[str]:
    """The client's entities of the files that a command takes."""
    entity = command.split()[2].replace("-", "_")
    return (
        ["model_batch_deployment", "pipeline_component_batch_deployment"] if entity == "batch_deployment" else [entity]
    )


def _loaded(path: Path, entity: str, *others: str) -> Refused:
    """The client's error for a file that is none of some entities."""
    from azure.ai.ml.entities import _load_functions
    from azure.ai.ml.exceptions import MlException

    try:
        getattr(_load_functions, f"load_{entity}")(path)
    except Exception as error:  # the client raises errors of any type for values that it does not expect
        message = str(error) if isinstance(error, MlException) else ""  # others depend on the depth of the stack
        refused = {"": _portable(f"{type(error).__name__}: {message}")}
        return _loaded(path, *others) if others else refused
    return {}


def _portable(message: str) -> str:
    """A message in one line, without the paths of this machine. Of a job that is none of several types the client has
    the fields of each, in another order each time."""
    if "{'" in message:
        return "is none of the types that can be here"
    text = _SOURCE.sub("", message.replace(f"{CORPUS}/", "").replace(str(CORPUS), ".").removesuffix("(azure-ai-ml)"))
    text = " ".join(text.split())
    # A shortened message has fewer words where the path of the corpus is longer.
    return f"{text[:_SHORTENED]}..." if text.endswith("...") else text


def refused_later(name: str) -> list[Refusal]:
    """Refusals after the client has read the file, by its comments."""
    text = (CORPUS / name).read_bytes().decode("utf-8", "replace")
    return [Refusal(cast(Authority, match[1]), match[2], match[3]) for match in _REFUSED_LATER.finditer(text)]


class Comparison(NamedTuple):
    """azdistill's verdict on a file against that of azure-ai-ml and of what is refused later, one text for each
    disagreement.

    False alarm: an error in a file that is accepted. Miss: no error in a file that is refused. Contradiction: both
    refuse the file, but at unrelated fields, or azdistill says that the client refuses what it accepts, or that Azure
    ML ignores what it refuses.
    """

    kind: str
    false_alarms: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


def compare(name: str, verdict: Verdict, client: Refused) -> Comparison:
    """Compare the verdict of azdistill on a file with the fields that the client refuses."""
    if verdict.command:  # azdistill only names the command that takes the file
        wrong = [f"contradiction: {name}: {verdict.command} refuses it: {text}" for text in client.values()]
        return Comparison(verdict.kind, contradictions=() if name.startswith("wrong/") else tuple(wrong))
    refusals = [
        Refusal("client", _as_json(field.split(".") if field else ()), why) for field, why in client.items()
    ] + refused_later(name)
    if verdict.errors and not refusals:
        return Comparison(verdict.kind, false_alarms=tuple(f"false alarm: {error}" for error in verdict.errors))
    if refusals and not verdict.errors:
        misses = [f"miss: {name}: {refusal.field}: {refusal.reason}" for refusal in refusals]
        return Comparison(verdict.kind, misses=tuple(misses))
    return Comparison(
        verdict.kind,
        contradictions=tuple(f"contradiction: {text}" for text in _contradictions(name, verdict, refusals)),
    )


def _contradictions(name: str, verdict: Verdict, refusals: list["Refusal"]) -> Iterator[str]:
    errors = [(problem, _field(name, problem)) for problem in verdict.errors]
    for problem, field in errors:
        others = {refusal.authority for refusal in refusals if _related(field, refusal.field)}
        if not others:
            yield f"{problem}, but only other fields are refused"
        elif "client" in problem.refused_by and "client" not in others:
            yield f"{problem}, but the client accepts it"
    for _, refused, reason in refusals:
        if not any(_related(field, refused) for _, field in errors):
            yield f"{name}: no error at {refused}: {reason}"
    refused_by_client = {refusal.field for refusal in refusals if refusal.authority == "client"}
    for problem in verdict.problems:
        if (
            problem.severity == "warning"
            and "ignores" in problem.message
            and _field(name, problem) in refused_by_client
        ):
            yield f"{problem}, but the client refuses it"


def _field(name: str, problem: Problem) -> str:
    """The field of a problem of the file; empty for one in a file that it names, which the client has at another
    field. A wrong type is one of all fields next to it. The client has names that are not text as JSON."""
    if problem.file != CORPUS / name:
        return ""
    field = problem.field[:-1] if problem.field[-1:] == ("type",) else problem.field
    return _as_json(map(str, field))


def _as_json(field: Iterable[str]) -> str:
    names = [key if isinstance(value := yaml.safe_load(key), str) else json.dumps(value) for key in field]
    return ".".join(names)


def _related(field: str, other: str) -> bool:
    """True if a field contains the other one, or is the same. The client has errors at the job of a wrong field."""
    parts, others = field.split("."), other.split(".")
    shorter = min(len(parts), len(others)) if field and other else 0
    return parts[:shorter] == others[:shorter]


def client_version() -> str:
    from azure.ai.ml._version import VERSION

    return str(VERSION)


def recorded() -> Mapping[str, Refused]:
    """The recorded verdicts of azure-ai-ml by file."""
    files: Mapping[str, Refused] = json.loads(VERDICTS.read_text(encoding="utf-8"))["files"]
    return files


def verdicts_text() -> str:
    """Text of `verdicts.json`."""
    verdicts = {name: client_verdict(name) for name in FILES}
    return json.dumps({"azure-ai-ml": client_version(), "files": verdicts}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    VERDICTS.write_text(verdicts_text(), encoding="utf-8", newline="\n")
