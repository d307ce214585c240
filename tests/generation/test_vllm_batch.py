"""Answers of vLLM in step predict. It needs a GPU: a substitute with its interface repeats transformers' answers."""

import json
from pathlib import Path

import pytest

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Prompt
from azdistill.generation.generate import generate
from azdistill.generation.predict import predict
from azdistill.generation.vllm_batch import SAMPLE, answers_of_vllm, use_vllm
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_prompts
from tests.students import tiny

SUBSTITUTE = """
import json, os, types
from pathlib import Path

class SamplingParams:
    def __init__(self, **settings):
        self.__dict__.update(settings)

class LLM:
    def __init__(self, model, dtype, **options):
        Path(os.environ["SEEN"]).write_text(json.dumps({"model": model, "dtype": dtype, **options}))

    def generate(self, prompts, settings, use_tqdm):
        if os.environ.get("BROKEN"):
            raise SystemExit("out of memory")
        known = json.loads(Path(os.environ["KNOWN"]).read_text())
        outputs = []
        for prompt, setting in zip(prompts, settings, strict=True):
            tokens, truncated = known[json.dumps(prompt["prompt_token_ids"])]
            tokens = tokens[:: -1 if os.environ.get("DIFFERENT") else 1] + setting.stop_token_ids[: not truncated]
            assert len(tokens) <= setting.max_tokens
            outputs.append(types.SimpleNamespace(outputs=[types.SimpleNamespace(token_ids=tokens)]))
        return outputs
"""
PROMPTS = [
    Prompt(id=f"{number:016x}", split="test", messages=tiny.turns(f"n{number}?"), source=f"p:{number}")
    for number in range(20)
]
CONFIG = PredictConfig(engine="vllm", max_new_tokens=6, latency_rows=0)
TRANSFORMERS = CONFIG.model_copy(update={"engine": "transformers"})


@pytest.fixture
def student(tmp_path):
    return load_student(tiny.write(tmp_path / "student"))


@pytest.fixture
def vllm(student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the substitute, and return the file with the arguments that it gets."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "vllm.py").write_text(SUBSTITUTE)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'packages'}:{Path.cwd()}")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    prompts = tokenize_prompts(student.tokenizer, [prompt.messages for prompt in PROMPTS])
    answers = generate(student, prompts, CONFIG.max_new_tokens, CONFIG.batch_size)
    known = zip(prompts, answers, strict=True)
    tokens = {json.dumps(prompt): (answer.token_ids, answer.truncated) for prompt, answer in known}
    (tmp_path / "known.json").write_text(json.dumps(tokens))
    monkeypatch.setenv("KNOWN", str(tmp_path / "known.json"))
    return tmp_path / "seen.json"


def test_random_weights_which_vllm_cannot_load_are_those_of_transformers(student):
    _, profile = predict(student, PROMPTS[:2], CONFIG.model_copy(update={"weights": "random"}))
    assert profile.engine == "transformers"


def test_answers_and_ends_are_those_of_transformers(student, vllm):
    expected, plain = predict(student, PROMPTS, TRANSFORMERS)
    answers, profile = predict(student, PROMPTS, CONFIG)
    assert answers == expected
    assert (plain.engine, plain.engine_agreement) == ("transformers", None)
    assert (profile.engine, profile.engine_agreement) == ("vllm", 1.0)
    seen = json.loads(vllm.read_text())
    assert (seen["model"], seen["dtype"], seen["trust_remote_code"]) == (str(student.folder), "float32", False)
    assert seen["load_format"] == "safetensors"


def test_other_answers_are_generated_again(student, vllm, monkeypatch, caplog):
    monkeypatch.setenv("DIFFERENT", "1")
    answers, profile = predict(student, PROMPTS, CONFIG)
    assert answers == predict(student, PROMPTS, TRANSFORMERS)[0]
    assert (profile.engine, profile.engine_agreement) == ("transformers", None)
    assert f"of {SAMPLE} answers of transformers, which generates all of them" in caplog.text


def test_a_failure_is_one_line(student, vllm, monkeypatch, capfd):
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(
        AzdistillError, match=r"vLLM ended with exit code 1; its messages are above; set predict\.engine"
    ):
        predict(student, PROMPTS, CONFIG)
    assert "out of memory" in capfd.readouterr().err


def test_where_nobody_asked_for_it_a_failure_is_a_warning(student, vllm, monkeypatch, caplog):
    monkeypatch.setenv("BROKEN", "1")
    assert answers_of_vllm(student, [[1, 2]], 4, 1, "auto") is None
    assert "vLLM ended with exit code 1" in caplog.text


def test_vllm_is_used_where_it_is_installed(student, vllm, tmp_path):
    assert use_vllm(student, "vllm")
    assert not use_vllm(student, "auto")  # without a GPU
    assert not use_vllm(student, "transformers")
    with pytest.raises(InputError, match="needs the folder of a complete model"):
        use_vllm(load_student(tiny.write(tmp_path / "other", weights=False), "random"), "vllm")


def test_without_vllm_it_is_wrong_input(student):
    with pytest.raises(InputError, match=r"predict\.engine='vllm': vLLM is not installed; set it to transformers"):
        use_vllm(student, "vllm")


@pytest.mark.gpu
def test_vllm_itself_gives_the_answers_of_transformers(tmp_path):
    folder = tiny.write(tmp_path / "base", hidden_size=128, num_attention_heads=2, head_dim=64)
    _, profile = predict(load_student(folder), PROMPTS, CONFIG)
    assert profile.engine == "vllm"
