"""Verdicts of `azdistill validate` on the files of tests/corpus, which are written as people publish them for Azure ML.

`make bench-conformance` prints each disagreement with the installed azure-ai-ml and a table by kind of file, then one
line of JSON.

corpus   `corpus_files`: files of the corpus; `false_alarms`: files with an error that Azure ML accepts; `misses`: files
         that Azure ML refuses and azdistill does not; `contradictions`: errors in a file that both refuse, at fields
         that only one of them refuses, and warnings that Azure ML ignores what it refuses; `crashes`: exceptions
nodes    `node_overhead_s`, as in `make bench-engine`
rerun    `graph200_rerun_s`, as in `make bench-engine`
"""

from collections import Counter, defaultdict

from benchmarks.engine import nodes, run_and_rerun
from benchmarks.figures import Figures, print_figures
from tests.corpus.verdicts import FILES, Comparison, client_verdict, client_version, compare, verdict

COUNTS = ("false_alarms", "misses", "contradictions", "crashes")


def corpus() -> Figures:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for name in FILES:
        try:
            result = compare(name, verdict(name), client_verdict(name))
        except Exception as error:  # a crash is a figure of this benchmark
            print(f"{name}: crash: {type(error).__name__}: {error}")
            kinds["crash"].update(crashes=1, files=1)
        else:
            kinds[result.kind].update(_counts(result), files=1)
    total = Counter[str]()
    for kind, counts in sorted(kinds.items()):
        total.update(counts)
        _print_row(kind, counts)
    _print_row("all", total)
    agreed = 1 - sum(total[name] for name in COUNTS) / total["files"]
    print(f"{'agreement':<30} {agreed:9.2%} with azure-ai-ml {client_version()}")
    return {"corpus_files": len(FILES), **{name: total[name] for name in COUNTS}}


def _counts(result: Comparison) -> dict[str, int]:
    """Print the disagreements on a file and count them. False alarms and misses are files, contradictions fields."""
    for text in (*result.false_alarms, *result.misses, *result.contradictions):
        print(text)
    return {
        "false_alarms": bool(result.false_alarms),
        "misses": bool(result.misses),
        "contradictions": len(result.contradictions),
    }


def _print_row(kind: str, counts: Counter[str]) -> None:
    print(f"{kind:<30} {counts['files']:5} files", *(f"{counts[name]:4} {name.replace('_', ' ')}" for name in COUNTS))


def rerun() -> Figures:
    return {"graph200_rerun_s": run_and_rerun()["graph200_rerun_s"]}


if __name__ == "__main__":
    print_figures(__doc__, {"corpus": corpus, "nodes": nodes, "rerun": rerun})
