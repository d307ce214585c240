"""White-box teachers: frozen models in the process of the training, which read the student's tokens."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BitsAndBytesConfig

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.train import TrainConfig
from azdistill.students.chat_template import template_of
from azdistill.students.gpus import require_bfloat16
from azdistill.students.loading import Student, best_device, best_dtype, load_student
from azdistill.students.probe import TEXT
from azdistill.training.architecture import has_known_logits, logit_transform
from azdistill.training.dataset import TokenizedRows
from azdistill.training.objective import TeacherStates

TeacherQuantization = Literal["none", "8bit", "4bit"]

# Tokens that only one of two tokenizers has and whose texts both must split in the same way.
MOST_LATER_TOKENS = 100

# Tokens of an error that shows how two tokenizers split a text.
SHOWN_TOKENS = 3


@dataclass(frozen=True)
class WhiteBoxTeacher:
    """A frozen causal language model in evaluation mode.

    Ids below `vocabulary` are the same tokens for it and the student; other ids are padding, or tokens that only one
    of the two has. `weight` multiplies the loss terms that compare the student with this teacher.
    """

    model: Any
    vocabulary: int
    weight: float = 1.0

    @torch.no_grad()
    def read(self, inputs: Mapping[str, Any], options: Mapping[str, bool]) -> Any:
        """The outputs of the layers for the inputs of the student, in the arithmetic of the teacher's own weights.

        `options` are those of transformers, such as `output_hidden_states`. The first output has the final hidden
        states, of shape (rows, length, width). Padding may be a token that only the student has, which no target sees.
        """
        ids = inputs["input_ids"].clamp(max=self.vocabulary - 1)
        with torch.autocast(ids.device.type, enabled=False):
            return self.model.base_model(**{**inputs, "input_ids": ids}, use_cache=False, **options)

    def read_rows(self, inputs: Mapping[str, Any], rows: torch.Tensor) -> tuple[torch.Tensor]:
        """The final hidden states for the rows of a mask, and 0 for the others."""
        states = self.read({name: value[rows] for name, value in inputs.items()}, {})[0]
        of_all = states.new_zeros(*inputs["input_ids"].shape, states.shape[-1])
        of_all[rows] = states
        return (of_all,)

    def states_of(self, hidden: torch.Tensor) -> TeacherStates:
        """The distributions of this teacher, by its final hidden states at N target tokens, shape (N, width)."""
        head, transform = self.model.get_output_embeddings(), logit_transform(self.model.config)
        return TeacherStates(hidden.to(head.weight.dtype), head, transform, self.vocabulary, self.weight)


def load_teachers(folders: Sequence[Path], student: Student, config: TrainConfig) -> tuple[WhiteBoxTeacher, ...]:
    """Load the models of section `white_box`. Raises InputError without one for a loss that needs it."""
    if not folders and config.needs_white_box:
        raise InputError(
            "needs a white-box teacher",
            code="missing_teacher",
            field=("train", "losses"),
            fix="name the folder of a model in section white_box",
        )
    weights = [float(text) for text in (config.white_box_weights or ",".join("1" for _ in folders)).split(",") if text]
    if len(weights) != len(folders):
        raise InputError(
            f"has {len(weights)} weights, and there are {len(folders)} white-box teachers",
            code="wrong_length",
            field=("train", "white_box_weights"),
            value=config.white_box_weights,
            fix="name a weight for each",
        )
    if config.teacher_dtype == "bfloat16":
        require_bfloat16(best_device())
    options = (config.teacher_dtype, config.teacher_quantization, config.attn_implementation)
    return tuple(
        load_teacher(folder, student, weight, *options) for folder, weight in zip(folders, weights, strict=True)
    )


def check_logits(teachers: Sequence[WhiteBoxTeacher]) -> None:
    """Raise InputError for a teacher whose logits are not those of its output layer."""
    for teacher in teachers:
        if not has_known_logits(teacher.model):
            raise InputError(
                f"the logits of {type(teacher.model).__name__} are not those of its output layer",
                subject="white-box teacher",
                code="unknown_logits",
                field=("train", "losses", "logits"),
                fix="choose another teacher, or remove logits",
            )


def check_tokens(rows: TokenizedRows, teachers: Sequence[WhiteBoxTeacher], tokenizer: Any) -> None:
    """Raise DataError for a row with a token that a teacher does not have."""
    for teacher in teachers:
        if teacher.vocabulary < len(tokenizer) and (largest := rows.largest_token()) >= teacher.vocabulary:
            raise DataError(
                f"token {largest} of the training rows, {tokenizer.convert_ids_to_tokens(largest)!r}, is unknown to a "
                f"white-box teacher, which has the first {teacher.vocabulary} tokens of the student",
                code="other_tokenizer",
                fix="set student.chat_template to a template without this token, or choose another teacher",
            )


def load_teacher(
    folder: Path,
    student: Student,
    weight: float = 1.0,
    dtype: str = "auto",
    quantization: TeacherQuantization = "none",
    attn_implementation: str = "auto",
) -> WhiteBoxTeacher:
    """Load the model in `folder` onto the GPU where there is one, else onto the CPU.

    `dtype` auto is bfloat16 on a GPU that computes in it, else float32. Quantization needs a GPU. The chat template is
    not that of the folder: the teacher reads rows as the student renders them. Raises DataError for a folder without a
    usable model, and for a tokenizer that is not the student's.
    """
    dtype = best_dtype() if dtype == "auto" else dtype
    with _named_as_teacher(folder):
        loaded = load_student(
            folder,
            dtype=dtype,
            chat_template=template_of(student.tokenizer),
            attn_implementation=attn_implementation,
            quantization=_quantization(quantization, dtype),
        )
        vocabulary = shared_vocabulary(loaded.tokenizer, student.tokenizer, folder)
    return WhiteBoxTeacher(loaded.model.requires_grad_(False), vocabulary, weight)


def shared_vocabulary(teacher: Any, student: Any, folder: Path) -> int:
    """Number of first ids that are the same tokens in two tokenizers. The longer one may have more tokens.

    The models of a family have the same tokenizer and embeddings of different lengths, such as 151,936 and 152,064 of
    Qwen2.5: ids without a token are padding. Raises DataError if an id is another token, if the teacher does not have
    a token that the student has at a lower id than its last one, or if both split a text differently: a tokenizer with
    more merges has the tokens of the one with fewer.
    """
    of_teacher, of_student = _tokens(teacher), _tokens(student)
    length = min(max(of_teacher), max(of_student)) + 1
    for index in range(length):
        if index in of_student and of_teacher.get(index) != of_student[index]:
            raise _other_tokenizer(
                folder, f"token {index} is {of_teacher.get(index)!r}, and {of_student[index]!r} for the student"
            )
    for text in (TEXT, *_texts_of_later_tokens(teacher, length), *_texts_of_later_tokens(student, length)):
        split, expected = (tokenizer.tokenize(text, add_special_tokens=False) for tokenizer in (teacher, student))
        if split != expected:
            start = next(index for index, pair in enumerate(zip_longest(split, expected)) if pair[0] != pair[1])
            split, expected = (tokens[start : start + SHOWN_TOKENS] for tokens in (split, expected))
            raise _other_tokenizer(folder, f"it splits a text into {split}, and that of the student into {expected}")
    return length


def _other_tokenizer(folder: Path, difference: str) -> DataError:
    return DataError(
        f"its tokenizer is not that of the student: {difference}",
        subject=f"student {str(folder)!r}",
        code="other_tokenizer",
        fix="choose a teacher with the student's tokenizer, or use its log probabilities: train.losses.top_k",
    )


def _texts_of_later_tokens(tokenizer: Any, first: int) -> list[str]:
    """The texts of the next tokens from id `first` on, without added tokens, whose texts are in no plain text."""
    added = set(tokenizer.get_added_vocab().values())
    later = sorted(index for index in tokenizer.get_vocab().values() if index >= first and index not in added)
    return [tokenizer.decode([index]) for index in later[:MOST_LATER_TOKENS]]


def _tokens(tokenizer: Any) -> dict[int, str]:
    return {index: token for token, index in tokenizer.get_vocab().items()}


def _quantization(name: TeacherQuantization, dtype: str) -> BitsAndBytesConfig | None:
    if name == "none":
        return None
    if name == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
    )


@contextmanager
def _named_as_teacher(folder: Path) -> Iterator[None]:
    """Errors of the folder name it as a teacher: the functions that load a student name it as one."""
    try:
        yield
    except DataError as error:
        name = f"white-box teacher {str(folder)!r}"
        raise DataError(problems=[replace(problem, subject=name) for problem in error.problems]) from error
