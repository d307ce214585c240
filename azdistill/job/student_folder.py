"""Check a student's folder without loading it, and the rows: what train would refuse after the teacher is paid."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import SpecError
from azdistill.contracts.files import read_limited
from azdistill.contracts.problems import Problem, has_errors
from azdistill.contracts.time_limit import TimeLimitExceeded
from azdistill.job.chat_template import MAX_BYTES, chat_template_file, read_chat_template
from azdistill.job.paths import folder_tree, is_remote
from azdistill.job.student_rows import long_rows, rejected_rows

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ADAPTER = "adapter_config.json"
FOLDER_OF_MODEL = "set the folder of the model's Hugging Face files: config.json, tokenizer and *.safetensors"
CHOOSE_TEMPLATE = "set student.chat_template to chatml or to the file of a template"
PICKLED = ("*.bin", "*.pt", "*.pth")

# Largest file that is read: tokenizer_config.json lists all added tokens.
MAX_JSON_BYTES = 20_000_000

# Endings of the classes of models that do not generate text from left to right.
OTHER_HEADS = (
    "ForMaskedLM",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForSequenceClassification",
    "ForTokenClassification",
)

# Values of model_type of encoders, which are decoders only with is_decoder: true.
ENCODERS = (
    "albert",
    "bert",
    "big_bird",
    "camembert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "eurobert",
    "modernbert",
    "mpnet",
    "nomic_bert",
    "roberta",
    "xlm-roberta",
)


def check_student(job: "DistillationJob") -> None:
    """Raise SpecError for a student that cannot be trained on the rows."""
    problems = list(student_problems(job))
    if has_errors(problems):
        raise SpecError(problems=problems)


def student_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Find what the folder of a student lacks, errors of its chat template, and rows that it cannot be trained on.

    Of a student that is not on this machine only the chosen template is checked.
    """
    folder = Path(job.student.model)
    if not is_remote(job.student.model) and os.path.isfile(folder):
        yield _problem(job, "not_a_folder", "is a file", FOLDER_OF_MODEL)
        return
    is_local = not is_remote(job.student.model) and os.path.isdir(folder)
    config = _nearest(folder, "config.json") if is_local else None
    tokenizer = _nearest(folder, "tokenizer_config.json") if is_local else None
    if is_local:
        model = config or _nearest(folder, ADAPTER) or folder
        if os.path.isfile(model / ADAPTER):
            base = _read(model / ADAPTER).get("base_model_name_or_path") or "its base model"
            fix = f"merge it into {base} and set the folder of the merged model"
            yield _problem(job, "adapter", f"holds an adapter ({ADAPTER}), not a complete model", fix)
            return
        if config is None and (gguf := _first_gguf(folder)):
            yield _problem(job, "gguf", f"has only a GGUF file ({gguf}), which cannot be trained", FOLDER_OF_MODEL)
            return
        yield from _file_problems(job, config, tokenizer)
    yield from _template_problems(job, tokenizer)
    yield from long_rows(job, _positions(config))


def tokenizer_file(job: "DistillationJob") -> Path | None:
    """tokenizer.json in the folder of a student on this machine."""
    owner = None if is_remote(job.student.model) else _nearest(Path(job.student.model), "tokenizer.json")
    return owner / "tokenizer.json" if owner else None


def context_length(job: "DistillationJob") -> int | None:
    """Positions of a student on this machine, tokens. None where they are unknown."""
    return None if is_remote(job.student.model) else _positions(_nearest(Path(job.student.model), "config.json"))


def _file_problems(job: "DistillationJob", config: Path | None, tokenizer: Path | None) -> Iterator[Problem]:
    if config is None:
        yield _problem(job, "missing_file", "no config.json", FOLDER_OF_MODEL)
    else:
        yield from _config_problems(job, config)
    if tokenizer is None:
        yield _problem(job, "missing_file", "no tokenizer_config.json", "copy the files of its tokenizer")


def _template_problems(job: "DistillationJob", tokenizer: Path | None) -> Iterator[Problem]:
    """Problems of the template that the job sets, or of the tokenizer's own, and the rows that it rejects."""
    name = job.student.chat_template
    if name is None:
        template, fix = _template(tokenizer) if tokenizer else "", CHOOSE_TEMPLATE
        if tokenizer and not template:
            fix = f"{CHOOSE_TEMPLATE}, or choose a chat or instruct model"
            yield _problem(job, "no_chat_template", "its tokenizer has no chat template", fix)
    elif is_remote(name) or not os.path.isfile(chat_template_file(name)):
        return  # a missing file is a problem of the job itself
    else:
        try:
            template, fix = read_chat_template(name), "correct it"
        except (OSError, ValueError) as problem:
            yield _template_problem(job, "invalid_template", str(problem), "save it as UTF-8")
            return
    if template:
        yield from _rendering_problems(job, template, tokenizer, fix)


def _rendering_problems(job: "DistillationJob", text: str, tokenizer: Path | None, fix: str) -> Iterator[Problem]:
    from jinja2 import TemplateSyntaxError

    from azdistill.job.template_rendering import StudentTemplate, special_tokens

    try:
        template = StudentTemplate(
            text, special_tokens(_read(tokenizer / "tokenizer_config.json") if tokenizer else {})
        )
    except TemplateSyntaxError as error:
        message = f"its chat template is no valid Jinja (line {error.lineno}: {error.message})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    except (RecursionError, MemoryError, SyntaxError, TimeLimitExceeded) as error:
        message = f"its chat template is nested too deeply or too long ({type(error).__name__})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    if reason := template.error():
        message = f"its chat template can't render a question and its answer ({reason})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    for message in rejected_rows(job, template):
        yield _template_problem(job, "template_rejects_roles", message, "change the rows, or set student.chat_template")


def _template_problem(job: "DistillationJob", code: str, message: str, fix: str) -> Problem:
    """A problem of the template: of the one that the job sets, or of the student's own."""
    if job.student.chat_template is None:
        return _problem(job, code, message, fix)
    field = ("student", "chat_template")
    return Problem(code=code, message=message, fix=fix, field=field, value=job.student.chat_template)


def _positions(config: Path | None) -> int | None:
    """The number of tokens that a model has positions for; None where it is unknown."""
    content = _read(config / "config.json") if config else {}
    section = content.get("text_config")
    positions = (section if isinstance(section, dict) else content).get("max_position_embeddings")
    return positions if isinstance(positions, int) and positions > 0 else None


def _config_problems(job: "DistillationJob", config: Path) -> Iterator[Problem]:
    content = _read(config / "config.json")
    names = content.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    is_encoder = content.get("model_type") in ENCODERS and content.get("is_decoder") is not True
    if content.get("is_encoder_decoder") is True or is_encoder or name.endswith(OTHER_HEADS):
        kind = name or ("an encoder" if is_encoder else "an encoder and decoder")
        yield _problem(job, "not_causal", f"{kind} is no causal language model", "choose a chat or instruct model")
    if job.student.weights == "pretrained" and content.get("quantization_config"):
        fix = "set the folder of the model before quantization; method qlora quantizes it while it trains"
        yield _problem(job, "quantized_student", "its weights are quantized", fix)
    if job.student.weights == "pretrained" and not any(config.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLED for path in config.glob(pattern))
        message = "no *.safetensors next to config.json" + (f", only pickled {pickled[0]}" if pickled else "")
        fix = "convert them to safetensors" if pickled else "download them"
        yield _problem(job, "no_weights", message, f"{fix}, or set student.weights: random to train from scratch")


def _problem(job: "DistillationJob", code: str, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, fix=fix, field=("student", "model"), value=job.student.model)


def _nearest(folder: Path, name: str) -> Path | None:
    """The folder with the file `name` that is the fewest levels below `folder`: MLflow's layout has several levels."""
    owners = (path for path in folder_tree(folder) if os.path.isfile(path / name))
    return min(owners, key=lambda path: (len(path.parts), path), default=None)


def _first_gguf(folder: Path) -> str | None:
    """Name of the first GGUF file of a folder: the format of llama.cpp."""
    return next((path.name for inner in folder_tree(folder) for path in sorted(inner.glob("*.gguf"))), None)


def _template(tokenizer: Path) -> str:
    """The default chat template of a tokenizer, empty without one."""
    if os.path.isfile(file := tokenizer / "chat_template.jinja"):
        return _text(file, MAX_BYTES)
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _read(tokenizer / name).get("chat_template")
        if isinstance(template, list):  # several by name
            named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
            template = named.get("default")
        if isinstance(template, str) and template.strip():
            return template
    return ""


def _read(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty for one that can't be read, which transformers reports."""
    try:
        content = json.loads(_text(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(path: Path, most: int) -> str:
    """Text of a file of at most `most` bytes; empty for one that can't be read."""
    try:
        return read_limited(path, most).decode("utf-8", errors="replace")
    except OSError:
        return ""
