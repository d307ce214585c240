"""The rehearsal expert of any task: it draws from answers that the job gives. It knows nothing."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message, prompt_id
from azdistill.simulate.draws import draw


class Examples:
    """The same conversation gets the same answer; a wrong one is the next in the list."""

    def __init__(self, texts: Sequence[str], seed: int) -> None:
        self._texts, self._seed = texts, seed

    def answer(self, messages: Sequence[Message]) -> str:
        return self._texts[self._drawn(messages)]

    def wrong_answer(self, messages: Sequence[Message]) -> str:
        return self._texts[(self._drawn(messages) + 1) % len(self._texts)]

    def _drawn(self, messages: Sequence[Message]) -> int:
        return int(draw(self._seed, "example", prompt_id(tuple(messages))) * len(self._texts))
