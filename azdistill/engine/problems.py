"""One type for everything that is wrong with what a user provided.

Checks produce `Problem` objects; the command line, JSON output and CI annotations render them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypedDict

# Path of a field in a document: `("teacher", "teachers", 0, "model")`.
FieldPath = tuple[str | int, ...]

Severity = Literal["error", "warning"]

# Where a problem applies: everywhere, on Azure ML only (no compute is set), or in the local engine only (a sweep).
Scope = Literal["everywhere", "azure", "local"]

# Who refuses what an error is about: Azure's client before it sends anything, the service of Azure ML, or the local
# engine, which cannot run it. The texts are for messages.
Authority = Literal["client", "service", "engine"]
AUTHORITIES: Mapping[Authority, str] = {"client": "azure-ai-ml", "service": "Azure ML", "engine": "local engine"}

# Longest value in a message, and longest message, in characters.
MAX_VALUE_LENGTH = 80
MAX_MESSAGE_LENGTH = 2000

# Longest value that is shown.
MAX_SHOWN_VALUE = 10_000

# Maximum number of problems that are listed for a file.
MAX_PROBLEMS = 100

# Maximum number and length of the names that are compared with a misspelt one.
MAX_KNOWN_NAMES, MAX_NAME_LENGTH = 100, 100

SECRET_NAME = re.compile(r"(^|_)(api)?(key|token|secret|password|credentials?)($|_)", re.IGNORECASE)
# Tokens by their prefix, and long text of the characters of hex and base64; a file path is no secret.
_SECRET_VALUE = re.compile(
    r"(sk-|eyJ|Bearer )\S+"
    r"|(?=\S*\d)[A-Za-z0-9+_=-]{40,}"
    r"|(?![./~])(?=\S*\d)(?=\S*[A-Z])(?=\S*[a-z])[A-Za-z0-9+/_=-]{40,}"
)
# Keys of Azure, OpenAI, Hugging Face, GitHub and others: a known start, hexadecimal digits of 16 bytes or more, or
# letters and digits that change too often for words.
_KEY_START = re.compile(r"(?:sk|hf|gsk|ghp|gho|ghs|xai|glpat|nvapi|github_pat|AIza|eyJ)[-_]?([\w-]{16,})")
_KEY = re.compile(r"(?=.*\d)(?:[0-9a-f]{32,}|[0-9A-F]{32,}|AKIA[0-9A-Z]{16}|[A-Za-z0-9]{40,})")
_WORD_OF_KEY = re.compile(r"(?=.*\d.*\d)[A-Za-z0-9]{20,}")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")

# Name of a query parameter that authenticates: of Azure Functions, API Management, shared access signatures, S3.
SECRET_PARAMETER = r"(?:code|sig|pwd|[\w.-]*(?:key|token|secret|password|signature|credential))"
# The user information of a URL, or a parameter that authenticates in its query or fragment. In wasbs and abfss URLs a
# plain name before `@` is the container.
SECRET_URL = re.compile(
    r"(?<!\bwasb)(?<!\bwasbs)(?<!\babfs)(?<!\babfss)://[^/?#]*@"
    r"|://[^/?#:]*:[^/?#]*@"
    rf"|[?&#;]{SECRET_PARAMETER}=",
    re.IGNORECASE,
)
# Control characters, and invisible ones that change the direction of text, hide it or cannot be encoded.
_CONTROL_CHARACTER = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong, as data.

    `code` is stable and made for programs (`missing_field`). `message` describes the error and `fix` what to do, both
    without the location and the value. `subject` names the affected object when it is not a field of a file
    (`teacher deepseek-v3`). `line` is 1-based; 0 means the complete file. `command` is a shell line that fixes it.

    `refused_by` are the authorities that refuse it, for an error of a file of Azure ML; empty for a warning and for any
    other file.

    `value` is the value of the field. Only a scalar is kept, and none that may be secret (see `may_be_secret`): None
    means that there is nothing to show.
    """

    code: str
    message: str
    fix: str = ""
    severity: Severity = "error"
    file: Path | None = None
    line: int = 0
    field: FieldPath = ()
    value: Any = None
    subject: str = ""
    command: str = ""
    scope: Scope = "everywhere"
    refused_by: tuple[Authority, ...] = ()

    def __post_init__(self) -> None:
        is_shown = isinstance(self.value, (int, float)) or (
            isinstance(self.value, str) and len(self.value) <= MAX_SHOWN_VALUE
        )
        if not is_shown or may_be_secret(str(self.field[-1]) if self.field else "", self.value):
            object.__setattr__(self, "value", None)
        object.__setattr__(self, "message", _cut(self.message, MAX_MESSAGE_LENGTH))
        object.__setattr__(self, "fix", _cut(self.fix, MAX_MESSAGE_LENGTH))

    def at(self, file: Path, line: int = 0) -> "Problem":
        """The same problem in a line of a file."""
        return replace(self, file=file, line=line)

    @property
    def location(self) -> str:
        """`job.yaml:12`, empty without a file."""
        if self.file is None:
            return ""
        file = str(self.file).replace("\n", "\\n")
        return f"{file}:{self.line}" if self.line else file

    @property
    def text(self) -> str:
        """The problem without its location: `train.learning_rate=0.2: must be at most 0.01; did you mean 2e-5?`. Who
        refuses it comes before what to do: `unknown field (azure-ai-ml); remove it`."""
        advice = ": ".join(filter(None, (self.fix, self.command)))
        about = ": ".join(filter(None, (self.subject, self._field_and_value(), self.message)))
        authorities = ", ".join(AUTHORITIES[name] for name in self.refused_by)
        return printable(f"{about}{authorities and f' ({authorities})'}{advice and f'; {advice}'}")

    @property
    def unattributed(self) -> str:
        """The problem as text, without who refuses it: a part of a message that says that itself."""
        return str(replace(self, refused_by=()))

    def _field_and_value(self) -> str:
        name = dotted(self.field)
        return name if self.value is None or not name else f"{name}={shorten(self.value)}"

    def __str__(self) -> str:
        warning = "warning" if self.severity == "warning" else ""
        return printable(": ".join(filter(None, (self.location, warning, self.text))))


class ProblemFields(TypedDict, total=False):
    """The optional fields of a problem, as keyword arguments of an error."""

    code: str
    fix: str
    file: Path | None
    line: int
    field: FieldPath
    value: Any
    subject: str
    command: str
    refused_by: tuple[Authority, ...]


def dotted(field: FieldPath) -> str:
    """`teacher.teachers.0.model` for a field path."""
    return ".".join(str(key) for key in field)


def shorten(value: Any) -> str:
    """`repr` of a value for a message; floats as people write them (2e-5).

    At most `MAX_VALUE_LENGTH` characters: a long value loses its middle, so that the file name of a path remains.
    """
    text = format_number(value) if isinstance(value, float) else repr(value)
    return _cut(text, MAX_VALUE_LENGTH)


def _cut(text: str, most: int) -> str:
    """The text with at most that many characters; a longer one loses its middle."""
    half = (most - len("...")) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def format_number(value: float) -> str:
    """Shortest usual form of a number: `2e-5`, `0.01`, `3`."""
    return re.sub(r"e([-+])0", r"e\1", f"{value:g}")


def printable(text: str) -> str:
    """The text with control characters escaped, so that it cannot control a terminal. Newlines and tabs stay, and JSON
    stays JSON."""
    return _CONTROL_CHARACTER.sub(_escape, text)


def _escape(character: re.Match[str]) -> str:
    if character[0] < " ":
        return repr(character[0])[1:-1]
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))


def may_be_secret(name: str, value: Any) -> bool:
    """True if a value must not be printed: text in a field named like a secret, or text that looks like one."""
    if not isinstance(value, str):
        return False
    field = name.rpartition(".")[2]
    if SECRET_NAME.search(field) or SECRET_URL.search(value):
        return True
    # The value itself, and the parameters and the fragment of a URL.
    return any(_SECRET_VALUE.fullmatch(word) or looks_like_key(word) for word in re.split(r"[?&#=]", value))


def authenticates(parameter: str, value: str) -> bool:
    """True if a parameter of a URL's query may be a secret."""
    return bool(re.fullmatch(SECRET_PARAMETER, parameter, re.IGNORECASE)) or may_be_secret(parameter, value)


def looks_like_key(text: str) -> bool:
    """True if a text that should be a name looks like a key that was pasted in its place."""
    start = _KEY_START.fullmatch(text)
    if start and _words_per_character(start[1]) > 0.2:
        return True
    words = re.split(r"[-_]", text)
    return any(
        _KEY.fullmatch(word) or (_WORD_OF_KEY.fullmatch(word) and _words_per_character(word) > 0.3) for word in words
    )


def _words_per_character(text: str) -> float:
    return len(_WORD.findall(text)) / len(text)


def limited(problems: Iterable[Problem]) -> list[Problem]:
    """The first problems, and one more that says that there are others."""
    listed = list(islice(problems, MAX_PROBLEMS + 1))
    return listed if len(listed) <= MAX_PROBLEMS else [*listed[:MAX_PROBLEMS], too_many_problems(listed[0].file)]


def too_many_problems(file: Path | None = None) -> Problem:
    """The problem that is listed last where there are more."""
    message = f"more than {MAX_PROBLEMS} problems"
    return Problem(code="too_many_problems", message=message, fix="fix these first", file=file)


def can_be_forced(problem: Problem) -> bool:
    """True for an error that Azure's client or service refuses, and the local engine can run."""
    return problem.severity == "error" and bool(problem.refused_by) and "engine" not in problem.refused_by


def has_errors(problems: Iterable[Problem]) -> bool:
    """True if any of the problems is an error."""
    return any(problem.severity == "error" for problem in problems)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'rows'?`, or the list of known names when none is close."""
    choices = sorted(islice(known, MAX_KNOWN_NAMES))
    if close := close_names(name, choices):
        return f"did you mean {close[0]!r}?"
    return f"it has {', '.join(choices) or 'none'}{', ...' * (len(choices) == MAX_KNOWN_NAMES)}"


def close_names(name: str, known: Iterable[str], similarity: float = 0.6) -> list[str]:
    """The known name that is closest to a misspelt one, or none. To compare takes quadratic time in the length."""
    short = [choice for choice in islice(known, MAX_KNOWN_NAMES) if len(choice) <= MAX_NAME_LENGTH]
    return get_close_matches(name, short, 1, similarity) if len(name) <= MAX_NAME_LENGTH else []
