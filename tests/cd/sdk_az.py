"""The `az ml` commands of the verbs, carried out by the real SDK: the ml extension is a thin layer over it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cd.az_reference import command_of
from tests.cd.recording_az import Reply, answer, failure
from tests.cd.simulated_azure import options_of

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace


class SdkAz:
    """The handler of the recording `az` with clients of the simulated workspace and a registry.

    `outputs` are the files of each output that the next jobs write, `node_outputs` those of outputs of their nodes, by
    (node, output).
    """

    def __init__(self, client: "MLClient", registry: "MLClient", workspace: "SimulatedWorkspace") -> None:
        self.client, self.registry, self.workspace = client, registry, workspace
        self.outputs: dict[str, dict[str, str]] = {}
        self.node_outputs: dict[tuple[str, str], dict[str, str]] = {}

    def __call__(self, arguments: Sequence[str]) -> Reply:
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        command = command_of(arguments)
        assert command is not None
        options = options_of(arguments[len(command.name.split()) :])
        try:
            return getattr(self, "_" + command.name.replace(" ", "_"))(options)  # type: ignore[no-any-return]
        except ResourceNotFoundError as error:
            return failure(f"(UserError) {error}", 3)
        except (HttpResponseError, MlException) as error:
            return failure(f"(UserError) {error}")

    def _ml_job_create(self, options: dict[str, list[str]]) -> Reply:
        from azure.ai.ml import load_job

        overrides = [{"name": options["--name"][0]}]
        overrides += [dict([pair.split("=", 1)]) for pair in options.get("--set", [])]
        job = self.client.jobs.create_or_update(load_job(options["--file"][0], params_override=overrides))
        for output, files in self.outputs.items():
            self.workspace.runs.output(job.name, output, files)
        for (node, output), files in self.node_outputs.items():
            self.workspace.runs.output(self.workspace.jobs[job.name].child(node).name, output, files)
        return answer(_as_json(job))

    def _ml_job_show(self, options: dict[str, list[str]]) -> Reply:
        return answer(_as_json(self.client.jobs.get(options["--name"][0])))

    def _ml_job_list(self, options: dict[str, list[str]]) -> Reply:
        children = self.client.jobs.list(parent_job_name=options["--parent-job-name"][0])
        return answer([{"name": child.name, "display_name": child.display_name} for child in children])

    def _ml_job_cancel(self, options: dict[str, list[str]]) -> Reply:
        self.client.jobs.begin_cancel(options["--name"][0]).result()
        return Reply()

    def _ml_job_download(self, options: dict[str, list[str]]) -> Reply:
        path, output = Path(options["--download-path"][0]), options["--output-name"][0]
        self.client.jobs.download(options["--name"][0], download_path=path, output_name=output)
        return Reply()

    def _ml_model_show(self, options: dict[str, list[str]]) -> Reply:
        client = self.registry if "--registry-name" in options else self.client
        model = client.models.get(options["--name"][0], version=options["--version"][0])
        return answer({"name": model.name, "version": model.version, "tags": model.tags})

    def _ml_model_share(self, options: dict[str, list[str]]) -> Reply:
        names = ("name", "version", "registry_name", "share_with_name", "share_with_version")
        self.client.models.share(**{name: options[f"--{name.replace('_', '-')}"][0] for name in names})
        return Reply()

    def _ml_model_update(self, options: dict[str, list[str]]) -> Reply:
        model = self.registry.models.get(options["--name"][0], version=options["--version"][0])
        model.tags.update(dict(pair.removeprefix("tags.").split("=", 1) for pair in options["--set"]))
        self.registry.models.create_or_update(model)
        return Reply()


def _as_json(job: Any) -> dict[str, Any]:
    """The fields of a job that the scripts read, as the extension prints them."""
    status = str(getattr(job.status, "value", job.status))
    text = json.dumps({"name": job.name, "status": status, "services": {"Studio": {"endpoint": job.studio_url}}})
    content: dict[str, Any] = json.loads(text)
    return content
