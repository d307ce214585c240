"""Render a Report as HTML and Markdown. Text from data is escaped; the page runs no script and loads nothing."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from azdistill.contracts.results import MODEL_ROLES
from azdistill.reporting import messages
from azdistill.reporting.curve import curve
from azdistill.reporting.report import Report
from azdistill.reporting.tables import comparison, metric_details, teacher_table

TEMPLATES = Path(__file__).parent
MARKDOWN_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in r"\`*_[]|#~"} | {"<": "&lt;", "&": "&amp;"}
)


def html(report: Report) -> str:
    """One self-contained page."""
    return _render("report.html.jinja", report, autoescape=True)


def markdown(report: Report) -> str:
    """The same content as Markdown, for a pull request or a job summary."""
    return _render("report.md.jinja", report, autoescape=False)


def _render(template: str, report: Report, *, autoescape: bool) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": inline, "literal": literal}
    return environment.get_template(template).render(
        report=report,
        roles=MODEL_ROLES,
        comparison=comparison(report),
        details=metric_details(report),
        teachers=teacher_table(report.usage),
        curve=curve(report.curve),
        primary=messages.metric_named(report.primary_metric),
        messages=messages,
    )


def inline(text: str) -> str:
    """Escape text for a Markdown paragraph or table cell: one line, without markup."""
    return " ".join(text.split()).translate(MARKDOWN_ESCAPES)


def literal(text: str) -> str:
    """Text as an indented block; unlike a fence, no text can end it."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])
