"""Run commands of the Azure CLI: bounded in time, with a new login where the old one has expired."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from azdistill.azure.errors import in_one_line
from azdistill.contracts.errors import InputError
from scripts.cd.errors import AzFailed, AzNotFound, LoginExpired

AZ = "az"
COMMAND_TIMEOUT_S = 600.0
# A value that az reads from its standard input: a token is in no list of processes and in no log.
STDIN = "@-"

# Entra ID does not accept the OIDC token any more, or az has no login at all.
EXPIRED = re.compile(r"AADSTS700024|\baz login\b")
# `show` exits with 3 for a resource that does not exist (docs of the Azure CLI, "Error handling"); the ml extension
# also prints what the SDK raises. "is not installed": azure-cli 2.91.0 of an extension.
NOT_FOUND_EXIT_CODE = 3
NOT_FOUND = re.compile(
    r"not ?found|(could not|cannot|can't) find|does not exist|extension \w+ is not installed", re.IGNORECASE
)


@dataclass
class AzureCli:
    """Runs `az`. With `dry_run`, commands are printed and not run. `log_in` renews an expired login, if it can."""

    dry_run: bool = False
    log_in: "Callable[[AzureCli], None] | None" = None
    # True while logging in.
    logging_in: bool = False

    def report(self, text: str) -> None:
        """Print progress. A dry run makes none."""
        if not self.dry_run:
            print(text, flush=True)

    def __call__(
        self, *arguments: str, assume: Any = None, timeout_s: float = COMMAND_TIMEOUT_S, stdin: str = ""
    ) -> Any:
        """The JSON output of a command, None for no output. A dry run prints the command and returns `assume`.

        `stdin` is the value of the option whose argument is STDIN.

        Raises AzNotFound for a missing resource, AzFailed for any other failure, after one new login where it helps.
        """
        command = [AZ, *arguments, "--output", "json", "--only-show-errors"]
        if self.dry_run:
            print(shlex.join(command))
            return assume
        try:
            return _run(command, timeout_s, stdin)
        except LoginExpired:
            if self.log_in is None or self.logging_in:
                raise
            self.report("the login has expired: logging in again")
            self.logging_in = True
            try:
                self.log_in(self)
            finally:
                self.logging_in = False
            return _run(command, timeout_s, stdin)


def _run(command: Sequence[str], timeout_s: float, stdin: str) -> Any:
    subject = shlex.join(command[:-3])
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        raise InputError("the Azure CLI is not installed", subject=AZ, fix="https://aka.ms/azure-cli") from None
    except subprocess.TimeoutExpired:
        raise AzFailed(f"no answer within {timeout_s:g} seconds", subject=subject, fix="run the verb again") from None
    if done.returncode == 0:
        return _parse(done.stdout, subject)
    text = done.stderr.strip() or done.stdout.strip()
    message = in_one_line(text) or f"exit code {done.returncode}"
    if EXPIRED.search(text):
        raise LoginExpired(message, subject=subject, fix="log in again", command="az login")
    if done.returncode == NOT_FOUND_EXIT_CODE or NOT_FOUND.search(text):
        raise AzNotFound(message, subject=subject)
    raise AzFailed(message, subject=subject)


def _parse(text: str, subject: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        raise AzFailed(f"the output is no JSON ({in_one_line(text)})", subject=subject) from None
