"""`python -m azdistill.simulate`: run a simulated teacher. The first line of its output is its base URL."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.problems import explain
from azdistill.contracts.simulation import ServedModel, Simulation
from azdistill.simulate.serving import serve


def main(argv: Sequence[str]) -> int:
    """Return exit code 0 when stopped, 2 for invalid input."""
    options = _parser().parse_args(argv)
    try:
        serve(
            _simulation(options.simulation),
            model=_model(options),
            port=options.port,
            key=_key(options.key_variable),
            lifetime_s=options.lifetime_s,
            with_parent=options.with_parent,
            announce=functools.partial(print, flush=True),
        )
    except AzdistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _simulation(text: str) -> Simulation:
    try:
        return Simulation.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"--simulation: {explain(error)}", subject="simulate") from None


def _model(options: argparse.Namespace) -> ServedModel | None:
    return ServedModel(options.model, options.prompt_logprobs, options.max_logprobs) if options.model else None


def _key(variable: str | None) -> str | None:
    if variable and not os.environ.get(variable):
        raise InputError(
            f"--key-variable {variable!r}: no such environment variable",
            code="missing_variable",
            subject="simulate",
            fix="set it",
        )
    return os.environ[variable] if variable else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m azdistill.simulate", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="port; 0 selects a free one (default: 0)")
    parser.add_argument("--simulation", default="{}", metavar="JSON", help="fields of the simulation as JSON")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="serve the causal language model of this folder")
    parser.add_argument(
        "--no-prompt-logprobs", dest="prompt_logprobs", action="store_false", help="do not score prompts"
    )
    parser.add_argument(
        "--max-logprobs", type=int, default=20, metavar="N", help="most log probabilities of a position"
    )
    parser.add_argument("--key-variable", metavar="NAME", help="environment variable with the key that requests need")
    parser.add_argument("--lifetime-s", type=float, metavar="S", help="stop after this many seconds")
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin closes")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
