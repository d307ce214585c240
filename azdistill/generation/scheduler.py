"""Decode requests that arrive over time: they join the batch of those that are being decoded."""

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import torch
from transformers import StoppingCriteria

from azdistill.students.decode import Batch, DecodedAnswer, GenerationRequest, can_drop_rows, short_positions
from azdistill.students.loading import Student


@dataclass(eq=False)
class Generation:
    """A request to a Scheduler, and its answer so far.

    `token_ids` (without the end token) grows until `finish_reason` or `error` is set. `stream`: report each token, not
    only the end. Set `cancelled` when nobody waits for the answer any more.
    """

    request: GenerationRequest
    stream: bool = False
    token_ids: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None
    error: Exception | None = None
    cancelled: bool = False

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None or self.error is not None


class Scheduler:
    """A thread that decodes requests as `generate` does, at most `batch_size` of them together.

    `report` is called in that thread, after each step, with the generations that have changed. A request that can't be
    decoded in the batch (see `can_drop_rows` and `short_positions`) is answered alone, and the others wait. After an
    exception, which `error` holds, all requests end with it.
    """

    def __init__(self, student: Student, batch_size: int, report: Callable[[Sequence[Generation]], None]) -> None:
        self._student, self._report = student, report
        self._batch = Batch(student, batch_size) if can_drop_rows(student.model) else None
        self._longest_row = short_positions(student.model) or sys.maxsize
        self._inbox: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._waiting: deque[Generation] = deque()
        self._active: dict[int, Generation] = {}
        self._numbers = count()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="azdistill-decode", daemon=True)
        self._thread.start()

    def submit(self, generation: Generation) -> None:
        self._inbox.put(generation)

    def stop(self) -> None:
        """End the thread after the step that is being computed. Unfinished requests are not reported."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                self._decode()
        except Exception as error:  # reported to all requests: none of them must wait forever
            self.error = error
            self._fail([*self._active.values(), *self._waiting])
            while (generation := self._inbox.get()) is not None:
                self._fail([generation])

    def _fail(self, generations: Sequence[Generation]) -> None:
        for generation in generations:
            generation.error = self.error
        self._report(generations)

    def _decode(self) -> None:
        while self._receive():
            self._waiting = deque(generation for generation in self._waiting if not generation.cancelled)
            while self._waiting and not self._fits(self._waiting[0].request):
                self._generate_alone(self._waiting.popleft())
            if self._batch is not None:
                self._advance(self._batch)

    def _receive(self) -> bool:
        """Move new requests to the waiting ones; wait for one if there is nothing to do. False when stopped."""
        block = not (self._waiting or self._active)
        while True:
            try:
                generation = self._inbox.get(block)
            except queue.Empty:
                return True
            if generation is None:
                return False
            self._waiting.append(generation)
            block = False

    def _fits(self, request: GenerationRequest) -> bool:
        return self._batch is not None and len(request.prompt) + request.max_new_tokens <= self._longest_row

    def _advance(self, batch: Batch) -> None:
        """Remove cancelled rows, let waiting ones join, and decode one token of each."""
        cancelled = {number for number, generation in self._active.items() if generation.cancelled}
        batch.discard(cancelled)
        for number in cancelled:
            del self._active[number]
        joining: list[tuple[int, GenerationRequest]] = []
        while self._waiting and len(joining) < batch.free and self._fits(self._waiting[0].request):
            generation, number = self._waiting.popleft(), next(self._numbers)
            self._active[number] = generation
            joining.append((number, generation.request))
        finished = [self._finish(answer) for answer in (*batch.join(joining), *batch.step())]
        for answer in batch.answers:
            self._active[answer.index].token_ids = answer.token_ids
        if changed := finished + [generation for generation in self._active.values() if generation.stream]:
            self._report(changed)

    def _finish(self, answer: DecodedAnswer) -> Generation:
        generation = self._active.pop(answer.index)
        generation.token_ids = answer.token_ids
        generation.finish_reason = "length" if answer.truncated else "stop"
        return generation

    def _generate_alone(self, generation: Generation) -> None:
        """Answer by the model's own `generate`."""
        model, request = self._student.model, generation.request
        streamer = _Streamer(generation, frozenset(model.generation_config.eos_token_id), self._report)
        input_ids = torch.tensor([request.prompt], device=self._student.device)
        model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=request.max_new_tokens,
            streamer=streamer,
            stopping_criteria=[_Cancelled(generation)],
        )
        generation.finish_reason = "stop" if streamer.at_end else "length"
        self._report([generation])


class _Streamer:
    """Streamer of transformers that appends each token to a generation."""

    def __init__(
        self, generation: Generation, ends: frozenset[int], report: Callable[[Sequence[Generation]], None]
    ) -> None:
        self._generation, self._ends, self._report = generation, ends, report
        self._is_prompt, self.at_end = True, False

    def put(self, value: torch.Tensor) -> None:
        if self._is_prompt:  # transformers passes the prompt first
            self._is_prompt = False
            return
        token = int(value.item())
        self.at_end = token in self._ends
        if not self.at_end:
            self._generation.token_ids.append(token)
            if self._generation.stream:
                self._report([self._generation])

    def end(self) -> None:
        pass


class _Cancelled(StoppingCriteria):
    """Ends `generate` when its request is cancelled."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._generation.cancelled, device=input_ids.device)
