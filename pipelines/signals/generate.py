"""Write the rows of the jobs in this folder: translations from an invented language, the same bytes for the same seed.

    python pipelines/signals/generate.py --out pipelines/signals/data

A source sentence starts with a particle of its register, informal or formal. Most words have a translation for each
register, and a translator keeps to the register of the sentence in three words of four. So the same sentence has many
translations, of which one is the likeliest: the reference of a test row.

teacher.jsonl has rows with a translator's answer, on which make_models.py trains the teacher. The rows of train.jsonl
have no answer: the teacher of the jobs writes it.
"""

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from azdistill.contracts.files import write_text

TEACHER_ROWS, TRAIN_ROWS, TEST_ROWS = 4000, 350, 300

# Probability that a translator chooses the word of the sentence's register.
FIDELITY = 0.75

PARTICLES = ("na", "sei")  # of informal and formal sentences

# Translations in informal and formal sentences.
NOUNS = (
    ("home", "residence"),
    ("kid", "child"),
    ("boss", "director"),
    ("car", "vehicle"),
    ("doctor", "physician"),
    ("friend", "companion"),
    ("town", "municipality"),
    ("money", "funds"),
    ("book", "volume"),
    ("letter", "document"),
    ("road", "route"),
    ("room", "chamber"),
)
ADJECTIVES = (
    ("big", "large"),
    ("old", "aged"),
    ("fast", "rapid"),
    ("smart", "intelligent"),
    ("cheap", "inexpensive"),
    ("brave", "courageous"),
)
VERBS = (
    ("got", "received"),
    ("bought", "purchased"),
    ("showed", "displayed"),
    ("fixed", "repaired"),
    ("kept", "retained"),
    ("picked", "selected"),
    ("helped", "assisted"),
    ("sent", "dispatched"),
)

CONSONANTS, VOWELS = "ptkmnslrv", "aeiou"

Concept = tuple[str, str]


class Clause(NamedTuple):
    """Subject, verb and object with an adjective."""

    subject: Concept
    verb: Concept
    adjective: Concept
    object: Concept


class Language(NamedTuple):
    """The source word of each concept."""

    words: Mapping[Concept, str]

    def sentence(self, register: int, clauses: list[Clause]) -> str:
        """The verb comes last, and the adjective after its noun."""
        texts = (
            [self.words[each] for each in (clause.subject, clause.object, clause.adjective, clause.verb)]
            for clause in clauses
        )
        return f"{PARTICLES[register]} {' o '.join(' '.join(words) for words in texts)}"


def language(seed: int) -> Language:
    rng, words = random.Random(seed), set[str]()
    concepts = (*NOUNS, *ADJECTIVES, *VERBS)
    while len(words) < len(concepts):
        words.add("".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(2)))
    return Language(dict(zip(concepts, rng.sample(sorted(words), len(concepts)), strict=True)))


def translation(clauses: list[Clause], registers: Iterator[int]) -> str:
    """Each word in the next one of `registers`."""

    def clause(words: Clause) -> str:
        subject, verb, adjective, thing = (concept[next(registers)] for concept in words)
        return f"the {subject} {verb} the {adjective} {thing}"

    return " and ".join(map(clause, clauses))


def sentences(rng: random.Random) -> Iterator[tuple[int, list[Clause]]]:
    """Generate distinct sentences without end: the register and one or two clauses."""
    seen = set()
    while True:
        clauses = [
            Clause(rng.choice(NOUNS), rng.choice(VERBS), rng.choice(ADJECTIVES), rng.choice(NOUNS))
            for _ in range(rng.randint(1, 2))
        ]
        sentence = rng.randrange(2), clauses
        if (key := repr(sentence)) not in seen:
            seen.add(key)
            yield sentence


def files(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rows by the name of their file; no sentence is in two of them."""
    rng, source = random.Random(seed), language(seed)
    drawn = sentences(rng)

    def of_translator(register: int) -> Iterator[int]:
        while True:
            yield register if rng.random() < FIDELITY else 1 - register

    def row(register: int, clauses: list[Clause]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": source.sentence(register, clauses)}]}

    def reference(register: int, clauses: list[Clause]) -> str:
        return translation(clauses, iter(lambda: register, None))

    taught = [next(drawn) for _ in range(TEACHER_ROWS)]
    answers = [translation(clauses, of_translator(register)) for register, clauses in taught]
    turns = [row(*each)["messages"] for each in taught]
    return {
        "teacher.jsonl": [
            {"messages": [*turn, {"role": "assistant", "content": answer}]}
            for turn, answer in zip(turns, answers, strict=True)
        ],
        "train.jsonl": [row(*next(drawn)) for _ in range(TRAIN_ROWS)],
        "test.jsonl": [row(*each) | {"gold": reference(*each)} for each in (next(drawn) for _ in range(TEST_ROWS))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for name, rows in files(options.seed).items():
        write_text(options.out / name, "".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
