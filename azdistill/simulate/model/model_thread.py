"""Score and generate token ids with a causal language model, in one thread."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from azdistill.students.loading import Student

# Most tokens of sequences that are scored in one call, padding included.
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class TokenScore:
    """Log probability and rank (1: the likeliest) of a token, and ids and log probabilities of the likeliest ones."""

    token: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SamplingParameters:
    """Parameters of an answer. Temperature 0 is greedy; `top` is the number of likeliest tokens to return."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    top: int = 0


@dataclass(frozen=True)
class Generated:
    """Tokens of an answer, as in vLLM with the one that ends it."""

    tokens: list[TokenScore]
    finish_reason: str

    @property
    def token_ids(self) -> list[int]:
        return [score.token for score in self.tokens]


@dataclass(frozen=True)
class Scored:
    """Scores of all tokens of a sequence but the first, and the logits of the token that follows it."""

    tokens: list[TokenScore]
    next_logits: torch.Tensor


@dataclass(frozen=True)
class _Waiting:
    token_ids: Sequence[int]
    top: int
    scored: "Future[Scored]"


class ModelThread:
    """One thread calls the model. Sequences that wait to be scored are scored together."""

    def __init__(self, student: Student) -> None:
        self._model, self._device = student.model, student.device
        self._ends = frozenset(student.model.generation_config.eos_token_id)
        self._thread = ThreadPoolExecutor(1, "model")
        self._waiting: deque[_Waiting] = deque()

    def stop(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def score(self, token_ids: Sequence[int], top: int) -> Scored:
        waiting = _Waiting(token_ids, top, Future())
        self._waiting.append(waiting)
        self._thread.submit(self._score_waiting)
        return await asyncio.wrap_future(waiting.scored)

    async def generate(self, prompt: Sequence[int], sampling: SamplingParameters) -> Generated:
        return await asyncio.wrap_future(self._thread.submit(self._generate, prompt, sampling))

    def generate_one(self, logits: torch.Tensor, sampling: SamplingParameters) -> Generated:
        """An answer of one token, from the logits that follow a scored prompt."""
        token = choose(logits, sampling, torch.Generator().manual_seed(sampling.seed))
        reason = "stop" if token in self._ends else "length"
        return Generated(token_scores(logits[None], [token], sampling.top), reason)

    def _score_waiting(self) -> None:
        """Score the first sequences that wait. There is a call for each, so later calls may have none left."""
        batch: list[_Waiting] = []
        longest = 0
        while self._waiting:
            longest = max(longest, len(self._waiting[0].token_ids))
            if batch and (len(batch) + 1) * longest > BATCH_TOKENS:
                break
            batch.append(self._waiting.popleft())
        if not batch:
            return
        try:
            results = self._score([waiting.token_ids for waiting in batch], [waiting.top for waiting in batch])
        except Exception as error:
            for waiting in batch:
                waiting.scored.set_exception(error)
            return
        for waiting, result in zip(batch, results, strict=True):
            waiting.scored.set_result(result)

    @torch.inference_mode()
    def _score(self, sequences: Sequence[Sequence[int]], tops: Sequence[int]) -> list[Scored]:
        """Padding is at the end, where no other token sees it."""
        longest = max(map(len, sequences))
        ids = torch.tensor([[*sequence, *[0] * (longest - len(sequence))] for sequence in sequences])
        logits = self._model(input_ids=ids.to(self._device), use_cache=False).logits
        return [
            Scored(
                token_scores(logits[number, : len(sequence) - 1], sequence[1:], top),
                logits[number, len(sequence) - 1].float().cpu(),
            )
            for number, (sequence, top) in enumerate(zip(sequences, tops, strict=True))
        ]

    @torch.inference_mode()
    def _generate(self, prompt: Sequence[int], sampling: SamplingParameters) -> Generated:
        random = torch.Generator().manual_seed(sampling.seed)
        tokens: list[TokenScore] = []
        inputs, cache = list(prompt), None
        for _ in range(sampling.max_tokens):
            ids = torch.tensor([inputs], device=self._device)
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True)
            logits, cache = output.logits[0, -1:], output.past_key_values
            token = choose(logits[0].float().cpu(), sampling, random)
            tokens += token_scores(logits, [token], sampling.top)
            if token in self._ends:
                return Generated(tokens, "stop")
            inputs = [token]
        return Generated(tokens, "length")


def token_scores(logits: torch.Tensor, tokens: Sequence[int], top: int) -> list[TokenScore]:
    """Scores of tokens under the logits (tokens x vocabulary) of their positions."""
    logprobs = logits.float().log_softmax(-1)
    chosen = logprobs.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])
    ranks = (logprobs > chosen).sum(-1) + 1
    values, ids = logprobs.topk(top, dim=-1)
    rows = zip(tokens, chosen[:, 0].tolist(), ranks.tolist(), ids.tolist(), values.tolist(), strict=True)
    return [
        TokenScore(token, logprob, rank, tuple(zip(top_ids, top_logprobs, strict=True)))
        for token, logprob, rank, top_ids, top_logprobs in rows
    ]


def choose(logits: torch.Tensor, sampling: SamplingParameters, random: torch.Generator) -> int:
    """The likeliest token at temperature 0, else one drawn from the smallest set with probability `top_p`."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities, ids = (logits / sampling.temperature).softmax(-1).sort(descending=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = probabilities.where(before < sampling.top_p, 0)
    return int(ids[torch.multinomial(kept, 1, generator=random)])
