"""Render a Report as HTML and Markdown. Text from data is escaped; the page loads nothing and runs one script."""

import base64
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from azdistill.contracts.markdown import inline
from azdistill.contracts.results import MODEL_ROLES, NO_REFERENCES
from azdistill.metrics.registry import metric_named
from azdistill.reporting import figures, first_screen, messages, row_samples
from azdistill.reporting.curve import curve
from azdistill.reporting.examples import MOST_ROWS
from azdistill.reporting.report import EXAMPLE_KINDS, Example, Report
from azdistill.reporting.tables import (
    answer_score_table,
    comparison,
    data_table,
    judge_table,
    label_table,
    language_table,
    length_table,
    loss_table,
    metric_details,
    new_prompt_table,
    public_test_set_table,
    rows_left_out_of_suites,
    slice_table,
    suite_table,
    teacher_table,
    trial_table,
)
from azdistill.tasks.languages import SHORTEST

TEMPLATES = Path(__file__).parent
SCRIPT = (TEMPLATES / "report.js").read_text(encoding="utf-8")

# Examples of each kind in Markdown.
FEW_ROWS = 3


def html(report: Report) -> str:
    """One self-contained page."""
    return _render("report.html.jinja", report, autoescape=True)


def markdown(report: Report) -> str:
    """The same content as Markdown, for a pull request or a job summary."""
    return _render("report.md.jinja", report, autoescape=False)


def _render(template: str, report: Report, *, autoescape: bool) -> str:
    return render_page(
        template,
        autoescape=autoescape,
        report=report,
        roles=MODEL_ROLES,
        comparison=comparison(report),
        details=metric_details(report),
        teachers=teacher_table(report.usage),
        verdicts=judge_table(report.judge),
        trials=trial_table(report.trials),
        slices=slice_table(report),
        suites=suite_table(report),
        left_out_of_suites=rows_left_out_of_suites(report),
        lengths=length_table(report),
        data=data_table(report),
        labels=label_table(report),
        losses=loss_table(report),
        languages=language_table(report),
        test_sets=public_test_set_table(report),
        new_prompts=new_prompt_table(report),
        answer_scores=answer_score_table(report),
        curve=curve(report.curve),
        primary=metric_named(report.primary_metric),
        cost_facts=messages.cost_facts(report),
        answers=first_screen.answers(report),
        script=SCRIPT,
        script_hash=script_hash(SCRIPT),
        example_slices=_example_slices(report),
        few_examples=_few_examples(report),
        MOST_ROWS=MOST_ROWS,
        LONGEST_SAMPLE=row_samples.LONGEST,
        SHORTEST_TEXT=SHORTEST,
        MANY_SAMPLES=row_samples.MANY_SAMPLES,
        NO_REFERENCES=NO_REFERENCES,
    )


def script_hash(script: str) -> str:
    """Hash of a script for the page's security policy: the browser runs this script and no other.

    Source: Content Security Policy Level 3, section 2.3.1.
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def render_page(template: str, *, autoescape: bool = True, **values: Any) -> str:
    """A template of this package with `values`, and the modules `messages` and `figures`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": inline, "literal": literal}
    return environment.get_template(template).render(messages=messages, figures=figures, **values)


def _example_slices(report: Report) -> list[str]:
    """Slices that only some of the example rows are in."""
    counts = Counter(slice_name for example in report.examples for slice_name in messages.example_slices(example))
    return sorted(name for name, count in counts.items() if count < len(report.examples))


def _few_examples(report: Report) -> list[Example]:
    by_kind = ([row for row in report.examples if row.kind == kind] for kind in EXAMPLE_KINDS)
    return [example for examples in by_kind for example in examples[:FEW_ROWS]]


def literal(text: str) -> str:
    """Text as an indented block; unlike a fence, no text can end it."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])
