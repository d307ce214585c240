"""The command line of a benchmark: which figures, a line for each as it is known, then all of them as JSON."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping

Figures = Mapping[str, float]


def print_figures(about: str | None, measured: Mapping[str, Callable[[], Figures]]) -> None:
    """Measure what `--only` names, or everything. What several of them count, such as lost rows, is added up."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=measured, default=list(measured), help="run these figures only")
    figures: Counter[str] = Counter()
    for name in parser.parse_args().only:
        found = measured[name]()
        figures.update(found)
        for figure, value in found.items():
            print(f"{figure:<26} {value:10.3f}", flush=True)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
