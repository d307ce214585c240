"""Print what a run has about one row."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from azdistill.cli.render import console

if TYPE_CHECKING:
    from rich.text import Text

    from azdistill.contracts.rows import Message
    from azdistill.contracts.verdicts import AnswerScore
    from azdistill.local_runs.row_story import NearTrainingRow, RowStory, TeacherAnswer

# Settings of step curate that filter nothing.
NO_FILTERS = frozenset({"task", "labels", "seed", "min_teacher_accuracy", "max_drop_ratio"})
MODELS = ("student", "baseline", "teacher")


def print_story(story: "RowStory") -> None:
    """Print the steps of a row in their order."""
    from rich.text import Text

    for title, lines in _sections(story):
        console().print(f"\n{title}", style="bold", markup=False, highlight=False)
        console().print(Text("\n").join(lines), soft_wrap=True)


def _sections(story: "RowStory") -> "Iterator[tuple[str, list[Text]]]":
    for step, record in story.removed:
        if story.prompt is None:
            yield f"{story.source}: removed by step {step}", [_line(record.reason, record.detail)]
    if story.prompt is None:
        return
    prompt = story.prompt
    columns = [_line(name, value) for name, value in prompt.columns.items()]
    weight = [] if prompt.weight == 1 else [_line("weight", f"{prompt.weight:g}")]
    yield (
        f"row {prompt.id} of {story.source}",
        [_line("split", f"{prompt.split}, {_split_reason(story)}"), *weight, *columns, *_turns(prompt.messages)]
        + [_line("reference", gold) for gold in _golds(prompt.gold)],
    )
    for answer in story.answers:
        yield f"teacher {answer.completion.teacher}", list(_answer(answer, _teacher_route(story)))
    for step, record in story.removed:
        yield f"{'dropped' if step == 'curate' else 'removed'} by step {step}", [_line(record.reason, record.detail)]
    yield from _trained(story)
    if prompt.split == "test":
        yield from _tested(story)


def _trained(story: "RowStory") -> "Iterator[tuple[str, list[Text]]]":
    for split, row in story.training:
        *_, target = row.messages
        rows = "training row" if split == "train" else "validation row"
        filters = ", ".join(
            f"{name} {value}" for name, value in story.settings.get("curate", {}).items() if _is_set(name, value)
        )
        yield (
            f"{rows} {row.id}",
            [
                _line("passed the filters", filters or "none was set"),
                _line("weight", f"{row.weight:g}"),
                _line("target", target.content, "green"),
            ],
        )


def _tested(story: "RowStory") -> "Iterator[tuple[str, list[Text]]]":
    answers = dict(story.predictions)
    answers.update(("teacher", answer.completion.completion) for answer in story.answers)
    lines = [_line(_scored(story, name), answers[name], _style(story, name)) for name in MODELS if name in answers]
    if lines:
        yield "answers to this test row", lines
    if story.neighbors:
        yield (
            "training rows with the most similar prompts",
            [line for near in story.neighbors for line in _neighbor(near)],
        )


def _neighbor(near: "NearTrainingRow") -> "list[Text]":
    *prompt, target = near.row.messages
    turns = [turn for turn in prompt if turn.role != "system"]
    where = f"{near.source}, " if near.source else ""
    return [
        _line(f"similarity {near.similarity:.2f}", f"{where}row {near.row.id}"),
        *_turns(turns),
        _line("target", f"{target.content}\n", "green"),
    ]


def _answer(answer: "TeacherAnswer", route: str) -> "Iterator[Text]":
    row, call = answer.completion, answer.call
    usage = row.usage
    price = "no price is set" if answer.cost is None else f"{answer.cost:.6f} in the currency of the prices"
    yield _line("finish reason", f"{row.finish_reason}" + (f", sample {row.sample + 1}" if row.sample else ""))
    yield _line("tokens", f"{usage.prompt_tokens:,} of the prompt, {usage.completion_tokens:,} of the answer")
    yield _line("cost", price)
    yield _line("model in the reply", (call and call.model) or "not recorded")
    yield _line("calls", "not recorded" if call is None or call.attempts is None else str(call.attempts))
    yield _line("bought", _bought(call.from_store if call else None, route))
    if row.trace:
        yield _line("reasoning", row.trace)
    yield _line("answer", row.completion, "green")
    if answer.score:
        yield from _judged(answer.score)


def _judged(score: "AnswerScore") -> "Iterator[Text]":
    from azdistill.contracts.verdicts import HIGHEST

    yield _line("judge's score", "none" if score.score is None else f"{score.score:g} of {HIGHEST}")
    yield _line("judge's reply", "no complete reply" if score.reply is None else score.reply)


def _bought(from_store: bool | None, route: str) -> str:
    if route == "completions":
        return "no: the job has a file of completions"
    return {None: "not recorded", True: "before this run: it was in the store", False: "by this run"}[from_store]


def _teacher_route(story: "RowStory") -> str:
    return str(story.settings.get("teacher", {}).get("teacher_route", ""))


def _split_reason(story: "RowStory") -> str:
    assert story.prompt
    if story.written:
        return f"a new prompt that {story.written.teacher} wrote from {', '.join(story.written.seeds)}"
    split, prepare = story.prompt.split, story.settings.get("prepare", {})
    port = "training_data" if split == "train" else f"{split}_data"
    if port in story.files or "training_data" not in story.files:
        return f"as a row of data.{port}" if port in story.files else "as the job has no training file"
    drawn = f"prepare.{split}_fraction={prepare.get(f'{split}_fraction')}, seed {prepare.get('seed')}"
    hashed = f"column {group}" if (group := prepare.get("group_column")) else "content"
    return f"drawn from data.training_data by a hash of its {hashed} ({drawn})"


def _scored(story: "RowStory", model: str) -> str:
    score = _score(story, model)
    return model if score is None else f"{model} ({story.primary_metric} {score:.3f})"


def _score(story: "RowStory", model: Any) -> float | None:
    return story.scores.score(story.primary_metric, model) if story.scores and story.primary_metric else None


def _style(story: "RowStory", model: str) -> str:
    score = _score(story, model)
    return "" if score is None else "green" if score == 1 else "red" if score == 0 else "yellow"


def _is_set(name: str, value: Any) -> bool:
    return name not in NO_FILTERS and value not in (None, False, "", [], {})


def _golds(gold: Any) -> Sequence[str]:
    from azdistill.contracts.rows import gold_texts

    return gold_texts(gold)


def _turns(messages: "Sequence[Message]") -> "list[Text]":
    return [_line(turn.role, turn.content) for turn in messages]


def _line(name: str, content: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text().append(f"{name}: ", "bold").append(content, style)
