"""A served model: vLLM's API behind a simulated gateway."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from azdistill.contracts.errors import DataError
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.gateway import Gateway, Handler, Kind
from azdistill.simulate.model import responses
from azdistill.simulate.model.model_thread import Generated, ModelThread, SamplingParameters, TokenScore
from azdistill.simulate.model.requests import (
    ALL_TOKENS,
    ModelChatRequest,
    TextCompletionRequest,
    TokenizeRequest,
    bad_request,
    extra_parameter,
    too_long,
    too_many_logprobs,
    vllm_error,
)
from azdistill.simulate.model.vocabulary import Vocabulary
from azdistill.simulate.wire import PATHS, REQUEST_ID, HttpReply, reply
from azdistill.students.loading import Student, max_positions
from azdistill.students.template import ChatTokenizer

FINGERPRINT = "azdistill simulated teacher, a served model"
# vLLM's default of --max-logprobs.
MAX_LOGPROBS = 20
# Context length of a model whose config states none.
DEFAULT_LENGTH = 4096
VERSION = "0.0.0+azdistill"


class ModelTeacher(Gateway):
    """One simulated endpoint that serves a model by the name of its folder, and accepts every name.

    `scores_prompts`: accept `prompt_logprobs` and `echo`, which serverless endpoints do not have.
    """

    def __init__(
        self,
        simulation: Simulation,
        student: Student,
        name: str,
        key: str | None = None,
        *,
        scores_prompts: bool = True,
        max_logprobs: int = MAX_LOGPROBS,
    ) -> None:
        super().__init__(simulation, key)
        self.name, self.scores_prompts, self.max_logprobs = name, scores_prompts, max_logprobs
        self.max_model_len = max_positions(student.model) or DEFAULT_LENGTH
        self._vocabulary_size = student.model.get_output_embeddings().weight.shape[0]
        self._tokenizer, self._chat = student.tokenizer, ChatTokenizer(student.tokenizer)
        self._vocabulary, self._model = Vocabulary(student.tokenizer), ModelThread(student)

    def stop(self) -> None:
        self._model.stop()

    def page(self) -> str:
        """Text of the root page."""
        return f"{FINGERPRINT}\nmodel: {self.name}\ncalls: {self.counts()}\n"

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        completions = {path.replace("/chat", ""): self.complete for path in PATHS}
        posts = {**dict.fromkeys(PATHS, self.chat), **completions, "/tokenize": self.tokenize}
        gets = {"/v1/models": self.models, "/health": self.health, "/version": self.version}
        return {("POST", path): handler for path, handler in posts.items()} | {
            ("GET", path): handler for path, handler in gets.items()
        }

    async def chat(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Reply to a request for a chat completion."""
        return await self.pass_through(headers, lambda: self._chat_completion(headers, body))

    async def complete(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Reply to a request to complete or score prompts."""
        return await self.pass_through(headers, lambda: self._completion(headers, body))

    async def tokenize(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Token ids of a text. As in vLLM, it needs no key."""

        async def answer() -> Kind:
            request = self.read(TokenizeRequest, body)
            tokens = self._encode(request.prompt, request.add_special_tokens)
            return "tokenized", reply(
                200, {"count": len(tokens), "max_model_len": self.max_model_len, "tokens": tokens, "token_strs": None}
            )

        return await self.answer(answer)

    async def models(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """The models that are served. Needs the key."""

        async def answer() -> Kind:
            cards: list[dict[str, Any]] = [
                {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "azdistill",
                    "root": self.name,
                    "parent": None,
                    "max_model_len": self.max_model_len,
                    "permission": [],
                }
                for name in self.simulation.deployments or (self.name,)
            ]
            return "listed", reply(200, {"object": "list", "data": cards})

        return await self.pass_through(headers, answer)

    async def health(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        return HttpReply(200)

    async def version(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        return reply(200, {"version": VERSION})

    def invalid(self, message: str) -> HttpReply:
        return vllm_error(400, "BadRequestError", message)

    async def _chat_completion(self, headers: Mapping[str, str], body: bytes) -> Kind:
        request = self.read(ModelChatRequest, body)
        request = request.without(self.simulation.ignored_parameters).with_id(headers.get(REQUEST_ID, ""))
        top = self._most_logprobs("sample", request.num_logprobs)
        try:
            (prompt,) = self._chat.encode([self._chat.prompt(request.messages)])
        except DataError as error:  # the chat template rejects the conversation
            raise bad_request(error.problems[0].message, "messages") from None
        limit = request.token_limit or max(self.max_model_len - len(prompt), 1)
        self._check_length(prompt, limit)
        key = request.draw_key()
        self.admit(key, len(prompt) + limit)
        await self.wait(key)
        answer = await self._model.generate(prompt, self._sampling(request, key, limit, top))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text(answer)},
            "logprobs": responses.chat_logprobs(answer.tokens, self._vocabulary, request.return_tokens_as_token_ids)
            if request.logprobs
            else None,
            "finish_reason": answer.finish_reason,
            "stop_reason": None,
        }
        used = responses.usage(len(prompt), len(answer.tokens))
        return self.bill(key, self._body("chat.completion", request.model, [choice], used))

    async def _completion(self, headers: Mapping[str, str], body: bytes) -> Kind:
        request = self.read(TextCompletionRequest, body)
        self._check_scoring(request)
        top = self._most_logprobs("sample", request.logprobs)
        prompt_top = self._most_logprobs("prompt", request.num_prompt_logprobs)
        prompts = [self._prompt_ids(prompt, request.add_special_tokens) for prompt in request.prompts]
        # An echo without an answer generates one token, which is not returned.
        limit = max(request.max_tokens, 1)
        for prompt in prompts:
            self._check_length(prompt, request.max_tokens)
        key = hashlib.sha256(body).hexdigest() + (headers.get(REQUEST_ID, "") if request.temperature else "")
        self.admit(key, sum(map(len, prompts)) + limit * len(prompts))
        await self.wait(key)
        sampling = self._sampling(request, key, limit, top)
        results = await asyncio.gather(*(self._score_and_generate(prompt, prompt_top, sampling) for prompt in prompts))
        choices = [
            self._choice(index, request, prompt, *result)
            for index, (prompt, result) in enumerate(zip(prompts, results, strict=True))
        ]
        used = responses.usage(sum(map(len, prompts)), sum(len(answer.tokens) for _, answer in results))
        return self.bill(key, self._body("text_completion", request.model, choices, used))

    async def _score_and_generate(
        self, prompt: Sequence[int], top: int | None, sampling: SamplingParameters
    ) -> tuple[list[TokenScore] | None, Generated]:
        """Scores of the prompt if `top` is set, and the answer."""
        if top is None:
            return None, await self._model.generate(prompt, sampling)
        scored = await self._model.score(prompt, top)
        if sampling.max_tokens == 1:
            return scored.tokens, self._model.generate_one(scored.next_logits, sampling)
        return scored.tokens, await self._model.generate(prompt, sampling)

    def _choice(
        self,
        index: int,
        request: TextCompletionRequest,
        prompt: Sequence[int],
        scores: Sequence[TokenScore] | None,
        answer: Generated,
    ) -> dict[str, Any]:
        returned = answer.tokens if request.max_tokens or not request.echo else []
        text = self._text(answer) if returned else ""
        shown: list[TokenScore | None] = [*returned]
        if request.echo:
            text = self._tokenizer.decode(prompt) + text
            shown = [None, *(scores or ()), *returned]
        return {
            "index": index,
            "text": text,
            "logprobs": None
            if request.logprobs is None
            else responses.completion_logprobs(shown, prompt[0], self._vocabulary, request.return_tokens_as_token_ids),
            "finish_reason": answer.finish_reason,
            "stop_reason": None,
            "token_ids": answer.token_ids if request.return_token_ids else None,
            "prompt_logprobs": None if scores is None else responses.prompt_logprobs(scores, self._vocabulary),
            "prompt_token_ids": prompt if request.return_token_ids else None,
        }

    def _check_scoring(self, request: TextCompletionRequest) -> None:
        for name in ("prompt_logprobs", "echo"):
            if not self.scores_prompts and name in request.model_fields_set:
                raise extra_parameter(name)
        if request.max_tokens < 1 and not request.echo:
            raise bad_request(f"max_tokens must be at least 1, got {request.max_tokens}.", "max_tokens")

    def _most_logprobs(self, kind: Literal["sample", "prompt"], count: int | None) -> int | None:
        most = self._vocabulary_size if self.max_logprobs == ALL_TOKENS else self.max_logprobs
        if count is None:
            return None
        count = self._vocabulary_size if count == ALL_TOKENS else count
        if count > most:
            raise too_many_logprobs(kind, count, most)
        return count

    def _prompt_ids(self, prompt: str | Sequence[int], add_special_tokens: bool) -> list[int]:
        if isinstance(prompt, str):
            return self._encode(prompt, add_special_tokens)
        if max(prompt) >= self._vocabulary_size:
            raise bad_request(f"Token id {max(prompt)} is out of vocabulary", "prompt")
        return list(prompt)

    def _encode(self, text: str, add_special_tokens: bool) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"]
        return ids

    def _check_length(self, prompt: Sequence[int], max_tokens: int) -> None:
        if len(prompt) + max_tokens > self.max_model_len:
            raise too_long(len(prompt), max_tokens, self.max_model_len)

    def _sampling(
        self, request: ModelChatRequest | TextCompletionRequest, key: str, max_tokens: int, top: int | None
    ) -> SamplingParameters:
        """Without a seed, the draws depend on the request and its id."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.simulation.seed} {key}".encode()).digest()[:7], "big")
        seed = drawn if request.seed is None else request.seed
        return SamplingParameters(max_tokens, request.temperature, request.top_p, seed, top or 0)

    def _text(self, answer: Generated) -> str:
        text: str = self._tokenizer.decode(answer.token_ids, skip_special_tokens=True)
        return text

    def _body(
        self, kind: str, model: str, choices: Sequence[Mapping[str, Any]], used: Mapping[str, int]
    ) -> dict[str, Any]:
        return {
            "id": f"simulated-{self.calls['answered']}",
            "object": kind,
            "created": 0,
            "model": model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            "usage": used,
        }
