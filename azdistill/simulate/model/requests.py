"""Requests to a served model, and the errors of vLLM.

Source: vLLM's `entrypoints/openai/completion/protocol.py` and `entrypoints/serve/tokenize/protocol.py` (main, 2026).
Parameters that would change an answer and that this server does not have are rejected, not ignored as in vLLM.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from azdistill.simulate.gateway import Rejected
from azdistill.simulate.wire import ChatRequest, HttpReply, reply

TokenId = Annotated[int, Field(ge=0)]
ALL_TOKENS = -1
DEFAULT_MAX_TOKENS = 16

PromptField = tuple[TokenId, ...] | tuple[tuple[TokenId, ...], ...] | str | tuple[str, ...]


class ModelChatRequest(ChatRequest):
    """Body of a chat request. The largest `top_logprobs` is that of the server."""

    top_logprobs: int = Field(0, ge=ALL_TOKENS)
    n: Literal[1] = 1
    return_tokens_as_token_ids: bool = False

    @property
    def num_logprobs(self) -> int | None:
        return self.top_logprobs if self.logprobs else None


class TextCompletionRequest(BaseModel):
    """Body of a request to complete a text or token ids, or several of them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str = "teacher"
    prompt: PromptField
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=0)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None
    n: Literal[1] = 1
    echo: bool = False
    logprobs: int | None = Field(None, ge=ALL_TOKENS)
    prompt_logprobs: int | None = Field(None, ge=ALL_TOKENS)
    add_special_tokens: bool = True
    return_tokens_as_token_ids: bool = False
    return_token_ids: bool = False
    stream: Literal[False] = False

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        return DEFAULT_MAX_TOKENS if value is None else value

    @property
    def prompts(self) -> Sequence[str | tuple[int, ...]]:
        """One or several prompts. Raises Rejected when there is none."""
        prompt = self.prompt
        prompts = [prompt] if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)) else list(prompt)
        if not prompts or not all(prompts):
            raise bad_request("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
        return prompts  # type: ignore[return-value]

    @property
    def num_prompt_logprobs(self) -> int | None:
        """As in vLLM, `echo` with `logprobs` scores the prompt too."""
        return self.logprobs if self.prompt_logprobs is None and self.echo else self.prompt_logprobs


class TokenizeRequest(BaseModel):
    """Body of a request to tokenize a text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = "teacher"
    prompt: str
    add_special_tokens: bool = True


def bad_request(message: str, parameter: str | None = None) -> Rejected:
    return Rejected("invalid", vllm_error(400, "BadRequestError", message, parameter))


def vllm_error(status: int, kind: str, message: str, parameter: str | None = None) -> HttpReply:
    return reply(status, {"error": {"message": message, "type": kind, "param": parameter, "code": status}})


def too_long(prompt_tokens: int, max_tokens: int, max_model_len: int) -> Rejected:
    """Source: vLLM's `renderers/params.py`."""
    return bad_request(
        f"This model's maximum context length is {max_model_len} tokens. However, you requested {max_tokens} output "
        f"tokens and your prompt contains {prompt_tokens} input tokens, for a total of {prompt_tokens + max_tokens} "
        "tokens. Please reduce the length of the input prompt or the number of requested output tokens. "
        f"(parameter=input_tokens, value={prompt_tokens})",
        "input_tokens",
    )


def too_many_logprobs(kind: Literal["sample", "prompt"], count: int, most: int) -> Rejected:
    """Source: `_validate_logprobs` in vLLM's `sampling_params.py`."""
    return bad_request(
        f"Requested {kind} logprobs of {count}, which is greater than max allowed: {most}",
        "logprobs" if kind == "sample" else "prompt_logprobs",
    )


def extra_parameter(name: str) -> Rejected:
    """The error of Azure's serverless endpoints for a parameter outside their API.

    Source: langchain-ai/langchain#29679, and the header `extra-parameters` of the Azure AI Model Inference API.
    """
    message = (
        f"Extra parameters ['{name}'] are not allowed when extra-parameters is not set or set to be 'error'. Set "
        "extra-parameters to 'pass-through' to pass to the model."
    )
    return Rejected("invalid", reply(400, {"detail": message}))
