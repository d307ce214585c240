"""Generated conversations for the benchmarks of data: distinct rows, near copies and rows of the same form."""

import random
import re
from collections.abc import Callable
from typing import NamedTuple

SYLLABLES = tuple(first + second for first in "bcdfglmnprstv" for second in "aeiou")
VOCABULARY = 6_000
PROBLEM = (
    "{name} has {owned} {thing} and buys {bought} more at {price} euros each. How much did {name} pay, and how many "
    "are left after giving away {given}?"
)

# Fractions of the rows: near copies of an earlier row, and rows of its form with another content.
COPIES, SIMILAR = 0.1, 0.1


class Chat(NamedTuple):
    """A prompt with its answer. `copied`: the index of the row of which it is a near copy."""

    prompt: str
    answer: str
    copied: int | None = None


class Generator:
    """Random texts of invented words, whose frequencies follow Zipf's law as those of a language do."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.vocabulary = ["".join(self.rng.choices(SYLLABLES, k=self.rng.randint(1, 4))) for _ in range(VOCABULARY)]
        self.frequencies = [1 / (rank + 5) for rank in range(VOCABULARY)]
        self.instruction = self.text(120)
        self.documents = [self.text(150) for _ in range(1_000)]

    def words(self, count: int) -> list[str]:
        return self.rng.choices(self.vocabulary, self.frequencies, k=count)

    def text(self, length: int) -> str:
        """Sentences with `length` words in total."""
        words = self.words(length)
        sentences = []
        while words:
            end = self.rng.randint(5, 14)
            sentences.append(" ".join(words[:end]).capitalize() + ".")
            words = words[end:]
        return " ".join(sentences)

    def chat(self) -> Chat:
        """A question and answer: free, with the same instruction, about one of few documents, or of the same form."""
        kind, between = self.rng.random(), self.rng.randint
        if kind < 0.7:
            return Chat(self.text(between(10, 110)), self.text(between(20, 140)))
        if kind < 0.8:
            label = self.rng.choice(("positive", "negative", "neutral"))
            return Chat(f"{self.instruction}\n\n{self.text(between(12, 40))}", label)
        if kind < 0.9:
            question = " ".join(self.words(8))
            return Chat(f"{self.rng.choice(self.documents)}\n\n{question}?", self.text(between(6, 25)))
        name, thing = self.words(2)
        owned, bought, price, given = (between(2, 99) for _ in range(4))
        prompt = PROBLEM.format(name=name, thing=thing, owned=owned, bought=bought, price=price, given=given)
        return Chat(prompt, f"{name} pays {bought} * {price} = {bought * price} and keeps {owned + bought - given}.")

    def near_copy(self, chat: Chat, index: int) -> Chat:
        """The same conversation with small edits, none of which changes a number or a short answer."""
        instruction = f"{self.instruction}\n\n" if chat.prompt.startswith(self.instruction) else ""
        prompt = instruction + self._edited(chat.prompt.removeprefix(instruction))
        return Chat(prompt, self._edited(chat.answer) if self.rng.random() < 0.6 else chat.answer, index)

    def similar(self, chat: Chat) -> Chat:
        """Another conversation of the same form: with other numbers, another answer, or another second half."""
        if re.search(r"\d", chat.prompt):
            other = [
                re.sub(r"\d+", lambda match: str(int(match[0]) + self.rng.randint(1, 9)), text) for text in chat[:2]
            ]
            return Chat(*other)
        if self.rng.random() < 0.5:
            return Chat(chat.prompt, self.text(len(chat.answer.split()) + 3))
        words = chat.prompt.split()
        half = len(words) // 2
        return Chat(" ".join([*words[:half], *self.words(len(words) - half)]), chat.answer)

    def _edited(self, text: str) -> str:
        words = text.split(" ")
        if len(words) < 25 or re.search(r"\d", text) or self.rng.random() < 0.25:
            return self.rng.choice((text.lower(), text.replace(". ", " .  "), f"  {text}\n", text.upper()))
        edits: tuple[Callable[[int], None], ...] = (
            lambda at: words.__setitem__(at, self.words(1)[0]),
            lambda at: words.__delitem__(at),
            lambda at: words.insert(at, self.words(1)[0]),
        )
        for _ in range(max(1, len(words) // 40)):
            self.rng.choice(edits)(self.rng.randrange(len(words)))
        return " ".join(words)


def conversations(count: int, seed: int = 0) -> list[Chat]:
    """Distinct rows first, then near copies and similar rows of them in random order."""
    generator = Generator(seed)
    chats = [generator.chat() for _ in range(int(count * (1 - COPIES - SIMILAR)))]
    copied = generator.rng.sample(range(len(chats)), int(count * COPIES))
    others = [generator.near_copy(chats[index], index) for index in copied]
    others += [generator.similar(generator.rng.choice(chats)) for _ in range(count - len(chats) - len(others))]
    generator.rng.shuffle(others)
    return chats + others
