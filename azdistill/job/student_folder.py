"""Check the files of a student's folder without loading them: what train would refuse after the teacher is paid."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import Problem
from azdistill.job.paths import is_remote

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ADAPTER = "adapter_config.json"
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
PICKLED = ("*.bin", "*.pt", "*.pth")

# Endings of the classes of models that do not generate text from left to right.
OTHER_HEADS = (
    "ForMaskedLM",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForSequenceClassification",
    "ForTokenClassification",
)


def check_student(job: "DistillationJob") -> None:
    """Raise SpecError for an incomplete folder."""
    if problems := list(student_problems(job)):
        raise SpecError(problems=problems)


def student_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Find what the folder of a student lacks. A student that is not on this machine has no problems."""
    folder = Path(job.student.model)
    if is_remote(job.student.model) or not folder.is_dir():
        return
    config, tokenizer = _nearest(folder, "config.json"), _nearest(folder, "tokenizer_config.json")
    model = config or _nearest(folder, ADAPTER) or folder
    if (model / ADAPTER).is_file():
        base = _read(model / ADAPTER).get("base_model_name_or_path") or "its base model"
        fix = f"merge it into {base} and set the folder of the merged model"
        yield _problem(job, "adapter", f"holds an adapter ({ADAPTER}), not a complete model", fix)
        return
    if config is None:
        yield _problem(job, "missing_file", "no config.json", "set the folder of a Hugging Face model")
    else:
        yield from _config_problems(job, config)
    if tokenizer is None:
        fix = "copy the files of its tokenizer"
        yield _problem(job, "missing_file", "no tokenizer_config.json", fix)
    elif not job.student.chat_template and not _has_template(tokenizer):
        fix = "set student.chat_template to chatml or to the file of a template, or choose a chat or instruct model"
        yield _problem(job, "no_chat_template", "its tokenizer has no chat template", fix)


def _config_problems(job: "DistillationJob", config: Path) -> Iterator[Problem]:
    content = _read(config / "config.json")
    names = content.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    if content.get("is_encoder_decoder") is True or name.endswith(OTHER_HEADS):
        kind = name or "an encoder and decoder"
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
    return min((path.parent for path in folder.rglob(name)), key=lambda path: (len(path.parts), path), default=None)


def _has_template(tokenizer: Path) -> bool:
    named = any((tokenizer / name).is_file() for name in TEMPLATE_FILES)
    return named or bool(_read(tokenizer / "tokenizer_config.json").get("chat_template"))


def _read(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty for one that can't be read, which transformers reports."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
