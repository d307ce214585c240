"""Write the rows of the jobs in this folder, one folder per task: the same bytes for the same seed.

    python pipelines/tasks/generate.py --out pipelines/tasks

The rows are short and follow a few patterns, so that a student of a third of a million parameters learns them within
seconds. Test rows have the right answer; so has answers.jsonl of the Romanian conversations, which stands for answers
that were bought before.
"""

import argparse
import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.files import write_text

TRAIN_ROWS, TEST_ROWS = 400, 100

Rows = list[dict[str, Any]]

NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo", "Iris", "Jan", "Kim", "Leo")

# Actions in the third person, and what each implies.
ACTIONS = {
    "plays a violin in the park": "plays a violin",
    "reads a book on the train": "reads a book",
    "paints a fence behind the house": "paints a fence",
    "cooks a soup for the children": "cooks a soup",
    "repairs a bicycle in the yard": "repairs a bicycle",
    "carries a ladder across the street": "carries a ladder",
}
UNRELATED = ("owns three cats", "lives near Oslo", "likes old films", "works at night")

# Each is the longest word of its row.
ITEMS = (
    "thermometer",
    "screwdriver",
    "encyclopedia",
    "trampoline",
    "lawnmower",
    "chessboard",
    "dishwasher",
    "microscope",
    "typewriter",
    "wheelbarrow",
)
PLACES = ("market", "shop", "fair", "auction")
QUESTIONS = ("What did {name} buy?", "Which thing did {name} get?", "What does {name} own now?")

STORIES = (
    "{name} has {first} pears and picks {second} more. How many pears are there?",
    "{first} ducks swim, and {second} ducks join them. How many ducks swim now?",
    "{name} reads {first} pages today and {second} tomorrow. How many pages are read?",
    "A box holds {first} nails and a bag {second}. How many nails are there?",
)

# The first sentence of each report is its summary. It has 29 words.
EVENTS = ("storm", "strike", "flood", "fire")
EFFECTS = ("closed the main road", "stopped all night trains", "cut the power lines", "delayed the daily mail")
HELP = "while rescue teams from the neighbouring towns helped people who had no water, light or food at home"
CITIES = ("Porto", "Turin", "Graz", "Bergen", "Ghent", "Split")
DETAILS = (
    "Shops in the centre opened as usual.",
    "The mayor spoke to reporters in the evening and thanked them.",
    "Nobody was hurt.",
    "More news is expected tomorrow.",
)

# Products with the pronoun that replaces them, problems of a customer with the shop's reply.
PRODUCTS = {
    "fierbătorul": "unul nou",
    "încălzitorul": "unul nou",
    "prăjitorul": "unul nou",
    "lampa": "una nouă",
    "mașina de cusut": "una nouă",
    "brățara": "una nouă",
}
PROBLEMS = {
    "{product} nu mai funcționează": "Ne pare rău că {product} s-a stricat. Vă trimitem {replacement}.",
    "{product} a sosit cu o zgârietură": "Ne cerem scuze că {product} are zgârieturi. Vă înapoiem jumătate din preț.",
    "nu am primit încă {product}": "Verificăm la curier unde este {product} și vă răspundem până mâine.",
    "vreau să returnez {product}": "Puteți returna {product} în treizeci de zile, fără costuri.",
}
GREETINGS = ("Bună ziua", "Salut", "Bună seara", "Vă salut")
ENDINGS = ("Ce pot face?", "Mă puteți ajuta?", "Aștept un răspuns.", "Vă mulțumesc!")


def inference(rng: random.Random) -> tuple[dict[str, Any], str]:
    name, (action, implied) = rng.choice(NAMES), rng.choice(tuple(ACTIONS.items()))
    label = rng.choice(("entailment", "neutral", "contradiction"))
    hypothesis = {
        "entailment": f"{name} {implied}.",
        "neutral": f"{rng.choice(NAMES)} {rng.choice(UNRELATED)}.",
        "contradiction": f"{name} never {implied}.",
    }[label]
    return {"premise": f"{name} {action}, {rng.choice(DETAILS).lower()}", "hypothesis": hypothesis}, label


def question(rng: random.Random) -> tuple[dict[str, Any], str]:
    name, item = rng.choice(NAMES), rng.choice(ITEMS)
    context = f"At the {rng.choice(PLACES)} {name} paid {rng.randint(10, 99)} euros for a {item}."
    return {"context": context, "question": rng.choice(QUESTIONS).format(name=name)}, item


def problem(rng: random.Random) -> tuple[dict[str, Any], str]:
    first, second = rng.randint(1, 5), rng.randint(1, 5)
    story = rng.choice(STORIES).format(name=rng.choice(NAMES), first=first, second=second)
    return {"question": story}, f"{first} + {second} = {first + second}\n#### {first + second}"


def report(rng: random.Random) -> tuple[dict[str, Any], str]:
    summary = (
        f"A {rng.choice(EVENTS)} in {rng.choice(CITIES)} {rng.choice(EFFECTS)} for {rng.randint(2, 9)} days, {HELP}."
    )
    return {"document": " ".join([summary, *rng.sample(DETAILS, 2)])}, summary


def conversation(rng: random.Random) -> tuple[dict[str, Any], str]:
    """A Romanian customer and a shop, as ShareGPT rows."""
    (product, replacement), (words, reply) = rng.choice(tuple(PRODUCTS.items())), rng.choice(tuple(PROBLEMS.items()))
    text = f"{rng.choice(GREETINGS)}, {words.format(product=product)}. Comanda are numărul {rng.randint(100, 999)}. "
    turns = [
        {"from": "system", "value": "Răspunzi clienților unui magazin."},
        {"from": "human", "value": text + rng.choice(ENDINGS)},
    ]
    return {"conversations": turns}, reply.format(product=product, replacement=replacement)


def distinct(pattern: Callable[[random.Random], tuple[dict[str, Any], str]], seed: int) -> Iterator[tuple[Any, str]]:
    """Rows with their right answers; no row occurs twice."""
    rng, seen = random.Random(seed), set()
    while True:
        row, answer = pattern(rng)
        if (key := json.dumps(row)) not in seen:
            seen.add(key)
            yield row, answer


def files(seed: int) -> Mapping[str, str]:
    """Contents of all files by their paths."""
    written = {}
    patterns = {"nli": inference, "qa": question, "math": problem, "summarization": report}
    for task, pattern in patterns.items():
        rows = distinct(pattern, seed)
        answers = {"nli": "label", "summarization": "summary"}.get(task, "answer")
        train = [next(rows)[0] for _ in range(TRAIN_ROWS)]
        test = [row | {answers: answer} for row, answer in (next(rows) for _ in range(TEST_ROWS))]
        ending, write = ("csv", _csv) if task == "qa" else ("jsonl", _jsonl)
        written |= {f"{task}/train.{ending}": write(train), f"{task}/test.{ending}": write(test)}
    chats = distinct(conversation, seed)
    rows = [(row["conversations"], answer) for row, answer in (next(chats) for _ in range(TRAIN_ROWS + TEST_ROWS))]
    replied = [{"conversations": [*turns, {"from": "gpt", "value": answer}]} for turns, answer in rows]
    return written | {
        "conversation/train.jsonl": _jsonl([{"conversations": turns} for turns, _ in rows[:TRAIN_ROWS]]),
        "conversation/test.jsonl": _jsonl(replied[TRAIN_ROWS:]),
        "conversation/answers.jsonl": _jsonl([_answered(turns, answer) for turns, answer in rows]),
    }


def _answered(turns: list[dict[str, str]], answer: str) -> dict[str, Any]:
    system, customer = (turn["value"] for turn in turns)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": customer}]
    return {"messages": messages, "completion": answer}


def _jsonl(rows: Rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for path, text in files(options.seed).items():
        write_text(options.out / path, text)


if __name__ == "__main__":
    main()
