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
            print(f"{figure:<26} {value:10.3f}", flush=True)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
