"""Requests for new training prompts, and the form that the prompts must have.

Self-Instruct with examples of one task, see `azdistill.contracts.augmenting`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile

from azdistill.contracts.augment import AugmentSettings
from azdistill.contracts.augmenting import AnsweredRequest, PromptRequest, render
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Prompt
from azdistill.tasks.fields import as_text
from azdistill.tasks.task import BadRow

# A new prompt may be that many times shorter or longer than the user's shortest and longest one.
LENGTH_FACTOR = 2

# A label at the beginning of a line, such as "Hypothesis:" or the letter of an option.
_LABEL = re.compile(r"^(?:[^\W\d_][^:\n]{0,30}:|\(?[A-Ja-j][.)](?=\s))", re.MULTILINE)


@dataclass(frozen=True)
class Form:
    """The form that texts have in common: their first and last lines, labels at the beginning of lines, and the
    lengths of their contents, characters. A content is a text without the common lines."""

    before: str
    after: str
    labels: tuple[str, ...]
    shortest: int
    longest: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Form":
        """The form of different texts. A single text has no common lines."""
        lines = [[f"{line}\n" for line in text.split("\n")] for text in texts]
        most = min(map(len, lines)) - 1 if len(texts) > 1 else 0
        before = _common_start(lines)[:most]
        after = _common_start([text_lines[::-1] for text_lines in lines])[: most - len(before)][::-1]
        contents = ["".join(text_lines[len(before) : len(text_lines) - len(after)]) for text_lines in lines]
        labels = set.intersection(*(set(_LABEL.findall(content)) for content in contents))
        return cls(
            before="".join(before),
            after=("\n" + "".join(after)).removesuffix("\n"),
            labels=tuple(label for label in dict.fromkeys(_LABEL.findall(contents[0])) if label in labels),
            shortest=min(len(content.strip()) for content in contents),
            longest=max(len(content.strip()) for content in contents),
        )

    def content(self, text: str) -> str:
        """A text without the common lines, as far as it has them."""
        return text.removeprefix(self.before).removesuffix(self.after).strip()

    def text(self, content: str) -> str:
        return f"{self.before}{content}{self.after}"

    def check(self, content: str) -> None:
        """Raise BadRow for a content that has not the form."""
        as_text("the new prompt", content)
        for label in self.labels:
            if label not in _LABEL.findall(content):
                raise BadRow("invalid", f"no line begins with {label!r}, as in all training rows")
        if not self.shortest / LENGTH_FACTOR <= len(content) <= self.longest * LENGTH_FACTOR:
            lengths = f"those of the training rows have {self.shortest} to {self.longest}"
            raise BadRow("wrong_length", f"has {len(content)} characters; {lengths}")


@dataclass(frozen=True)
class Seed:
    """The opening user turn of a training row, and the system prompt before it."""

    text: str
    system: str | None
    source: str


@dataclass(frozen=True)
class SeededRequest:
    """A request, the seeds that it shows, and its messages as a row of the teacher library."""

    request: PromptRequest
    seeds: Sequence[Seed]
    row: Prompt

    def answered(self, teacher: str, key: str) -> AnsweredRequest:
        """The record of the answered request."""
        seeds = tuple(seed.source for seed in self.seeds)
        return AnsweredRequest(source=self.row.source, seeds=seeds, teacher=teacher, key=key)


class Seeds:
    """The training rows from which new prompts are written. Raises DataError if there are none.

    Validation and test rows are never shown to the teacher.
    """

    def __init__(self, prompts: Iterable[Prompt], settings: AugmentSettings, seed: int) -> None:
        openings = (_opening(prompt) for prompt in prompts if prompt.split == "train")
        self.seeds = list({seed.text: seed for seed in openings}.values())
        self.settings, self.seed = settings, seed
        if not self.seeds:
            raise DataError(
                "there is no training row, and new prompts are written from training rows",
                code="no_rows",
                field=("data", "training_data"),
                fix="add rows, or remove data.augment",
            )

    @cached_property
    def form(self) -> Form:
        return Form.of([seed.text for seed in self.seeds])

    @cached_property
    def _by_system(self) -> dict[str | None, list[Seed]]:
        """An example is read with its system prompt, so those of one request have the same."""
        groups: dict[str | None, list[Seed]] = {}
        for seed in self.seeds:
            groups.setdefault(seed.system, []).append(seed)
        return groups

    def request(self, number: int) -> SeededRequest:
        """Request `number`, with examples that a hash of the seed and the number selects."""
        first = self.seeds[next(self._draws(number, len(self.seeds)))]
        group, count = self._by_system[first.system], self.settings.examples
        others = (group[index] for index in islice(self._draws(number, len(group)), 1, 8 * count))
        seeds = list({seed.text: seed for seed in (first, *others)}.values())[:count]
        examples = tuple(self.form.content(seed.text) for seed in seeds)
        request = PromptRequest(number, self.settings.per_request, examples)
        messages = render(request, "\n".join(filter(None, (first.system, self.form.before, self.form.after))))
        row = Prompt(id=str(number), split="train", messages=messages, source=f"augment:{number}")
        return SeededRequest(request, seeds, row)

    def _draws(self, number: int, below: int) -> Iterator[int]:
        index = 0
        while True:
            digest = hashlib.sha256(f"{self.seed} {number} {index}".encode()).digest()
            yield int.from_bytes(digest[:8]) % below
            index += 1


def _common_start(lists: Sequence[list[str]]) -> list[str]:
    """The first items that all lists have: those that the first and the last list in alphabetical order have."""
    pairs = zip(min(lists), max(lists), strict=False)
    return [first for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _opening(prompt: Prompt) -> Seed:
    system = prompt.messages[0].content if prompt.messages[0].role == "system" else None
    opening = prompt.messages[0 if system is None else 1]
    return Seed(opening.content, system, prompt.source)
