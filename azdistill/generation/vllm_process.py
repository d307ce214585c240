"""`python -m azdistill.generation.vllm_process REQUEST ANSWERS`: answer tokenized prompts by vLLM.

Source of the classes: https://docs.vllm.ai/en/stable/api/vllm/#vllm.LLM
"""

import sys
from pathlib import Path
from typing import Any

from azdistill.contracts.files import read_json, write_json


def main(request_file: Path, answers_file: Path) -> None:
    """Write token ids without the end token, and whether the answer was truncated, for each prompt of the request."""
    from vllm import LLM, SamplingParams

    request: dict[str, Any] = read_json(request_file)
    ends = request["ends"]
    llm = LLM(
        model=request["model"],
        dtype=request["dtype"],
        max_model_len=request["max_model_len"],
        gpu_memory_utilization=request["gpu_memory_utilization"],
        load_format="safetensors",
        generation_config="vllm",
        skip_tokenizer_init=True,
        trust_remote_code=False,
    )
    settings = [
        SamplingParams(temperature=0.0, max_tokens=limit, stop_token_ids=ends, detokenize=False)
        for limit in request["limits"]
    ]
    outputs = llm.generate([{"prompt_token_ids": prompt} for prompt in request["prompts"]], settings, use_tqdm=False)
    answers = []
    for output in outputs:
        tokens = list(output.outputs[0].token_ids)
        has_ended = bool(tokens) and tokens[-1] in ends
        answers.append([tokens[:-1] if has_ended else tokens, not has_ended])
    write_json(answers_file, answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
