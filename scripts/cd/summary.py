"""The outcome of a job as Markdown: the summary of a workflow, and the comment on a pull request."""

import re
from pathlib import Path

from azdistill.contracts.errors import InputError
from scripts.cd.results import read_job, report_markdown

# Sections of report.md that a reader needs to decide. The part before the first section is the report's first screen.
SECTIONS = ("Gates",)
COMMENT_SECTIONS = ("Teacher, baseline, student", "Gates")
# GitHub's limit is 65,536 characters.
LONGEST_COMMENT = 60_000
DECISIONS = {
    "passed": "The student passed its gates.",
    "refused": "The gates refused the student. It is not registered.",
    "inconclusive": "The gates are inconclusive: more test rows are needed. The student is not promoted.",
    "unknown": "The decision of the gates is not known.",
}


def summary(folder: Path) -> str:
    """First screen of the report and the gates, as Markdown."""
    return _markdown(folder, SECTIONS)


def comment(folder: Path) -> str:
    """The summary with the comparison of teacher, baseline and student, within the limits of a comment."""
    text = _markdown(folder, COMMENT_SECTIONS)
    return text if len(text) <= LONGEST_COMMENT else text[:LONGEST_COMMENT].rsplit("\n", 1)[0] + "\n\n...\n"


def _markdown(folder: Path, sections: tuple[str, ...]) -> str:
    try:
        job = read_job(folder)
    except InputError:
        return "No job was submitted.\n"
    decision = DECISIONS.get(job.get("gate", "unknown"), DECISIONS["unknown"])
    facts = [f"job `{job['job']}`", f"status {job.get('status', 'unknown')}"]
    if job.get("model"):
        facts.append(f"registered as `azureml:{job['model']}:{job['version']}`")
    if job.get("studio_url"):
        facts.append(f"[studio]({job['studio_url']})")
    parts = [f"**{decision}** {', '.join(facts)}.", *report_parts(report_markdown(folder), sections)]
    return "\n\n".join(parts) + "\n"


def report_parts(report: str, sections: tuple[str, ...]) -> list[str]:
    """The first screen of report.md, and these sections of it with their headings."""
    first, *others = re.split(r"^(?=## )", report, flags=re.MULTILINE)
    by_heading = {part.partition("\n")[0].removeprefix("## ").strip(): part for part in others}
    parts = [first, *(by_heading.get(name, "") for name in sections)]
    return [part.strip() for part in parts if part.strip()]
