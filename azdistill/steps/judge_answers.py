"""`python -m azdistill.steps.judge_answers`: ask a judge for scores of the teacher's answers."""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.judge_answers import STEP
from azdistill.contracts.judge_files import read_rubric
from azdistill.contracts.judge_requests import JudgeSettings
from azdistill.contracts.layout import ANSWER_SCORES_FILE, COMPLETIONS_FILE, JUDGE_SUMMARY_FILE, USAGE_FILE
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest, sha256_file
from azdistill.contracts.results import write_result
from azdistill.contracts.rows import Completion, Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.verdicts import AnswerScore, AnswerScoreSummary
from azdistill.steps.judge_requests import ask_judge, complete_replies
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.teacher.collect import Collected

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[JudgeSettings]) -> None:
    """Write answer_scores.jsonl, summary.json and usage.json. Scores are written also when too many are missing."""
    from azdistill.judging.answers import answer_scores, judged_answers

    config, completions = arguments.config, arguments.inputs["completions"]
    folder = open_folder(arguments.outputs["answer_scores"])
    read_manifest(completions)
    rows = list(judged_answers(read_rows(completions / COMPLETIONS_FILE, Completion)))
    collected = ask_judge(_questions(rows, read_rubric(arguments.inputs["rubric"])), arguments)
    replies = complete_replies(collected)
    scores = answer_scores(rows, [replies.get(str(number)) for number in range(len(rows))])
    digest = sha256_file(arguments.inputs["rubric"])
    summary = _summary(scores, collected, digest, config)
    write_rows(folder / ANSWER_SCORES_FILE, scores)
    write_result(folder / JUDGE_SUMMARY_FILE, summary)
    write_json(folder / USAGE_FILE, collected.usage)
    _check_unjudged(summary, collected, config.max_unjudged)
    counts = {"answers": summary.answers, "unjudged": summary.unjudged, "scores": summary.scores}
    close_folder(folder, STEP.name, counts, provenance_of(config, {"rubric": digest}))
    by_score = ", ".join(f"{count} with {score}" for score, count in reversed(summary.scores.items()))
    logger.info("%d of %d answers have a score (%s)", summary.answers - summary.unjudged, summary.answers, by_score)


def _questions(rows: Sequence[Completion], rubric: str) -> list[Prompt]:
    """The prompts about the answers as rows of the teacher library, with the number of the answer as their id."""
    from azdistill.judging.answers import question

    return [
        Prompt(id=str(number), split=row.split, messages=question(row, rubric), source=row.source)
        for number, row in enumerate(rows)
    ]


def _summary(
    scores: Sequence[AnswerScore], collected: "Collected", rubric: str, config: JudgeSettings
) -> AnswerScoreSummary:
    counts = Counter(row.score for row in scores if row.score is not None)
    unanswered = sum(row.reply is None for row in scores)
    return AnswerScoreSummary(
        model=config.judge_model.called,
        rubric=rubric,
        answers=len(scores),
        unjudged=len(scores) - counts.total(),
        unanswered=unanswered,
        unreadable=len(scores) - counts.total() - unanswered,
        scores={f"{score:g}": count for score, count in sorted(counts.items())},
        spent=collected.spent,
    )


def _check_unjudged(summary: AnswerScoreSummary, collected: "Collected", max_unjudged: float) -> None:
    """Raise DataError when the judge gave no score to more than the fraction `max_unjudged` of the answers."""
    if summary.unjudged <= max_unjudged * summary.answers:
        return
    last, fix = "", f"raise judge.max_tokens or choose another judge; {ANSWER_SCORES_FILE} has the replies"
    if collected.rejects:
        last = f"; the last error: {collected.rejects[-1].detail}"
        fix = "fix the cause and run again; stored replies are not paid for again"
    raise DataError(
        f"{summary.unjudged} of {summary.answers} answers of the teacher have no score: {summary.unanswered} without a "
        f"complete reply, {summary.unreadable} replies without a score{last}",
        code="too_many_unjudged",
        field=("judge", "max_unjudged"),
        value=max_unjudged,
        fix=fix,
    )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
