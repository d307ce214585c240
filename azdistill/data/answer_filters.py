"""Reasons to drop an answer, whatever the other answers are."""

from collections.abc import Mapping

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import InputError
from azdistill.contracts.rows import Completion, gold_texts
from azdistill.data.refusals import is_refusal
from azdistill.tasks.languages import LanguageDetector
from azdistill.tasks.task import BadRow, Task, valid_answers
from azdistill.tasks.texts import without_reasoning


class AnswerFilter:
    """The filters of `config`. `scores` are those of a judge by the key of the completion.

    Raises InputError for an unknown language, and if `min_judge_score` is set and there are no scores.
    """

    def __init__(self, config: CurateConfig, task: Task, scores: Mapping[str, float | None] | None = None) -> None:
        self._config, self._task, self._scores = config, task, scores or {}
        if config.min_judge_score is not None and scores is None:
            raise InputError(
                "needs the scores of a judge",
                field=("curate", "min_judge_score"),
                value=config.min_judge_score,
                fix="pass the output of step judge_answers as answer_scores",
            )
        self._detector = LanguageDetector(config.language) if config.language else None

    def answer(self, row: Completion) -> str | BadRow:
        """The answer in a completion, in the form that answers are compared in, or its first fault."""
        if row.finish_reason != "stop":
            return BadRow(row.finish_reason, "finish_reason of the endpoint; only an answer with stop is complete")
        text = without_reasoning(row.completion)
        if fault := self._fault(row, text):
            return fault
        answer = self._task.answer(row.completion)
        if answer is None:
            return BadRow("unparseable", f"not a valid answer of task {self._config.task}: {text[:60]!r}")
        return self._disagreement(row, answer) or self._badly_judged(row) or answer

    def _fault(self, row: Completion, text: str) -> BadRow | None:
        config = self._config
        if not text:
            return BadRow("empty", "the answer is blank")
        if len(text) < config.min_chars:
            return BadRow("too_short", f"{len(text)} characters, min_chars={config.min_chars}")
        if len(text) > config.max_chars:
            return BadRow("too_long", f"{len(text)} characters, max_chars={config.max_chars}")
        if config.drop_refusals and is_refusal(text) and not any(map(is_refusal, gold_texts(row.gold))):
            return BadRow("refusal", f"the answer begins with {text[:60]!r}")
        return self._wrong_language(row, text) if self._detector else None

    def _wrong_language(self, row: Completion, text: str) -> BadRow | None:
        assert self._detector
        language, expected = self._detector.detect(text), self._config.language
        if language and expected == "same":
            expected = self._detector.detect(row.messages[-1].content)
        if language is None or expected is None or language == expected:
            return None
        return BadRow("wrong_language", f"the answer is in {language}, expected {expected}: {text[:60]!r}")

    def _disagreement(self, row: Completion, answer: str) -> BadRow | None:
        if not self._config.drop_disagreeing:
            return None
        golds = valid_answers(self._task, gold_texts(row.gold))
        if not golds or any(self._task.correct(answer, gold) for gold in golds):
            return None
        return BadRow("disagrees", f"the teacher's answer is {answer[:60]!r}, the reference {golds[0][:60]!r}")

    def _badly_judged(self, row: Completion) -> BadRow | None:
        """The fault of an answer with a low score. One without a score is dropped too: nothing is known about it."""
        if (minimum := self._config.min_judge_score) is None:
            return None
        score = self._scores.get(row.key)
        if score is None:
            return BadRow("unjudged", "the judge gave no score")
        if score < minimum:
            return BadRow("low_judge_score", f"the judge's score is {score:g}, min_judge_score={minimum:g}")
        return None
