"""Command line of a benchmark: choose figures, print a line for each, then all of them as JSON."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping

Figures = Mapping[str, float]


def print_figures(about: str | None, measured: Mapping[str, Callable[[], Figures]]) -> None:
    """Measure the figures that `--only` names, or all. Counts of several figures, such as lost rows, add up."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=measured, default=list(measured), help="run these figures only")
    figures: Counter[str] = Counter()
    for name in parser.parse_args().only:
        values = measured[name]()
        figures.update(values)
        for figure, value in values.items():
            print(f"{figure:<26} {_rounded(value):>12}", flush=True)
    print(json.dumps({name: _rounded(value) for name, value in figures.items()}))


def _rounded(value: float) -> float:
    """Four decimals of a number; four digits of one that would have none. A count stays as it is."""
    return value if isinstance(value, int) else round(value, 4) or float(f"{value:.4g}")
