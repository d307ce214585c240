"""Promote a student: share one version of a model, which passed its gates, from its workspace with a registry."""

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError, GateRefused, GateUnknown, InputError
from azdistill.registry.lineage import DIGEST_TAG
from scripts.cd.az import AzureCli
from scripts.cd.errors import AzFailed, AzNotFound, Conflict
from scripts.cd.results import Outcome, read_lineage, read_outcome, show_job
from scripts.cd.settings import Target, write_outputs

# Tags of the version in the registry. Their names have no dots, which `--set` reads as a path.
DIGEST, GATE, JOB, SOURCE, TEACHER, COMPLETIONS = (
    f"azdistill_{name}" for name in ("model_digest", "gate", "job", "source", "teacher", "completions_manifest")
)
VERSION = re.compile(r"[A-Za-z0-9._-]+")
# Another promotion sets its tags seconds after it has shared the model.
TAG_LOOKS, TAG_POLL_S = 5, 3.0
# The service copies the files of the model, which are gigabytes.
SHARE_TIMEOUT_S = 3000.0
REFUSED = (
    "check that the registry exists, that you have the role AzureML Registry User on it, and that this version was not "
    "deleted there: its number stays taken"
)


@dataclass(frozen=True)
class Promotion:
    """A version of a model in the workspace, and the job whose gates it passed."""

    model: str
    version: str
    job: str
    folder: Path
    poll_s: float = TAG_POLL_S


def promote(az: AzureCli, target: Target, promotion: Promotion) -> None:
    """Share the version under the same name and version, with its lineage as tags. Shared already: nothing is done.

    Raises GateRefused unless the gates passed, InputError if the job registered another version, Conflict if the
    registry has another model of that name and version.
    """
    target.require("group", "workspace", "registry")
    if promotion.version == "latest" or not VERSION.fullmatch(promotion.version):
        raise InputError("must be one version, not a label", subject=f"--version {promotion.version!r}", fix="name it")
    job = show_job(az, target, promotion.job)
    outcome = read_outcome(az, target, job, promotion.folder)
    _require_passed(outcome)
    tags = _tags(az, target, promotion)
    if _find_in_registry(az, target, promotion) is None:
        _share(az, target, promotion, tags)
    else:
        _require_same(az, target, promotion, tags)
        az.report(f"{_address(target, promotion)}: promoted already")
    if not az.dry_run:
        write_outputs({"model_uri": _address(target, promotion)})


def _address(target: Target, promotion: Promotion) -> str:
    return f"azureml://registries/{target.registry}/models/{promotion.model}/versions/{promotion.version}"


def _require_passed(outcome: Outcome) -> None:
    """Raise unless gate.json says that all gates passed, and there is a gate."""
    subject = f"job {outcome.job.name!r}"
    if outcome.gate is None:
        raise GateUnknown(f"gate.json cannot be read ({outcome.unread})", subject=subject)
    if outcome.decision != "passed":
        raise GateRefused(f"the gates are {outcome.decision}; only a student that passed is promoted", subject=subject)
    if not outcome.gate.gates:
        raise GateRefused(
            "it has no gates, so nothing was checked", subject=subject, fix="set evaluate.gates in the job"
        )


def _tags(az: AzureCli, target: Target, promotion: Promotion) -> dict[str, str]:
    """Lineage and gate of the version, from the job's lineage.json.

    Raises InputError where the job registered something else, or the workspace's version has other content.
    """
    lineage = _dry_lineage(promotion) if az.dry_run else read_lineage(promotion.folder)
    if lineage is None:
        raise DataError("the job has no lineage.json: it registered no student", subject=f"job {promotion.job!r}")
    registered = (str(lineage["registered_model"]), str(lineage["version"]))
    if registered != (promotion.model, promotion.version):
        raise InputError(
            f"the job registered {':'.join(registered)}",
            subject=f"model {promotion.model}:{promotion.version}",
            code="other_version",
            fix="name this version, or the job that registered yours",
        )
    options = ("--name", promotion.model, "--version", promotion.version)
    registered_model = az("ml", "model", "show", *options, *target.workspace_options, assume={})
    digest = str(lineage["model_digest"])
    if not az.dry_run and (registered_model.get("tags") or {}).get(DIGEST_TAG) != digest:
        raise InputError(
            f"its tag {DIGEST_TAG} is not the digest of the model that the job evaluated",
            subject=f"model {promotion.model}:{promotion.version}",
            code="other_content",
            fix="promote a version that a job of azdistill registered",
        )
    return {
        DIGEST: digest,
        GATE: str(lineage["gate"]["decision"]),
        JOB: promotion.job,
        SOURCE: f"{target.group}/{target.workspace}",
        TEACHER: str(lineage.get("teacher", "")),
        COMPLETIONS: str(lineage.get("completions_manifest", "")),
    }


def _dry_lineage(promotion: Promotion) -> dict[str, Any]:
    names = ("model_digest", "teacher", "completions_manifest")
    values = {name: name.upper() for name in names}
    return {"registered_model": promotion.model, "version": promotion.version, "gate": {"decision": "passed"}} | values


def _find_in_registry(az: AzureCli, target: Target, promotion: Promotion) -> Mapping[str, Any] | None:
    options = ("--name", promotion.model, "--version", promotion.version, "--registry-name", target.registry)
    try:
        model: Mapping[str, Any] = az("ml", "model", "show", *options)
    except AzNotFound:
        return None
    return model


def _share(az: AzureCli, target: Target, promotion: Promotion, tags: Mapping[str, str]) -> None:
    """Share and tag. If another promotion shared the version at the same moment, check that it is the same model."""
    options = ("--name", promotion.model, "--version", promotion.version, *target.workspace_options)
    destination = ("--registry-name", target.registry)
    copies = ("--share-with-name", promotion.model, "--share-with-version", promotion.version)
    try:
        az("ml", "model", "share", *options, *destination, *copies, timeout_s=SHARE_TIMEOUT_S)
    except AzFailed as error:
        if _find_in_registry(az, target, promotion) is None:
            problem = error.problems[0]
            fix = problem.fix or REFUSED
            raise AzFailed(problem.message, subject=_address(target, promotion), fix=fix) from None
        _require_same(az, target, promotion, tags)
        az.report(f"{_address(target, promotion)}: another promotion was first")
        return
    _set_tags(az, target, promotion, tags)
    az.report(f"{_address(target, promotion)}: promoted")


def _set_tags(az: AzureCli, target: Target, promotion: Promotion, tags: Mapping[str, str]) -> None:
    """Set the tags and read them back: the digest is what a later promotion recognises the version by."""
    reason = "they were not set"
    try:
        az(*_tag_command(target, promotion, tags))
        if az.dry_run or _digest_in_registry(az, target, promotion) == tags[DIGEST]:
            return
    except AzFailed as error:
        reason = str(error)
    raise AzFailed(
        f"the model is shared, but it has no tags ({reason})",
        subject=_address(target, promotion),
        fix="run",
        command=shlex.join(["az", *_tag_command(target, promotion, tags)]),
    )


def _tag_command(target: Target, promotion: Promotion, tags: Mapping[str, str]) -> list[str]:
    """`az ml model update` requires a resource group also where it updates a model of a registry."""
    options = ("--name", promotion.model, "--version", promotion.version, "--registry-name", target.registry)
    values = [option for name, value in tags.items() for option in ("--set", f"tags.{name}={value}")]
    return ["ml", "model", "update", *options, *target.group_options, "--force-string", *values]


def _require_same(az: AzureCli, target: Target, promotion: Promotion, tags: Mapping[str, str]) -> None:
    """Raise Conflict unless the registry's version has the digest of ours."""
    digest = _digest_in_registry(az, target, promotion)
    if digest != tags[DIGEST]:
        raise Conflict(
            f"the registry has it already, with {'other content' if digest else f'no tag {DIGEST}'}",
            subject=_address(target, promotion),
            fix="promote another version" if digest else "if it is the same model, tag it",
            command="" if digest else shlex.join(["az", *_tag_command(target, promotion, tags)]),
        )


def _digest_in_registry(az: AzureCli, target: Target, promotion: Promotion) -> str | None:
    """The digest that the version in the registry has as a tag. Waits for a promotion that is about to set it."""
    for look in range(TAG_LOOKS):
        if look:
            time.sleep(promotion.poll_s)
        present = (_find_in_registry(az, target, promotion) or {}).get("tags") or {}
        if digest := present.get(DIGEST) or present.get(DIGEST_TAG):
            return str(digest)
    return None
