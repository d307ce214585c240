"""`python -m azdistill.simulate`: the simulated teacher as a process. Its first line is its base URL."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.problems import explain
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.serving import serve


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when it was told to stop, 2 on wrong input."""
    options = _parser().parse_args(argv)
    try:
        serve(
            _simulation(options.simulation),
            port=options.port,
            key=_key(options.key_variable),
            lifetime_s=options.lifetime_s,
            with_parent=options.with_parent,
            announce=functools.partial(print, flush=True),
        )
    except AzdistillError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


def _simulation(text: str) -> Simulation:
    try:
        return Simulation.model_validate_json(text)
    except ValidationError as problem:
        raise InputError(f"simulate: --simulation: {explain(problem)}") from None


def _key(variable: str | None) -> str | None:
    if variable and not os.environ.get(variable):
        raise InputError(f"simulate: --key-variable {variable!r}: the environment has no such variable; set it")
    return os.environ[variable] if variable else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m azdistill.simulate", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default: 0)")
    parser.add_argument("--simulation", default="{}", metavar="JSON", help="seed, latency and rates of faults")
    parser.add_argument("--key-variable", metavar="NAME", help="the variable that holds the key to require")
    parser.add_argument("--lifetime-s", type=float, metavar="S", help="end by itself after so many seconds")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin closes")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
