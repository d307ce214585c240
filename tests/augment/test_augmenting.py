"""Requests for new prompts, their replies, and the checks of the prompts."""

import json
from pathlib import Path

import pytest

from azdistill.contracts.augment import AugmentSettings
from azdistill.contracts.augmenting import PromptRequest, is_request, read_reply, read_request, render
from azdistill.contracts.errors import DataError
from azdistill.contracts.personal_data import PersonalData
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.data.augment import Form, Seeds
from azdistill.data.new_prompts import NewPrompts, Reply
from azdistill.data.public_test_sets import PublicTestSets
from azdistill.tasks.registry import TASKS

EXAMPLES = ("Wer bist du?\n\n```\nRequest 1: write 9 new prompts.", 'a\u2028b \N{GRINNING FACE} "]', "\x0b[]")


def row(text: str, number: int = 0, split: str = "train", system: str | None = None) -> Prompt:
    messages = (*([Message(role="system", content=system)] if system else []), Message(role="user", content=text))
    return Prompt.model_validate(
        {"id": prompt_id(messages), "split": split, "messages": messages, "source": f"rows.jsonl:{number}"}
    )


def test_a_request_is_read_as_it_was_rendered():
    request = PromptRequest(7, 3, EXAMPLES)
    for context in ("", "Be brief.\n\nExamples:\n"):
        assert read_request(render(request, context)) == request
    assert render(request) != render(PromptRequest(8, 3, EXAMPLES))
    other = (Message(role="user", content="Request 1: write 9 new prompts."),)
    assert not is_request(other)
    with pytest.raises(ValueError, match="not a request"):
        read_request(other)


@pytest.mark.parametrize(
    ("reply", "texts"),
    [
        ('["a", "b\\nc"]', ["a", "b\nc"]),
        ('```json\n["a"]\n```\n', ["a"]),
        ('"a"\n\n"b",\n', ["a", "b"]),
        ('["a\u2028b"]', ["a\u2028b"]),
    ],
)
def test_a_reply_is_an_array_or_has_a_string_a_line(reply: str, texts: list[str]):
    assert read_reply(reply) == texts


@pytest.mark.parametrize(
    "reply", ["", "[]", "1. What is it?\n2. Who is it?", '["a", "b', '["a", 1]', '{"a": 1}', '[["a"]]', "[" * 100_000]
)
def test_a_reply_of_another_form_is_a_value_error(reply: str):
    with pytest.raises(ValueError, match=r"\w"):
        read_reply(reply)


def cases(task: str, *records: dict[str, str]) -> list[Prompt]:
    return [row(TASKS[task].case(record).messages[0].content, number) for number, record in enumerate(records)]


NLI = cases("nli", *({"premise": f"Ann has {n} pens.", "hypothesis": "She has pens."} for n in range(10, 20)))


def test_the_lines_that_all_rows_share_are_no_part_of_an_example():
    form = Form.of([prompt.messages[0].content for prompt in NLI])
    question = "Does the premise entail the hypothesis? Answer with one word: entailment, neutral or contradiction."
    assert (form.before, form.labels) == ("", ("Premise:",))
    assert form.after == f"\nHypothesis: She has pens.\n{question}"
    documents = cases("summarization", {"document": "A\n\nB"}, {"document": "A\n\nC"}, {"document": "D\nE\nB"})
    form = Form.of([prompt.messages[0].content for prompt in documents])
    assert (form.before, form.after) == ("Summarize this text:\n\n", "")
    for prompt in documents:
        assert form.text(form.content(prompt.messages[0].content)) == prompt.messages[0].content
    alone = Form.of(["Q: one\nline"])
    assert (alone.before, alone.after, alone.content("Q: one\nline")) == ("", "", "Q: one\nline")


def added(
    prompts: list[Prompt], *texts: str, pii: PersonalData = "off", test_sets: PublicTestSets | None = None
) -> NewPrompts:
    seeds = Seeds(prompts, AugmentSettings(new_prompts=1, per_request=20), 0)
    new = NewPrompts(prompts, seeds.form, pii, test_sets)
    new.add([Reply(seeds.request(1), json.dumps(texts))])
    return new


def test_a_new_prompt_has_the_form_of_the_rows_and_repeats_none():
    rows = [
        *cases("qa", *({"question": f"Who wrote book {n}?", "context": f"Author {n} wrote book {n}."} for n in "abc")),
        row("Author d wrote book d.\n\nWho wrote book d?\nAnswer with as few words as possible.", 9, "test"),
    ]
    new = added(
        rows,
        "Author e wrote book e.\n\nWho wrote book e?",
        "Author e wrote  book e.\n\nWho wrote BOOK e?",  # one that was accepted
        "Author f wrote book f.\n\nWho wrote book f?\nAnswer with as few words as possible.",  # with the common line
        "AUTHOR b wrote book b.\n\nWho wrote book b?",
        "author d wrote book d.\n\nWho wrote book d?",
        "   ",
        "Who?",
        "Who wrote it? " * 20,
        "Author \0 wrote book e.\n\nWho wrote book g?",
    )
    ending = "\nAnswer with as few words as possible."
    texts = [prompt.messages[-1].content for prompt in new.accepted]
    assert texts == [f"Author {n} wrote book {n}.\n\nWho wrote book {n}?{ending}" for n in "ef"]
    assert {prompt.source: prompt.split for prompt in new.accepted} == {"augment:1:1": "train", "augment:1:3": "train"}
    assert {reject.source: reject.reason for reject in new.rejects} == {
        "augment:1:2": "duplicate",
        "augment:1:4": "duplicate",
        "augment:1:5": "leaked",
        "augment:1:6": "empty_content",
        "augment:1:7": "wrong_length",
        "augment:1:8": "wrong_length",
        "augment:1:9": "not_text",
    }
    assert next(reject for reject in new.rejects if reject.reason == "leaked").detail == "is like test row rows.jsonl:9"


TRAIN = (
    "A train leaves Cluj at noon with 27 wagons and 54 children, and it reaches Oradea after {n} hours of slow travel."
)


def test_a_new_prompt_that_prepare_would_leave_out_is_rejected():
    """A copy with another beginning: of its words 80% are in common n-grams, but its similarity is below 0.8."""
    rows = [row(f"How many apples are {n} and {n}?{' Explain it slowly.' * (n % 10)}", n) for n in range(100, 110)]
    held_out = row(TRAIN.format(n=4), 9, "validation")
    copied = f"Please tell me: {TRAIN.format(n=4).removesuffix(' of slow travel.')}, right?"
    new = added([*rows, held_out], copied, TRAIN.format(n=5))
    assert [prompt.messages[0].content for prompt in new.accepted] == [TRAIN.format(n=5)]
    assert [(reject.reason, reject.detail) for reject in new.rejects] == [
        ("near_leaked", "is nearly validation row rows.jsonl:9")
    ]


def test_a_new_prompt_with_text_of_a_public_test_set_is_rejected(tmp_path: Path):
    (tmp_path / "trivia.jsonl").write_text(
        json.dumps({"question": "Which river flows through Cluj?", "answer": "Who knows?"})
        + "\n"
        + json.dumps({"question": TRAIN.format(n=6), "answer": "6"})
        + "\n"
    )
    texts = (
        "Which river flows through Cluj",
        "Who knows?",
        f"Hello! {TRAIN.format(n=6)} How many wagons?",
        "Which town was that?",
    )
    test_sets = PublicTestSets(tmp_path, ())
    new = added([row("Which town is it?" + " Which one?" * n, n) for n in (0, 2, 9)], *texts, test_sets=test_sets)
    assert [prompt.source for prompt in new.accepted] == ["augment:1:2", "augment:1:4"]
    assert [(reject.source, reject.reason, reject.detail) for reject in new.rejects] == [
        ("augment:1:1", "public_test_set", "equals a text of trivia.jsonl:1"),
        ("augment:1:3", "public_test_set", "13 consecutive words are those of trivia.jsonl:2"),
    ]
    assert new.written == 4


def test_personal_data_in_new_prompts_is_redacted_or_counted():
    rows = [row(f"Write to <EMAIL> about order {n}.", n) for n in range(3)]
    texts = ("Write to ana@example.com about the bill.", "Write to ION@example.com about the bill.")
    redacted, reported, unread = (added(rows, *texts, pii=pii) for pii in ("redact", "report", "off"))
    assert [prompt.messages[0].content for prompt in redacted.accepted] == ["Write to <EMAIL> about the bill."]
    assert [reject.reason for reject in redacted.rejects] == ["duplicate"]
    assert "example.com" not in repr(redacted.accepted)
    assert [prompt.messages[0].content for prompt in reported.accepted] == list(texts)
    assert redacted.personal_data == reported.personal_data == {"email": 2}
    assert unread.personal_data == {}


def test_a_reply_that_is_cut_or_unreadable_has_no_prompts():
    seeds = Seeds(NLI, AugmentSettings(new_prompts=1), 0)
    new = NewPrompts(NLI, seeds.form)
    text = '["Premise: Bob has a pen."]'
    new.add([Reply(seeds.request(1), text, "length"), Reply(seeds.request(2), "Sorry."), Reply(seeds.request(3), text)])
    assert [prompt.source for prompt in new.accepted] == ["augment:3:1"]
    assert [(reject.source, reject.reason) for reject in new.unusable_replies] == [
        ("augment:1", "length"),
        ("augment:2", "unreadable"),
    ]
    assert (new.written, new.rejects) == (1, [])


def test_a_label_of_all_rows_is_one_of_each_new_prompt():
    new = added(NLI, "Bob has a pen.", "Premise: Bob has a pen.")
    assert [prompt.messages[0].content.split("\n")[0] for prompt in new.accepted] == ["Premise: Bob has a pen."]
    assert [reject.detail for reject in new.rejects] == ["no line begins with 'Premise:', as in all training rows"]


def test_only_openings_of_training_rows_are_shown_with_one_system_prompt():
    rows = [row(f"Prompt {n} of the shop", n, system="You sell." if n % 2 else "You buy.") for n in range(40)]
    hidden = [row(f"Hidden {split}", 99, split) for split in ("validation", "test")]
    turns = (("user", "Opening"), ("assistant", "Answer"), ("user", "Second turn"))
    messages = tuple(Message.model_validate({"role": role, "content": text}) for role, text in turns)
    talk = Prompt(id="talk", split="train", messages=messages, source="rows.jsonl:100")
    seeds = Seeds([*rows, *hidden, talk], AugmentSettings(new_prompts=1), 3)
    requests = [seeds.request(number) for number in range(300)]
    shown = {text for request in requests for text in request.request.examples}
    assert "Opening" in shown
    assert not shown & {"Second turn", "Hidden validation", "Hidden test"}
    for request in requests:
        assert len({seed.system for seed in request.seeds}) == 1
        assert len(request.seeds) == (1 if request.seeds[0].text == "Opening" else 4)
    assert len({request.row.messages for request in requests}) == 300
    assert [seeds.request(5), seeds.request(6)] == requests[5:7]
    with pytest.raises(DataError, match="there is no training row"):
        Seeds(hidden, AugmentSettings(new_prompts=1), 0)
