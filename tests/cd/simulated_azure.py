"""A small Azure behind the recording `az`: jobs with outputs, models of a workspace, a registry, a resource group."""

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azdistill.registry.lineage import DIGEST_TAG
from tests.cd.az_reference import command_of
from tests.cd.recording_az import Reply, answer, failure

NOT_FOUND = failure("(UserError) The specified resource was not found.", 3)
DIGEST = "a" * 64


def gate(decision: str) -> dict[str, Any]:
    """Content of gate.json with one gate."""
    result = {"name": "min_gain", "bound": 0.1, "value": 0.3, "low": 0.2, "high": 0.4, "outcome": decision}
    return {"decision": decision, "enforced": True, "register": decision == "passed", "gates": [result]}


def lineage(model: str = "student", version: int = 3, digest: str = DIGEST) -> dict[str, Any]:
    """Content of lineage.json, as far as it is read."""
    return {
        "registered_model": model,
        "version": version,
        "model_digest": digest,
        "completions_manifest": "b" * 64,
        "teacher": "DeepSeek-V3.2",
        "gate": gate("passed"),
    }


REPORT = """\
# small

**The student passed its gates.**

- Is it better? **Yes** gain 0.3

## Teacher, baseline, student

| | teacher | baseline | student |
|---|---|---|---|
| accuracy | 96% | 10% | 92% |

## Gates

| gate | required | measured | outcome |
|---|---|---|---|
| min_gain | 0.1 | 0.3 | passed |

## Slices

| slice | rows |
|---|---|
| all | 9 |
"""


@dataclass
class SimulatedJob:
    """A job. Each `show` moves it to the next status of its script; the last one stays."""

    script: list[str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return self.script[0]

    def next_status(self) -> str:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def outputs_of(decision: str | None, registered: Mapping[str, Any] | None = None) -> dict[str, dict[str, str]]:
    """Outputs of a job whose gates decided so. None: it ended before its evaluation."""
    if decision is None:
        return {}
    outputs = {"evaluation": {"gate.json": json.dumps(gate(decision))}, "report": {"report.md": REPORT}}
    if decision == "passed":
        outputs["registration"] = {"lineage.json": json.dumps(registered or lineage())}
    return outputs


class SimulatedAzure:
    """The handler of the recording `az`.

    `script` and `outputs` are those of the next jobs. `models` are tags by name and version. `changes` are the results
    of the next what-ifs, the last one stays. `before_share`: two shares wait for each other.
    """

    def __init__(self) -> None:
        self.script, self.outputs = ["Queued", "Running", "Completed"], outputs_of("passed")
        self.jobs: dict[str, SimulatedJob] = {}
        self.models: dict[tuple[str, str], dict[str, str]] = {("student", "3"): {DIGEST_TAG: DIGEST}}
        self.registry: dict[tuple[str, str], dict[str, str]] = {}
        self.changes: list[list[dict[str, str]]] = [[]]
        self.deployments = 0
        self.extension: str | None = None
        self.logins: list[str] = []
        self.before_share: threading.Barrier | None = None
        self._lock = threading.Lock()

    def __call__(self, arguments: Sequence[str]) -> Reply:
        command = command_of(arguments)
        assert command is not None
        options = options_of(arguments[len(command.name.split()) :])
        method = getattr(self, "_" + command.name.replace(" ", "_").replace("-", "_"))
        if command.name == "ml model share" and self.before_share:
            self.before_share.wait(timeout=60)
        with self._lock:
            reply: Reply = method(options)
        return reply

    def _config_set(self, _: Mapping[str, list[str]]) -> Reply:
        return Reply()

    def _extension_show(self, _: Mapping[str, list[str]]) -> Reply:
        if self.extension is None:
            return failure(
                "The extension ml is not installed. Please install the extension via `az extension add -n ml`."
            )
        return answer({"name": "ml", "version": self.extension})

    def _extension_remove(self, _: Mapping[str, list[str]]) -> Reply:
        self.extension = None
        return Reply()

    def _extension_add(self, options: Mapping[str, list[str]]) -> Reply:
        self.extension = options["--version"][0]
        return Reply()

    def _login(self, options: Mapping[str, list[str]]) -> Reply:
        self.logins.append(options["--federated-token"][0])
        return answer([{"id": "s", "user": {"name": options["--username"][0]}}])

    def _account_set(self, _: Mapping[str, list[str]]) -> Reply:
        return Reply()

    def _account_get_access_token(self, _: Mapping[str, list[str]]) -> Reply:
        return answer({"accessToken": f"access-token-{uuid.uuid4()}", "expiresOn": "2026-11-29 13:00:00"})

    def _bicep_build(self, _: Mapping[str, list[str]]) -> Reply:
        return answer({"$schema": "template", "resources": []})

    def _bicep_build_params(self, _: Mapping[str, list[str]]) -> Reply:
        return answer({"parametersJson": "{}"})

    def _deployment_group_what_if(self, _: Mapping[str, list[str]]) -> Reply:
        return answer({"status": "Succeeded", "changes": self.changes.pop(0) if self.changes[1:] else self.changes[0]})

    def _deployment_group_create(self, _: Mapping[str, list[str]]) -> Reply:
        self.deployments += 1
        return answer({"properties": {"provisioningState": "Succeeded"}})

    def _ml_job_create(self, options: Mapping[str, list[str]]) -> Reply:
        name = options["--name"][0]
        if name in self.jobs:
            return failure(f"(UserError) A job with this name already exists: {name}")
        inputs = dict(pair.split("=", 1) for pair in options.get("--set", []))
        self.jobs[name] = SimulatedJob(list(self.script), dict(self.outputs), inputs)
        return answer({"name": name, "status": self.jobs[name].status})

    def _ml_job_show(self, options: Mapping[str, list[str]]) -> Reply:
        job = self.jobs.get(options["--name"][0])
        if job is None:
            return NOT_FOUND
        services = {"Studio": {"endpoint": f"https://ml.azure.com/runs/{options['--name'][0]}"}}
        return answer({"name": options["--name"][0], "status": job.next_status(), "services": services})

    def _ml_job_cancel(self, options: Mapping[str, list[str]]) -> Reply:
        job = self.jobs.get(options["--name"][0])
        if job is None:
            return NOT_FOUND
        job.script = ["Canceled"]
        return Reply()

    def _ml_job_download(self, options: Mapping[str, list[str]]) -> Reply:
        output = options["--output-name"][0]
        files = self.jobs[options["--name"][0]].outputs.get(output)
        if files is None:
            return failure(f"(UserError) The output {output} of the job has no files.")
        folder = Path(options["--download-path"][0], "named-outputs", output)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        return Reply()

    def _ml_job_list(self, options: Mapping[str, list[str]]) -> Reply:
        parent = options["--parent-job-name"][0]
        children = {name: job for name, job in self.jobs.items() if name.startswith(f"{parent}.")}
        return answer([{"name": name, "display_name": name.rpartition(".")[2]} for name in children])

    def _ml_model_show(self, options: Mapping[str, list[str]]) -> Reply:
        models = self.registry if "--registry-name" in options else self.models
        name, version = options["--name"][0], options["--version"][0]
        if (name, version) not in models:
            return NOT_FOUND
        return answer({"name": name, "version": version, "tags": models[name, version]})

    def _ml_model_share(self, options: Mapping[str, list[str]]) -> Reply:
        source = (options["--name"][0], options["--version"][0])
        target = (options["--share-with-name"][0], options["--share-with-version"][0])
        if source not in self.models:
            return NOT_FOUND
        if target in self.registry:
            return failure("A model with this name and version already exists in registry")
        self.registry[target] = {}
        return answer({"name": target[0], "version": target[1]})

    def _ml_model_update(self, options: Mapping[str, list[str]]) -> Reply:
        tags = dict(pair.removeprefix("tags.").split("=", 1) for pair in options["--set"])
        self.registry[options["--name"][0], options["--version"][0]].update(tags)
        return answer({})


def options_of(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Values of each option."""
    options: dict[str, list[str]] = {}
    values: list[str] = []
    for argument in arguments:
        if argument.startswith("--"):
            values = options.setdefault(argument, [])
        else:
            values.append(argument)
    return options
