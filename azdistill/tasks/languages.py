"""The language of a text, with py3langid, which needs no network and no download."""

from functools import cache
from typing import Any

from azdistill.contracts.errors import InputError

# Of 3,600 texts of at least this length in 20 languages (Django's translations) none was recognised as another
# language with at least this confidence; code, formulas and lists of names have less.
SHORTEST, CONFIDENCE = 60, 0.7

# Characters that are classified: more do not change the result, and take longer.
LONGEST = 300


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class LanguageDetector:
    """Languages as ISO 639 codes. Raises InputError for an `expected` code that it does not know."""

    def __init__(self, expected: str = "same") -> None:
        self._identifier = _identifier()
        if expected != "same" and expected not in self._identifier.labels:
            raise InputError(
                "unknown language",
                code="unknown_language",
                field=("curate", "language"),
                value=expected,
                fix=f"set one of {', '.join(sorted(self._identifier.labels))}, or same",
            )

    def detect(self, text: str) -> str | None:
        """None for a text that is too short or unclear."""
        if len(text) < SHORTEST:
            return None
        language, confidence = self._identifier.classify(text[:LONGEST])
        return str(language) if confidence >= CONFIDENCE else None
