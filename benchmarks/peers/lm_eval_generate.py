"""Greedy answers by lm-eval's backend hf, on the prompts of the benchmark: one process, one thread.

Runs in a separate virtual environment: `lm_eval_generate.py MODEL BATCH_SIZE MAX_NEW_TOKENS` prints one line of JSON:
`cpu_s` (CPU-seconds of `generate_until`) and `texts`.
"""

import json
import sys
import time
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM


def main(folder: Path, batch_size: int, max_new_tokens: int) -> None:
    torch.set_num_threads(1)
    model = HFLM(
        pretrained=str(folder),
        device="cpu",
        dtype="float32",
        batch_size=batch_size,
        max_length=4096,
        add_bos_token=False,
    )
    texts = json.loads((folder / "prompts.json").read_text())["texts"]
    model.generate_until(requests(texts[:2], 4), disable_tqdm=True)
    started = time.process_time()
    answers = model.generate_until(requests(texts, max_new_tokens), disable_tqdm=True)
    print(json.dumps({"cpu_s": time.process_time() - started, "texts": answers}))


def requests(texts: list[str], max_new_tokens: int) -> list[Instance]:
    settings = {"until": [], "max_gen_toks": max_new_tokens, "do_sample": False}
    return [Instance("generate_until", {}, (text, dict(settings)), number) for number, text in enumerate(texts)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
