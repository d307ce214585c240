"""500 hostile files of the kinds that `azdistill validate` reads: it must end with exit code 0 or 2, and quickly.

`python -m benchmarks.robust_files` prints `yaml_files` and `yaml_slowest_s`, the seconds of the slowest validation: of
the command in a process that has already imported it, from the arguments to the exit code, by the wall clock. Every
file is validated in its own fork of that process, one after the other, so that a crash or an endless loop ends only
that file. A validation of more than a second is repeated twice, and the fastest counts: other work on the machine is
not the file's. The benchmark fails on a traceback, a signal, another exit code, a result that is not a list of
problems, or more than `LIMIT_S`.
"""

import io
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.cli.main import main as azdistill

SEED, FILES, LIMIT_S = 17, 500, 20.0
MAX_BYTES = 1_000_000

JOB = """\
name: small
task: task.py
metrics: metric.py
seed: 7
data: {training_data: rows.jsonl, test_data: test.jsonl, slice_columns: [topic]}
teacher:
  policy: route
  teachers:
    - {model: DeepSeek-V3.2, connection: deepseek, input_price: 0.5}
    - {model: gpt-4o, endpoint: "https://example.com/v1", key_variable: KEY}
  prompting: {system_prompt: Be brief.}
student: {model: student, weights: random}
train: {method: lora, learning_rate: 2e-4}
evaluate: {primary_metric: own, gates: {min_gain: 0.1}}
judge: {rubric: rubric.md, human_labels: labels.jsonl, judge_model: {model: gpt-4o, connection: judge}}
regressions:
  - {name: safe, data: rows.jsonl, task: conversation, metric: refused, min_gain: -0.02}
simulation: {gpt-4o: {latency_ms: 5}}
compute: {gpu: serverless, gpu_instance_type: Standard_NC24ads_A100_v4}
outputs: {registered_model: small}
tags: {project: small}
catalog: catalog.yaml
"""

SHORT_JOB = """\
task_type: conversation
training_data: rows.jsonl
test_data: test.jsonl
teacher_model: DeepSeek-V3.2
student_model: student
hyperparameters: {learning_rate: 2e-5, temperature: 0.7}
"""

NATIVE_JOB = """\
type: distillation
name: small
data_generation_type: label_generation
data_generation_task_type: CONVERSATION
teacher_model_endpoint_connection: {type: serverless, name: teacher, endpoint: "https://example.com", api_key: x}
student_model: "azureml://registries/azureml-meta/models/Meta-Llama-3.1-8B-Instruct/versions/2"
training_data: {type: uri_file, path: rows.jsonl}
validation_data: {type: uri_file, path: test.jsonl}
teacher_model_settings: {inference_parameters: {temperature: 0.1, max_tokens: 100}}
prompt_settings: {enable_chain_of_thought: true}
hyperparameters: {learning_rate: "0.00002", num_train_epochs: "1"}
outputs: {registered_model: {type: mlflow_model, name: small}}
"""

PIPELINE = """\
type: pipeline
name: hostile
tags: {a: b}
settings: {default_compute: "azureml:cpu", continue_on_step_failure: true}
inputs:
  rows: {type: uri_file, path: rows.jsonl}
  seed: 7
outputs:
  result: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/w/paths/a/${{name}}"}
jobs:
  first:
    type: command
    component: component.yml
    environment_variables: {WORD: a}
    inputs: {rows: "${{parent.inputs.rows}}", seed: "${{parent.inputs.seed}}"}
    outputs: {out: "${{parent.outputs.result}}"}
  second:
    type: parallel
    component: parallel.yml
    inputs: {rows: "${{parent.jobs.first.outputs.out}}"}
  third:
    type: sweep
    trial: component.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
    search_space: {seed: {type: randint, upper: 9}}
    sampling_algorithm: random
    objective: {goal: maximize, primary_metric: score}
    limits: {max_total_trials: 4, timeout: 600}
    early_termination: {type: bandit, slack_factor: 0.1, evaluation_interval: 1}
  fourth:
    command: python run.py $[[--rows ${{inputs.rows}}]] --out ${{outputs.out}}
    environment: file:environment.yml
    resources: {instance_count: 2, shm_size: 2g}
    distribution: {type: pytorch, process_count_per_instance: 1}
    identity: {type: managed}
    inputs: {rows: {type: uri_folder, path: "azureml:iris:1"}}
    outputs: {out: {type: uri_folder}}
"""

COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: component
inputs:
  rows: {type: uri_file}
  seed: {type: integer, default: 3, min: 0, max: 9}
  word: {type: string, optional: true, enum: [a, b]}
outputs:
  out: {type: uri_folder}
code: code
additional_includes: [rows.jsonl]
environment: file:environment.yml
command: python run.py --rows ${{inputs.rows}} --seed ${{inputs.seed}} $[[--word ${{inputs.word}}]] > ${{outputs.out}}/a
"""

PARALLEL = """\
type: parallel
name: parallel
inputs: {rows: {type: uri_folder}}
outputs: {all: {type: uri_file}}
input_data: ${{inputs.rows}}
mini_batch_size: "10"
retry_settings: {max_retries: 2, timeout: 60}
task:
  type: run_function
  code: code
  entry_script: run.py
  program_arguments: --rows ${{inputs.rows}}
  append_row_to: ${{outputs.all}}
  environment: file:environment.yml
"""

ENVIRONMENT = """\
name: small
version: 1
image: ubuntu
conda_file: conda.yml
tags: {a: b}
"""

TASK = """\
def case(record): return None
def answer(text): return text
def correct(answer, reference): return True
"""

# A student, job files, a pipeline with components of three kinds, and everything that they include.
VALID: Mapping[str, str] = {
    "job.yaml": JOB,
    "short.yaml": SHORT_JOB,
    "native.yaml": NATIVE_JOB,
    "catalog.yaml": "teachers: {my-teacher: {parameters: 70, context: 8192}}\n",
    "pipeline.yml": PIPELINE,
    "component.yml": COMPONENT,
    "parallel.yml": PARALLEL,
    "environment.yml": ENVIRONMENT,
    "conda.yml": "dependencies: [python=3.11, {pip: [numpy]}]\n",
    "task.py": TASK,
    "metric.py": "def score(answer, references): return 1.0\n",
    "rubric.md": "A good answer is short.\n",
    "labels.jsonl": '{"id": "a", "answers": ["x", "y"], "preference": "first"}\n',
    "rows.jsonl": '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n',
    "test.jsonl": '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Hello"}]}\n',
    "code/run.py": "def init(): pass\ndef run(batch): return batch\n",
    "student/config.json": '{"model_type": "llama", "max_position_embeddings": 512}\n',
    "student/tokenizer_config.json": '{"eos_token": "</s>"}\n',
    "student/model.safetensors": "",
    "student/chat_template.jinja": "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}",
}

# The files that are attacked, and for each the one that is validated.
YAML_TARGETS: Mapping[str, str] = {
    **{name: name for name in ("job.yaml", "short.yaml", "native.yaml", "pipeline.yml", "component.yml")},
    **dict.fromkeys(("parallel.yml", "environment.yml", "conda.yml"), "pipeline.yml"),
    "catalog.yaml": "job.yaml",
}
INCLUDED_TARGETS = ("labels.jsonl", "rows.jsonl", "student/config.json", "student/tokenizer_config.json")
CODE_TARGETS = ("task.py", "metric.py", "rubric.md", "student/chat_template.jinja")


@dataclass(frozen=True)
class HostileFile:
    """Content of one of the files of `VALID`, and the file to validate. A Path is a link to create instead."""

    kind: str
    name: str
    validated: str
    content: bytes | Path


Text = Callable[[random.Random, int], str]


def bomb(rng: random.Random, size: int) -> str:
    """Aliases of aliases in one flow sequence."""
    levels, width = rng.randint(3, 30), rng.randint(2, 30)
    entries = ["&a0 [x]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels))]
    return f"[{', '.join(entries)}]"


def merge_bomb(rng: random.Random, size: int) -> str:
    levels, width = rng.randint(3, 30), rng.randint(2, 30)
    entries = ["&m0 {x: 1}"]
    entries += [f"&m{n} {{<<: [{', '.join([f'*m{n - 1}'] * width)}], k{n}: 1}}" for n in range(1, levels)]
    return f"[{', '.join(entries)}]"


def many_merges(rng: random.Random, size: int) -> str:
    """One large mapping that many others merge."""
    keys = rng.randint(2, 3000)
    base = ", ".join(f"k{n}: 1" for n in range(keys))
    return f"[&b {{{base}}}, {', '.join(['{<<: *b}'] * min(size // 10, 20_000))}]"


def self_reference(rng: random.Random, size: int) -> str:
    return rng.choice(("&a [*a]", "&a {k: *a}", "&a {<<: *a}", "&a [&b [*a, *b]]", "&a {<<: [{}, *a], k: [*a]}"))


def nested_flow(rng: random.Random, size: int) -> str:
    opening, closing = rng.choice((("[", "]"), ("{a: ", "}"), ("{? ", "}"), ("[{a: [", "]}]"), ('{"a":', "}")))
    depth = size // len(opening + closing)
    return opening * depth + rng.choice(("", closing * depth, "x" + closing * (depth // 2)))


def nested_block(rng: random.Random, size: int) -> str:
    if rng.random() < 0.5:
        return "\n" + rng.choice(("- ", "? ", "- - ", "-\t")) * (size // 2) + "x"
    depth = int(size**0.5)
    return "\n" + "\n".join(" " * (level + 2) + "a:" for level in range(depth)) + " x"


def many_keys(rng: random.Random, size: int) -> str:
    """Unknown keys, some close to known ones."""
    stem = rng.choice(("k", "inputs", "teacher_model_", "data.", "x" * 200, "é", "${{inputs.", "learning_rat"))
    count = size // (len(stem) + 10)
    return "{" + ", ".join(f'"{stem}{n}": {rng.choice(("1", "x", "[]", "{}", ""))}' for n in range(count)) + "}"


def many_values(rng: random.Random, size: int) -> str:
    value = rng.choice(("1", "a", "{}", "[]", "''", "~", "{a: 1}", "{type: uri_file}", "1.5", "{name: x}", "*x"))
    return f"[&x y, {', '.join([value] * (size // (len(value) + 2)))}]"


def expressions(rng: random.Random, size: int) -> str:
    """Unfinished, blank and many expressions, as Azure ML writes them."""
    part = rng.choice(
        ("${{", "${{ ", "$[[", "$[[${{", "${{inputs.a}}", "$[[${{inputs.a}}]]", "${{parent.inputs.a.", "'\"\\", "}}{{$")
    )
    text = part * (size // len(part)) if rng.random() < 0.6 else part + rng.choice(" .\t{$") * size
    return json.dumps(text)


def number(rng: random.Random, size: int) -> str:
    digits = rng.choice(("9", "1_", "0", "12345")) * (min(size, 200_000) // 2)
    return (
        rng.choice(("", "-", "0x", "0o", "1e", "1.", ".", "+")) + digits + rng.choice(("", "e9", ".", "_", "e-99999"))
    )


def special_number(rng: random.Random, size: int) -> str:
    return rng.choice((".inf", "-.inf", ".nan", "1e999", "-0", "1e-999", "9" * 400, "-" + "9" * 4299, "true", "null"))


def long_text(rng: random.Random, size: int) -> str:
    part = rng.choice(
        (
            "a",
            "aA1",
            " ",
            "\n",
            ".",
            "/",
            "../",
            "-",
            ":",
            "azureml:",
            "@",
            "=",
            ",",
            "://",
            "a@",
            "%",
            "é",
            "\U0001f600",
        )
    )
    before = rng.choice(
        ("", "azureml:", "azureml://registries/", "azureml://subscriptions/", "https://", "git+", "$(", "~")
    )
    return json.dumps(before + part * (size // len(part.encode())), ensure_ascii=False)


def escapes(rng: random.Random, size: int) -> str:
    part = rng.choice(("\\0", "\\e[31m", "\\u202e", "\\uffff", "\\x85", "\\ud800", "\\U0010ffff", "\\r", "\\L"))
    return f'"{part * (size // len(part))}"'


def tagged(rng: random.Random, size: int) -> str:
    tag = rng.choice(
        (
            "!!python/object/apply:os.system",
            "!!python/name:os.system",
            "!!binary",
            "!!set",
            "!!int",
            "!!map",
            "!!null",
            "!",
        )
    )
    return f"{tag} {rng.choice(('[x]', 'x', '{a: 1}', '5', '[' * min(size, 300)))}"


def hostile_path(rng: random.Random, size: int) -> str:
    return json.dumps(
        rng.choice(
            (
                "../" * rng.randint(1, 2000) + "etc/passwd",
                "/dev/zero",
                "/dev/random",
                "/proc/self/mem",
                "/",
                ".",
                "..",
                "a" * rng.randint(200, 5000),
                "\0",
                "a\0b",
                "~nobody-here/x",
                "~",
                "student",
                "fifo",
                "loop",
                "job.yaml",
                "pipeline.yml",
                "azureml://datastores/w/paths/../../x",
                "azureml://datastores/w/paths//etc",
                "file:/dev/zero",
                "zero.py",
                "zero.md",
                "zero.yml",
                "https://example.com/" + "a/" * 1000,
                "azureml:" + "a." * 5000,
                "/proc/1/root",
            )
        )
    )


VALUES: tuple[Text, ...] = (
    bomb,
    merge_bomb,
    many_merges,
    self_reference,
    nested_flow,
    nested_block,
    many_keys,
    many_values,
    expressions,
    number,
    special_number,
    long_text,
    escapes,
    tagged,
    hostile_path,
)


def replaced_value(rng: random.Random, text: str, value: str) -> str:
    """The document with the value of one field, of any depth, replaced."""
    positions = [index for index in range(len(text)) if text.startswith(": ", index)]
    position = rng.choice(positions) + 2
    ends = [text.find(mark, position) for mark in ("\n", ", ", "}")]
    end = min(index for index in ends if index >= 0)
    return text[:position] + value + text[end:]


def added_section(rng: random.Random, text: str, value: str) -> str:
    """The document with another value of one of its sections at the end, or of an unknown one."""
    sections = [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    name = rng.choice((*sections, "unknown", "<<", "? x\n"))
    kept = text if rng.random() < 0.2 else "\n".join(_without(text, name))
    return f"{kept}\n{name}: {value}\n"


def _without(text: str, section: str) -> list[str]:
    lines, skipped = [], False
    for line in text.splitlines():
        if not line.startswith((" ", "-")):
            skipped = line.startswith(f"{section}:")
        if not skipped:
            lines.append(line)
    return lines


def many_entries(rng: random.Random, size: int) -> str:
    """Pipelines of many jobs, and components of many inputs, each with something to report."""
    count = size // 60
    kind = rng.randrange(5)
    if kind == 0:
        jobs = (f"  n{n}: {{command: 'x ${{{{inputs.a}}}}', inputs: {{b: 1}}, unknown: 1}}\n" for n in range(count))
        return "type: pipeline\njobs:\n" + "".join(jobs)
    if kind == 1:
        inputs = "".join(f"  input_{n}: {{type: strin}}\n" for n in range(count))
        used = " ".join(f"${{{{inputs.inpu_{n}}}}}" for n in range(count))
        return f"type: command\nname: x\ninputs:\n{inputs}command: {used}\n"
    if kind == 2:
        jobs = (
            f"  n{n}: {{command: x, inputs: {{a: '${{{{parent.jobs.n{n + 1}.outputs.o}}}}'}}}}\n" for n in range(count)
        )
        return "type: pipeline\njobs:\n" + "".join(jobs)
    if kind == 3:
        jobs = (f"  n{n}: {{component: component.yml, inputs: {{rowz: 1, sead: 2}}}}\n" for n in range(count))
        return "type: pipeline\njobs:\n" + "".join(jobs)
    teachers = "".join(f"    - {{model: teacher{n % 7}, connection: c{n}, wait: 1}}\n" for n in range(count))
    return JOB.replace("  teachers:\n", f"  teachers:\n{teachers}")


def structure(rng: random.Random, size: int) -> str:
    """Documents that are no mapping, or mostly what YAML ignores."""
    part = rng.choice(
        (
            "---\n",
            "# comment\n",
            "\n",
            "...\n",
            "%YAML 1.2\n---\n",
            "%TAG ! a\n",
            "&a ",
            "a: 1\n",
            "? x\n: y\n",
            "- a\n",
        )
    )
    ends = (
        "",
        "type: pipeline\njobs: {}\n",
        "a: |\n" + " x\n" * 1000,
        "a: >\n  " + "x " * 10_000,
        'a: "',
        "a: '",
        "\t",
    )
    return part * (size // len(part)) + rng.choice(ends)


def encoded(rng: random.Random, text: str) -> bytes:
    """The document in another encoding, or with bytes that do not belong there."""
    data = text.encode()
    position = rng.randrange(len(data) + 1)
    odd = rng.choice(
        (b"\x00", b"\xff", b"\xed\xa0\x80", b"\x1b[2J", b"\xc2\x85", b"\xef\xbb\xbf", b"\x0c", b"\xf4\x90\x80\x80")
    )
    return rng.choice(
        (
            b"\xef\xbb\xbf" + data,
            text.encode("utf-16"),
            text.encode("utf-16-le"),
            text.encode("utf-32"),
            data[:position] + odd + data[position:],
            odd * (MAX_BYTES // len(odd)),
            rng.randbytes(rng.randint(1, 100_000)),
        )
    )


def hostile_json(rng: random.Random, size: int) -> str:
    """A line of JSON that is deep, long, wide or has odd values."""
    depth = size // 2
    return rng.choice(
        (
            "[" * size,
            "[" * depth + "]" * depth,
            '{"a":' * (size // 5),
            '{"messages":' + "[" * depth + "]" * depth + "}",
            '{"a":' * 600 + "1" + "}" * 600,
            '{"messages": [' + ", ".join(['{"role": "user", "content": "x"}'] * (size // 40)) + "]}",
            f'{{"a": {"9" * size}}}',
            '{"a": NaN}',
            '{"a": 1e999}',
            f'"{"a" * size}"',
            "{}\n" * (size // 3),
            "\x00" * size,
            '{"messages": 5}',
            '{"messages": [{"role": "' + "r" * size + '", "content": "x"}]}',
            "\ufeff{}",
            '{"\\ud800": "\\ud800"}',
            '{"max_position_embeddings": ' + "9" * 4000 + "}",
            '{"architectures": [[]], "model_type": {}}',
            '{"chat_template": [{"name": "default", "template": "{{ x }}"}, 5], "eos_token": []}',
            '{"id": "a", "answers": ["x", "y"], "preference": "' + "f" * size + '"}',
        )
    )


def hostile_code(rng: random.Random, size: int) -> str:
    """Python and Jinja source that is deep, long, or does not end."""
    deep = size // 2
    return rng.choice(
        (
            "(" * size,
            "x = " + "(" * deep + ")" * deep,
            "x = " + "-" * size + "1",
            "x = " + "a." * deep + "a",
            "[" * 90 + "]" * 90,
            "def case(record):\n" + "".join(f"{' ' * n}if x:\n" for n in range(1, 120)),
            "x = 1\n" * (size // 6),
            "\x00",
            f"x = {'9' * size}",
            "x = '" + "a" * size,
            "#" * size,
            "import " + ", ".join(["os"] * (size // 4)),
            "\ufeff" + TASK,
            "def case(" + ", ".join(f"a{n}" for n in range(size // 8)) + "): pass",
            "x" + " + x" * (size // 4),
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
            "{% for m in messages %}" * 300,
            "{{ " + "(" * deep + ")" * deep + " }}",
            "{{ 1" + " + 1" * (size // 4) + " }}",
            "{{ a }}" * (size // 7),
            "{%" + " " * size,
            "{{ messages * 99999999 }}",
            "{% set a = 'x' * 99999 %}{{ a * 99999 }}",
            "{% if a %}" * (size // 10),
            "{{ 'x'.join(range(99999)) }}",
            "{{ messages[0].__class__.__mro__ }}",
            "{#" * size,
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
            "{{ 9 ** 9 ** 9 }}",
            "{{ raise_exception('x' * 9999999) }}",
        )
    )


def links(root: Path) -> tuple[Path, ...]:
    return Path("/dev/zero"), Path("/dev/random"), root / "fifo", root / "loop", root, Path("/proc/self/mem")


def hostile_file(rng: random.Random, root: Path) -> HostileFile:
    size = int(10 ** rng.uniform(1, 6)) if rng.random() < 0.7 else MAX_BYTES
    share = rng.random()
    if share < 0.1:
        name = rng.choice((*INCLUDED_TARGETS, "rubric.md"))
        return HostileFile("json", name, "job.yaml", _cut(hostile_json(rng, size).encode(errors="surrogatepass")))
    if share < 0.2:
        return HostileFile("code", rng.choice(CODE_TARGETS), "job.yaml", _cut(hostile_code(rng, size).encode()))
    if share < 0.24:
        name = rng.choice((*YAML_TARGETS, *INCLUDED_TARGETS, *CODE_TARGETS))
        return HostileFile("link", name, YAML_TARGETS.get(name, "job.yaml"), rng.choice(links(root)))
    name, validated = rng.choice(list(YAML_TARGETS.items()))
    if share < 0.3:
        return HostileFile("structure", name, validated, _cut(structure(rng, size).encode()))
    if share < 0.37:
        return HostileFile("entries", "pipeline.yml", "pipeline.yml", _cut(many_entries(rng, size).encode()))
    if share < 0.45:
        return HostileFile("encoding", name, validated, _cut(encoded(rng, VALID[name])))
    make = rng.choice(VALUES)
    place = rng.choice((replaced_value, added_section))
    text = place(rng, VALID[name], make(rng, min(size, MAX_BYTES - 10_000)))
    return HostileFile(make.__name__, name, validated, _cut(text.encode(errors="surrogatepass")))


def _cut(content: bytes) -> bytes:
    return content[:MAX_BYTES]


@dataclass(frozen=True)
class Outcome:
    """Of a validation: its seconds, and what is wrong with its end; empty for exit code 0 or 2 with problems."""

    seconds: float
    fault: str


def run_command(arguments: list[str]) -> dict[str, Any]:
    """Run the command in this process: seconds, exit code, and the output or the traceback."""
    sys.argv = ["azdistill", *arguments]
    code: Any = None
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        try:
            azdistill()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"[:300]
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "code": code, "out": out.getvalue()}


def fault_of(result: Mapping[str, Any]) -> str:
    """The fault of a validation, or an empty text. Its output has to be a JSON list of objects."""
    if result["code"] not in (0, 2):
        return str(result["code"])
    try:
        problems = json.loads(result["out"])
    except ValueError:
        return f"no JSON: {result['out'][:100]!r}"
    if (result["code"] == 2) != any(problem["severity"] == "error" for problem in problems):
        return f"exit code {result['code']} with {len(problems)} problems"
    return ""


def validate(path: Path) -> Outcome:
    """Validate a file in a fork of this process, and end it after `LIMIT_S` seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        result = run_command(["validate", str(path), "--format", "json"])
        os.write(writer, json.dumps({"seconds": result["seconds"], "fault": fault_of(result)}).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], LIMIT_S)
    if not ready:
        os.kill(child, signal.SIGKILL)
    answer = os.read(reader, 1 << 16) if ready else b""
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if not answer:
        end = os.waitstatus_to_exitcode(status)
        return Outcome(LIMIT_S, f"no answer in {LIMIT_S:g} s" if not ready else f"ended by signal {-end}")
    return Outcome(**json.loads(answer))


def fastest(path: Path) -> Outcome:
    """The outcome of a validation; of a slow one without a fault, the fastest of three."""
    outcome = validate(path)
    if outcome.fault or outcome.seconds <= 1:
        return outcome
    return min((outcome, validate(path), validate(path)), key=lambda other: (not other.fault, other.seconds))


def write_valid(root: Path) -> None:
    for name, text in VALID.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to("loop")
    for name in ("zero.py", "zero.md", "zero.yml"):
        (root / name).symlink_to("/dev/zero")


def replaced(root: Path, file: HostileFile) -> None:
    """Write a hostile file in place of the valid one."""
    path = root / file.name
    path.unlink()
    if isinstance(file.content, Path):
        path.symlink_to(file.content)
    else:
        path.write_bytes(file.content)


def restored(root: Path, file: HostileFile) -> None:
    (root / file.name).unlink()
    (root / file.name).write_text(VALID[file.name])


def hostile_files(report: Callable[[str], None] = print) -> dict[str, Any]:
    """Validate the files. Ends the program with a list of the faults, if there are any."""
    slowest, faults = 0.0, []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_valid(root)
        for valid in YAML_TARGETS.values():  # also imports what the command imports lazily
            result = run_command(["validate", str(root / valid), "--format", "json"])
            if result["code"] != 0:
                sys.exit(f"{valid} is not valid: {result}")
        for number in range(FILES):
            file = hostile_file(random.Random(f"{SEED}-{number}"), root)
            replaced(root, file)
            outcome = fastest(root / file.validated)
            restored(root, file)
            slowest = max(slowest, outcome.seconds)
            if outcome.fault:
                faults.append(f"file {number} ({file.kind} in {file.name}): {outcome.fault}")
            if outcome.fault or outcome.seconds > 1:
                report(f"file {number} ({file.kind} in {file.name}): {outcome.seconds:.2f} s {outcome.fault}")
    if faults:
        sys.exit("\n".join([f"{len(faults)} of {FILES} files:", *faults]))
    return {"yaml_files": FILES, "yaml_slowest_s": round(slowest, 2)}


def main() -> None:
    figures = hostile_files()
    for figure, value in figures.items():
        print(f"{figure:<22} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
