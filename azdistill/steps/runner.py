"""Entry point of every step: parse the command line, run the step, print user errors as one line.

A step owns its process, so this module alone sets up logging and environment variables.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.extras import missing_module
from azdistill.contracts.files import disk_error
from azdistill.contracts.step import Arguments, Config, Step, parse
from azdistill.engine.problems import printable
from azdistill.engine.redaction import redact, redact_output

# Read by MLflow when it is imported: its log may hold the address of a run with a password.
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A service that does not answer would hold up a step for minutes: MLflow's own values are 7 and 120 s.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def run_step(step: Step[Config], body: Callable[[Arguments[Config]], None], argv: Sequence[str]) -> int:
    """Run one step and return its exit code. Any exception but an AzdistillError and an error of the disk keeps its
    traceback."""
    log_to_stdout()
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        body(parse(step, argv))
    except AzdistillError as error:
        print(f"{step.name}: {printable(redact(str(error)))}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if not (missing := missing_module(error)):
            raise
        print(f"{step.name}: {missing}", file=sys.stderr)
        return missing.exit_code
    except OSError as error:
        print(f"{step.name}: {printable(redact(str(disk_error(error))))}", file=sys.stderr)
        return AzdistillError.exit_code
    except KeyboardInterrupt:
        print(f"{step.name}: interrupted; run again to continue", file=sys.stderr)
        return 130
    return 0


def log_to_stdout() -> None:
    """Write log messages of azdistill to standard output as plain lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    redact_output()
    logger = logging.getLogger("azdistill")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    # It warns when it is imported on a CPU with AVX-512 BF16, about a kernel that quantized models would use there.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # azure-identity warns in ten lines about what our error says in one.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
