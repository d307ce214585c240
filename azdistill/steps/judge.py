"""`python -m azdistill.steps.judge`: ask a judge which answers to the test rows are better."""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.judge import STEP, JudgeConfig
from azdistill.contracts.judge_files import read_labels, read_rubric
from azdistill.contracts.layout import (
    COMPLETIONS_FILE,
    HUMAN_LABELS_FILE,
    JUDGE_SUMMARY_FILE,
    PREDICTIONS_FILE,
    PROMPTS_FILE,
    USAGE_FILE,
    VERDICTS_FILE,
)
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest, sha256_file
from azdistill.contracts.results import ModelRole, read_result, write_result
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.verdicts import AnswerScoreSummary, JudgeSummary, Verdict
from azdistill.steps.judge_requests import ask_judge, complete_replies
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.judging.cases import Cases, JudgeCase
    from azdistill.teacher.collect import Collected

logger = logging.getLogger("azdistill.steps")

NO_VERDICT = "the last line of the reply is no verdict such as [[A]] or [[4]]"

# Reasons by the finish_reason of a reply.
INCOMPLETE = {
    "length": "the reply was cut at judge.max_tokens",
    "content_filter": "a content filter stopped the reply",
}


def body(arguments: Arguments[JudgeConfig]) -> None:
    """Write verdicts.jsonl, labels.jsonl, summary.json and usage.json."""
    folder = open_folder(arguments.outputs["judgements"])
    cases = _cases(arguments)
    verdicts, collected = _judge(cases, arguments)
    digest = sha256_file(arguments.inputs["rubric"])
    summary = _summary(verdicts, cases, collected, digest, arguments.config)
    write_rows(folder / VERDICTS_FILE, [row for row in verdicts if row.models])
    write_rows(folder / HUMAN_LABELS_FILE, [row for row in verdicts if row.human is not None])
    write_result(folder / JUDGE_SUMMARY_FILE, summary)
    write_json(folder / USAGE_FILE, collected.usage)
    counts = {**collected.counts(), "rows": summary.rows, "unjudged": summary.unjudged}
    close_folder(folder, STEP.name, counts, provenance_of(arguments.config, {"rubric": digest}))
    warning = f"; warning: {summary.failures}" if summary.failures else ""
    logger.info("%d of %d test rows are judged%s", summary.rows - summary.unjudged, summary.rows, warning)


def _cases(arguments: Arguments[JudgeConfig]) -> "Cases":
    """Cases for the judge: a sample of the test rows, and the labels of people."""
    from azdistill.judging.cases import Cases

    config, inputs = arguments.config, arguments.inputs
    prompts = _prompts(arguments)
    labels = list(read_labels(inputs["human_labels"], config.mode)) if "human_labels" in inputs else []
    return Cases.of(prompts, _answers(arguments, prompts), labels, config.mode, config.rows)


def _judge(cases: "Cases", arguments: Arguments[JudgeConfig]) -> "tuple[list[Verdict], Collected]":
    """The verdict on each case, and what was asked for them."""
    from azdistill.judging.readings import verdict

    rubric = read_rubric(arguments.inputs["rubric"])
    questions = [_questions(number, case, rubric) for number, case in enumerate(cases.all)]
    collected = ask_judge([question for of_case in questions for question in of_case], arguments, _spent(arguments))
    replies = complete_replies(collected)
    verdicts = [
        verdict(case, [replies.get(question.id) for question in of_case], arguments.config.mode)
        for case, of_case in zip(cases.all, questions, strict=True)
    ]
    return verdicts, collected


def _spent(arguments: Arguments[JudgeConfig]) -> float:
    """The part of the budget that step judge_answers has spent."""
    scores = arguments.inputs.get("answer_scores")
    return read_result(scores / JUDGE_SUMMARY_FILE, AnswerScoreSummary).spent if scores else 0.0


def _prompts(arguments: Arguments[JudgeConfig]) -> list[Prompt]:
    for name in ("prompts", "completions", "student", "baseline", "answer_scores"):
        if name in arguments.inputs:
            read_manifest(arguments.inputs[name])
    return list(read_rows(arguments.inputs["prompts"] / PROMPTS_FILE, Prompt))


def _answers(arguments: Arguments[JudgeConfig], prompts: Sequence[Prompt]) -> dict[str, dict[ModelRole, str]]:
    """Texts of the answers without reasoning, by row and model."""
    from azdistill.evaluation.answers import LOCAL_MODELS, align
    from azdistill.tasks.texts import without_reasoning

    inputs = arguments.inputs
    rows = align(
        prompts,
        read_rows(inputs["completions"] / COMPLETIONS_FILE, Completion),
        {role: read_rows(inputs[role] / PREDICTIONS_FILE, Prediction) for role in LOCAL_MODELS},
    )
    return {row.id: {role: without_reasoning(answer.text) for role, answer in row.answers.items()} for row in rows}


def _questions(number: int, case: "JudgeCase", rubric: str) -> list[Prompt]:
    """The prompts of a case as rows of the teacher library, with the numbers of case and order as their id."""
    return [
        Prompt(id=f"{number}-{order}", split="test", messages=messages, source=case.row.source)
        for order, messages in enumerate(case.prompts(rubric))
    ]


def _summary(
    verdicts: Sequence[Verdict], cases: "Cases", collected: "Collected", rubric: str, config: JudgeConfig
) -> JudgeSummary:
    """A row with a missing verdict is unjudged."""
    readings = [reading for row in verdicts for reading in row.readings]
    replies = len(complete_replies(collected))
    unreadable = replies - len(readings) + readings.count(None)
    return JudgeSummary(
        model=config.judge_model.called,
        mode=config.mode,
        rubric=rubric,
        rows=cases.rows,
        unjudged=len({row.id for row in verdicts if row.models and row.verdict is None}),
        max_unjudged=config.max_unjudged,
        requests=len(readings),
        unanswered=len(readings) - replies,
        unreadable=unreadable,
        other_labels=cases.other_labels,
        without_verdict=_without_verdict(collected, unreadable),
    )


def _without_verdict(collected: "Collected", unreadable: int) -> dict[str, int]:
    """Requests without a verdict by reason."""
    ends = [row.finish_reason for row in collected.completions if row.finish_reason != "stop"]
    reasons = Counter({NO_VERDICT: unreadable})
    reasons.update(INCOMPLETE.get(end, f"the reply ended with finish_reason {end!r}") for end in ends)
    reasons.update(f"the request failed: {reject.reason.replace('_', ' ')}" for reject in collected.rejects)
    return {reason: count for reason, count in sorted(reasons.items()) if count}


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
