"""Command line of the verbs: `python -m scripts.cd VERB`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from azdistill.cli.problems import render_error
from azdistill.contracts.errors import AzdistillError, InputError
from scripts.cd import extension, infra, local, login, promote, summary, train
from scripts.cd.az import AzureCli
from scripts.cd.settings import Target

DESCRIPTION = """Deliver students with the Azure CLI: the verbs that the workflows of this repository run.

Each verb can be typed by hand, after `az login`. It waits with a bound, and a second run does nothing twice.
--dry-run prints the commands that a verb would run. Options that are not given come from the environment:
AZURE_RESOURCE_GROUP, AZURE_ML_WORKSPACE, AZURE_ML_REGISTRY, AZURE_SUBSCRIPTION_ID.

Exit codes: 0 done, 1 failed, 2 wrong input, 3 the gates refused the student, 4 gate.json cannot be read, 130
interrupted. Inconclusive gates are exit code 0 with the output gate=inconclusive, and are not promoted."""

RESULTS = Path("cd-results")
Verb = Callable[[argparse.Namespace, AzureCli], int | None]


def main() -> None:
    """Run a verb, and exit with its code."""
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            if arguments.dry_run:
                _hide_outputs(arguments, Path(temporary))
            sys.exit(arguments.verb(arguments, _azure_cli(arguments)) or 0)
    except AzdistillError as error:
        print(render_error(error).removeprefix("azdistill: "), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _hide_outputs(arguments: argparse.Namespace, temporary: Path) -> None:
    """A dry run leaves no outputs of the workflow and no results."""
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "TF_BUILD"):
        os.environ.pop(variable, None)
    if "results" in arguments:
        arguments.results = temporary


def _azure_cli(arguments: argparse.Namespace) -> AzureCli:
    can_log_in = login.can_log_in(os.environ)
    return AzureCli(arguments.dry_run, (lambda az: login.log_in(az, os.environ)) if can_log_in else None)


def target_of(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Target:
    """The workspace and registry that options and environment name."""

    def value(option: str, variable: str) -> str:
        return getattr(arguments, option, None) or environ.get(variable, "")

    return Target(
        value("group", "AZURE_RESOURCE_GROUP"),
        value("workspace", "AZURE_ML_WORKSPACE"),
        value("registry", "AZURE_ML_REGISTRY"),
        value("subscription", "AZURE_SUBSCRIPTION_ID"),
    )


def run_setup(arguments: argparse.Namespace, az: AzureCli) -> None:
    extension.set_up(az, arguments.version)


def run_login(_: argparse.Namespace, az: AzureCli) -> None:
    if login.can_log_in(os.environ) or az.dry_run:
        login.log_in(az, os.environ)
    login.fetch_tokens(az)


def run_infra(arguments: argparse.Namespace, az: AzureCli) -> None:
    deployment = infra.Deployment(
        arguments.template, arguments.parameters, arguments.name, arguments.allow_delete, arguments.preview
    )
    infra.deploy_infrastructure(az, target_of(arguments), deployment)


def run_publish(arguments: argparse.Namespace, az: AzureCli) -> int:
    registry = target_of(arguments).require("registry").registry
    return local.publish(az, arguments.job, registry, arguments.wait)


def run_train(arguments: argparse.Namespace, az: AzureCli) -> None:
    _train(arguments, az, arguments.set, "")


def run_redistil(arguments: argparse.Namespace, az: AzureCli) -> None:
    settings = [*arguments.set, *train.redistil_settings(arguments.baseline)]
    _train(arguments, az, settings, arguments.trigger_date)


def _train(arguments: argparse.Namespace, az: AzureCli, settings: list[str], label: str) -> None:
    bundle = train.compile_bundle(arguments.job, settings)
    inputs = dict(map(_read_pair, arguments.input))
    training = train.Training(
        bundle, arguments.minutes, arguments.poll, arguments.results, inputs, label, arguments.again
    )
    train.train(az, target_of(arguments), training)


def run_cancel(arguments: argparse.Namespace, az: AzureCli) -> None:
    train.cancel(az, target_of(arguments), arguments.results, arguments.job_name)


def run_summary(arguments: argparse.Namespace, _: AzureCli) -> None:
    _write(summary.summary(arguments.results), os.environ.get("GITHUB_STEP_SUMMARY"), append=True)


def run_comment(arguments: argparse.Namespace, _: AzureCli) -> None:
    _write(summary.comment(arguments.results), arguments.body, append=False)


def run_promote(arguments: argparse.Namespace, az: AzureCli) -> None:
    promotion = promote.Promotion(
        arguments.model, arguments.version, arguments.job_name, arguments.results, arguments.poll
    )
    promote.promote(az, target_of(arguments), promotion)


def run_deploy(arguments: argparse.Namespace, az: AzureCli) -> int:
    target = target_of(arguments)
    source = replace(
        target,
        group=arguments.source_group or os.environ.get("SOURCE_RESOURCE_GROUP") or target.group,
        workspace=arguments.source_workspace or os.environ.get("SOURCE_ML_WORKSPACE") or target.workspace,
    )
    rollout = local.Rollout(
        arguments.job, arguments.model, arguments.answers, source, arguments.options, arguments.renew
    )
    return local.deploy(az, target, rollout)


def _write(text: str, path: str | Path | None, *, append: bool) -> None:
    if path is None:
        print(text)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a" if append else "w", encoding="utf-8") as file:
        file.write(text)


def _read_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError("must be NAME=VALUE", subject=f"--input {text!r}", code="wrong_format")
    return name, value


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    top = argparse.ArgumentParser(
        "python -m scripts.cd", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = top.add_subparsers(required=True, metavar="VERB")
    add_setup_verbs(verbs)
    add_job_verbs(verbs)
    add_release_verbs(verbs)
    return top


def add_setup_verbs(verbs: Any) -> None:
    command = _add(verbs, "setup", run_setup, "install the pinned ml extension, and turn off dynamic installs")
    command.add_argument("--version", default=extension.ML_VERSION, help="default: %(default)s")
    _add(verbs, "login", run_login, "log in with the workflow's OIDC token if there is one, and fetch all tokens early")
    command = _add(verbs, "infra", run_infra, "compile, preview and deploy the infrastructure twice")
    command.add_argument("--template", type=Path, default=Path("infra/main.bicep"), help="default: %(default)s")
    command.add_argument("--parameters", type=Path, required=True, help="a .bicepparam file of an environment")
    command.add_argument("--name", default="azdistill", help="name of the deployment; default: %(default)s")
    command.add_argument("--preview", action="store_true", help="compile and preview only")
    command.add_argument("--allow-delete", action="store_true", help="deploy although resources are deleted")
    _add_target(command, "group", "subscription")


def add_job_verbs(verbs: Any) -> None:
    command = _add(verbs, "train", run_train, "submit a job once, wait for it, and read gate.json")
    _add_training(command)
    command = _add(verbs, "redistil", run_redistil, "train again for a date, against the registered student")
    _add_training(command)
    command.add_argument("--trigger-date", required=True, help="such as 2026-11-29: one job a date and content")
    command.add_argument("--baseline", default="", help="the student to beat: azureml:NAME:VERSION")
    command = _add(verbs, "cancel", run_cancel, "cancel the job of an interrupted train, if it has not ended")
    command.add_argument("--job-name", default="", help="default: that in the folder of results")
    _add_results(command)
    _add_target(command, "group", "workspace", "subscription")
    command = _add(verbs, "summary", run_summary, "write the report's first screen and gates to $GITHUB_STEP_SUMMARY")
    _add_results(command)
    command = _add(verbs, "comment", run_comment, "write the comment on a pull request")
    command.add_argument("--body", type=Path, help="file to write; default: standard output")
    _add_results(command)


def add_release_verbs(verbs: Any) -> None:
    command = _add(verbs, "publish", run_publish, "publish the components of a job in a registry")
    command.add_argument("--job", type=Path, required=True, help="job file or bundle")
    command.add_argument("--wait", type=float, default=local.PUBLISH_WAIT_S, help="seconds before another attempt")
    _add_target(command, "registry")
    command = _add(verbs, "promote", run_promote, "share a version that passed its gates with a registry")
    command.add_argument("--model", required=True, help="name of the registered model")
    command.add_argument("--version", required=True, help="its version: a number, not a label")
    command.add_argument("--job-name", required=True, help="name of the job that registered it")
    command.add_argument("--poll", type=float, default=promote.TAG_POLL_S, help="seconds between two looks")
    _add_results(command)
    _add_target(command, "group", "workspace", "registry", "subscription")
    command = _add(verbs, "deploy", run_deploy, "deploy a model to the endpoint of a job: `azdistill deploy`")
    command.add_argument("--job", type=Path, required=True, help="job file with a section deployment")
    command.add_argument("--model", required=True, help="azureml:NAME:VERSION, or the model's address in a registry")
    command.add_argument(
        "--renew", type=float, default=local.RENEW_LOGIN_S, help="seconds between two logins; default: %(default)s"
    )
    command.add_argument("--answers", default="", metavar="JOB", help="job whose answers the smoke test compares with")
    command.add_argument("--source-group", help="resource group of that job; default: $SOURCE_RESOURCE_GROUP")
    command.add_argument("--source-workspace", help="workspace of that job; default: $SOURCE_ML_WORKSPACE")
    _add_target(command, "group", "workspace", "subscription")
    command.add_argument("options", nargs="*", help="further options of `azdistill deploy`, after --")


def _add(verbs: Any, name: str, verb: Verb, about: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    command.set_defaults(verb=verb)
    command.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    return command


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--job", type=Path, required=True, help="job file or bundle")
    command.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="replace a field of the job")
    command.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="set a pipeline input")
    command.add_argument("--minutes", type=float, default=300, help="longest wait; then the job is cancelled")
    command.add_argument("--poll", type=float, default=30, help="seconds between two looks; default: %(default)s")
    command.add_argument("--again", action="store_true", help="submit again although the job has ended")
    _add_results(command)
    _add_target(command, "group", "workspace", "subscription")


def _add_results(command: argparse.ArgumentParser) -> None:
    command.add_argument("--results", type=Path, default=RESULTS, help="folder of the job's results: %(default)s")


def _add_target(command: argparse.ArgumentParser, *names: str) -> None:
    helps = {
        "group": "resource group",
        "workspace": "workspace",
        "registry": "registry",
        "subscription": "subscription",
    }
    for name in names:
        command.add_argument(f"--{name}", metavar="NAME", help=f"{helps[name]}; default: from the environment")


if __name__ == "__main__":
    main()
