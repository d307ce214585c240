"""`python -m azdistill.steps.judge`: ask a judge which answers to the test rows are better."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from azdistill.contracts.errors import AzdistillError
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
from azdistill.contracts.problems import Problem
from azdistill.contracts.results import ModelRole, write_result
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.verdicts import JudgeSummary, Verdict
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.judging.cases import Case
    from azdistill.teacher.collect import Collected


def body(arguments: Arguments[JudgeConfig]) -> None:
    """Write verdicts.jsonl, labels.jsonl, summary.json and usage.json."""
    from azdistill.judging.cases import cases, labelled_cases, sample
    from azdistill.judging.readings import verdict

    config, inputs = arguments.config, arguments.inputs
    folder = open_folder(arguments.outputs["judgements"])
    prompts = _prompts(arguments)
    labels = list(read_labels(inputs["human_labels"], config.mode)) if "human_labels" in inputs else []
    judged = sample(prompts, config.rows)
    labelled = list(labelled_cases(labels, {prompt.id: prompt for prompt in prompts}))
    asked = [*cases(judged, _answers(arguments, prompts), config.mode), *labelled]
    rubric = read_rubric(inputs["rubric"])
    questions = [_questions(number, case, rubric) for number, case in enumerate(asked)]
    collected = _ask([question for of_case in questions for question in of_case], arguments)
    replies = {row.id: row.completion for row in collected.completions if row.finish_reason == "stop"}
    verdicts = [
        verdict(case, [replies.get(question.id) for question in of_case], config.mode)
        for case, of_case in zip(asked, questions, strict=True)
    ]
    digest = sha256_file(inputs["rubric"])
    summary = _summary(verdicts, config, len(judged), len(replies), len(labels) - len(labelled))
    write_rows(folder / VERDICTS_FILE, [row for row in verdicts if row.models])
    write_rows(folder / HUMAN_LABELS_FILE, [row for row in verdicts if row.human is not None])
    write_result(folder / JUDGE_SUMMARY_FILE, summary.model_copy(update={"rubric": digest}))
    write_json(folder / USAGE_FILE, collected.usage)
    counts = {**collected.counts(), "rows": summary.rows, "unjudged": summary.unjudged}
    close_folder(folder, STEP.name, counts, provenance_of(config, {"rubric": digest}))


def _prompts(arguments: Arguments[JudgeConfig]) -> list[Prompt]:
    for name in ("prompts", "completions", "student", "baseline"):
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


def _questions(number: int, case: "Case", rubric: str) -> list[Prompt]:
    """The prompts of a case as rows of the teacher library, with the numbers of case and order as their id."""
    return [
        Prompt(id=f"{number}-{order}", split="test", messages=messages, source=case.row.source)
        for order, messages in enumerate(case.prompts(rubric))
    ]


def _ask(questions: list[Prompt], arguments: Arguments[JudgeConfig]) -> "Collected":
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config = arguments.config.requests
    endpoints = resolve_all(config, simulation=arguments.inputs.get("judge_simulation"))
    try:
        return run(collect(questions, config, endpoints, open_store(arguments.outputs["store"])))
    except AzdistillError as error:
        raise type(error)(problems=[_of_judge(problem) for problem in error.problems]) from None


def _of_judge(problem: Problem) -> Problem:
    """The problem with the field of section judge in place of the one of section teacher."""
    section, *field = problem.field or ("",)
    return replace(problem, field=("judge", *field)) if section == "teacher" else problem


def _summary(
    verdicts: Sequence[Verdict], config: JudgeConfig, rows: int, replies: int, other_labels: int
) -> JudgeSummary:
    """`replies` are complete ones; a row with a missing verdict is unjudged."""
    readings = [reading for row in verdicts for reading in row.readings]
    unread = readings.count(None)
    return JudgeSummary(
        model=config.judge_model.called,
        mode=config.mode,
        rows=rows,
        unjudged=len({row.id for row in verdicts if row.models and row.verdict is None}),
        max_unjudged=config.max_unjudged,
        requests=len(readings),
        unanswered=len(readings) - replies,
        unreadable=unread - (len(readings) - replies),
        other_labels=other_labels,
    )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
