"""The plan of a job, for people and for programs."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from azdistill.cli.paths import job_file
from azdistill.contracts.errors import SpecError
from azdistill.job.estimates import Estimate, Memory, Range, estimate
from azdistill.job.loading import check_job
from azdistill.job.model import DistillationJob

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
    yield from _teachers(job, found)
    if job.teacher.teacher_route == "endpoint":
        yield "prompt tokens", _tokens(found.input_tokens)
        limit = f"at most max_tokens={job.teacher.max_tokens} an answer"
        yield "answered tokens", f"{_tokens(found.output_tokens)}, {limit}"
        yield "cost", _cost(found)
    yield "student", f"{job.student.model}: {_memory(found.memory)}"


def _teachers(job: DistillationJob, found: Estimate) -> Iterator[tuple[str, str]]:
    """One line for one teacher; for several what they share, and a line for each that is asked."""
    names = ", ".join(teacher.called for teacher in job.teacher.teachers)
    if len(job.teacher.teachers) == 1:
        yield "teacher", f"{names}: {_asked(job, found)}"
        return
    how = f"policy {job.teacher.policy}, samples {job.teacher.samples}"
    yield "teachers", f"{names if not found.teachers else how}: {_asked(job, found)}"
    for teacher in found.teachers:
        cost = "no prices given" if teacher.cost is None else _amount(teacher.cost)
        yield f"  {teacher.name}", f"{_times(teacher.asked)}, cost {cost}"


def _asked(job: DistillationJob, found: Estimate) -> str:
    if job.teacher.teacher_route != "endpoint":
        return f"nobody is asked, the route is {job.teacher.teacher_route}"
    return UNKNOWN if found.asked is None else _times(found.asked)


def _times(asked: Range) -> str:
    if asked.low == asked.high:
        return f"asked {asked.high:,} times at most"
    return f"asked {asked.low:,} to {asked.high:,} times, see policy"


def _tokens(found: Range | None) -> str:
    return UNKNOWN if found is None else f"{found.low:,.0f} to {found.high:,.0f}"


def _cost(found: Estimate) -> str:
    if found.cost is not None:
        return f"{_amount(found.cost)}, in the currency of the prices"
    if found.asked is None:
        return UNKNOWN
    without = [repr(teacher.name) for teacher in found.teachers if teacher.cost is None]
    whose = "the teacher" if len(found.teachers) == 1 else ", ".join(without)
    return f"no prices given: set input_price and output_price of {whose}"


def _amount(cost: Range) -> str:
    return f"{cost.low:,.2f} to {cost.high:,.2f}"


def _memory(memory: Memory) -> str:
    if memory.needed_gb is None:
        return "its size is not known; give it in catalog.students"
    needed = f"full fine-tuning takes {memory.needed_gb:,.0f} GB before activations"
    if memory.fits is None:
        return f"{needed}; the memory of {memory.vm or 'the cluster'} is not known here"
    better = f" and DOES NOT FIT; take {memory.smallest_vm or 'several machines'}"
    return f"{needed}, {memory.vm} has {memory.vm_gb}{'' if memory.fits else better}"
