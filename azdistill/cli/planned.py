"""The plan of a job, for people and for programs."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from azdistill.cli.paths import job_file
from azdistill.contracts.errors import SpecError
from azdistill.estimates import Estimate, Memory, Range, estimate
from azdistill.spec.job import DistillationJob
from azdistill.spec.loading import check_job

WIDTH = 120
"""Columns where no terminal tells its own."""

UNKNOWN = "unknown, as not all rows are on this machine"


def tell_as_json(path: Path) -> None:
    """One object: the estimate, and the warnings as texts."""
    job, warnings = _read(path)
    found = dataclasses.asdict(estimate(job))
    print(json.dumps({"job": job.name, **found, "warnings": warnings}, indent=2))


def tell_in_words(path: Path) -> None:
    """Two tables, and the warnings below them."""
    from rich.console import Console
    from rich.table import Table

    job, warnings = _read(path)
    found = estimate(job)
    nodes, figures = Table("node", "after", "compute"), Table("what", "estimate")
    for node in found.nodes:
        nodes.add_row(node.name, ", ".join(node.after), " ".join(filter(None, (node.compute, node.instance_type))))
    for figure in _figures(job, found):
        figures.add_row(*figure)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(nodes, figures, *warnings, sep="\n", markup=False, highlight=False, soft_wrap=True)


def _read(path: Path) -> tuple[DistillationJob, list[str]]:
    job, found = check_job(job_file(path))
    if job is None:
        raise SpecError("\n".join(map(str, found)))
    return job, [str(finding) for finding in found]


def _figures(job: DistillationJob, found: Estimate) -> Iterator[tuple[str, str]]:
    rows = (f"{'unknown' if count is None else f'{count:,}'} {split}" for split, count in found.rows.items())
    yield "rows", ", ".join(rows)
    yield "teacher", f"{job.teacher.teachers[0].model}: {_asked(job, found.asked)}"
    if found.asked != 0:
        yield "prompt tokens", _tokens(found.input_tokens)
        yield "answered tokens", f"{_tokens(found.output_tokens)}, at most max_tokens={job.teacher.max_tokens} a row"
        yield "cost", _cost(found)
    yield "student", f"{job.student.model}: {_memory(found.memory)}"


def _asked(job: DistillationJob, asked: int | None) -> str:
    if asked == 0:
        return f"nobody is asked, the route is {job.teacher.teacher_route}"
    return UNKNOWN if asked is None else f"asked {asked:,} times at most"


def _tokens(found: Range | None) -> str:
    return UNKNOWN if found is None else f"{found.low:,.0f} to {found.high:,.0f}"


def _cost(found: Estimate) -> str:
    if found.cost is not None:
        return f"{found.cost.low:,.2f} to {found.cost.high:,.2f}, in the currency of the prices"
    if found.asked is None:
        return UNKNOWN
    return "no prices given: set input_price and output_price of the teacher"


def _memory(memory: Memory) -> str:
    if memory.needed_gb is None:
        return "its size is not known; give it in catalog.students"
    needed = f"full fine-tuning takes {memory.needed_gb:,.0f} GB before activations"
    if memory.fits is None:
        return f"{needed}; the memory of {memory.vm or 'the cluster'} is not known here"
    better = f" and DOES NOT FIT; take {memory.smallest_vm or 'several machines'}"
    return f"{needed}, {memory.vm} has {memory.vm_gb}{'' if memory.fits else better}"
