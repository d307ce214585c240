"""Quotes, substitutions, here-documents and comments of bash around a position in a command.

Paths of this machine are inserted into commands that were written for paths without blanks and quotes.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

# `${{ name }}`. The name is stripped of blanks by the reader: a pattern that does it is quadratic on many blanks.
EXPRESSION = re.compile(r"\$\{\{([^{}]*)\}\}")
# The start of a here-document. Its delimiter may be quoted, which makes its text literal.
_HERE = r"(?<!<)<<(?P<tabs>-?)[ \t]*(?P<delimiter>'[^'\n]+'|\"[^\"\n]+\"|\\?[\w.-]+)"
# An expression, and what decides how bash reads the text after it. A comment starts with a word.
SHELL = re.compile(
    rf"{EXPRESSION.pattern}|\\.|['\"`\n]|\$'|\$?\(\(?|\)|(?<![^\s;&|(])(#|case(?=\s+\S+\s+in\s)|esac\b)|{_HERE}",
    re.DOTALL,
)


@dataclass(frozen=True)
class _HereDocument:
    """A here-document, `<<DELIMITER`, up to the line with its delimiter."""

    delimiter: str
    is_literal: bool
    strip_tabs: bool

    def ends_at(self, text: str, start: int) -> bool:
        """True if the line that starts there is its delimiter."""
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        return (line.lstrip("\t") if self.strip_tabs else line) == self.delimiter


class ShellPosition:
    """The quotes, parentheses, here-document and comment around a position in a bash command.

    Quoting starts anew inside of `$( )` and backquotes, also within double quotes and here-documents.
    """

    def __init__(self) -> None:
        self._open: list[str | _HereDocument] = [""]
        self._in_comment = False
        # Those whose text starts with the next line.
        self._waiting: list[_HereDocument] = []

    def read(self, match: re.Match[str]) -> None:
        """Advance over a token of `SHELL`."""
        token, innermost = match[0], self._open[-1]
        if token == "\n" or (token[-1] == "\n" and (self._in_comment or self._is_literal())):
            self._read_line_end(match.string, match.end())
        elif self._in_comment or self._is_literal():
            if innermost in ("'", "$'") and token[-1] == "'":
                self._read_closing_quote(token)
        elif isinstance(innermost, _HereDocument):
            if token in ("`", "$(", "$(("):
                self._open.append(token.removeprefix("$"))
        else:
            self._read_code(match, innermost)

    def _is_literal(self) -> bool:
        """True if nothing but the end of the innermost quotes or here-document has a meaning."""
        innermost = self._open[-1]
        return innermost.is_literal if isinstance(innermost, _HereDocument) else innermost in ("'", "$'")

    def _read_closing_quote(self, token: str) -> None:
        """A single quote, which a backslash escapes in `$' '` only."""
        if token == "'" or self._open[-1] == "'":
            self._open.pop()

    def _read_line_end(self, text: str, start: int) -> None:
        self._in_comment = False
        innermost = self._open[-1]
        if self._waiting and not isinstance(innermost, _HereDocument) and innermost not in ("'", "$'", '"'):
            innermost = self._waiting.pop(0)
            self._open.append(innermost)
        if isinstance(innermost, _HereDocument) and innermost.ends_at(text, start):
            self._open.pop()

    def _read_code(self, match: re.Match[str], innermost: str) -> None:
        token = match[0]
        if token == ")":
            self._close_parenthesis(innermost)
        elif (token, innermost) in (('"', '"'), ("`", "`"), ("esac", "case")):
            self._open.pop()
        elif token in ('"', "`", "$(", "$(("):
            self._open.append(token.removeprefix("$"))
        elif innermost == '"' or token in ("\n", "esac"):
            return
        elif token in ("'", "$'", "(", "((", "case"):
            self._open.append(token)
        elif token == "#":
            self._in_comment = True
        elif (delimiter := match["delimiter"]) and innermost != "((":
            is_literal = delimiter[0] in "'\"\\"
            self._waiting.append(_HereDocument(delimiter.strip("'\"\\"), is_literal, bool(match["tabs"])))

    def _close_parenthesis(self, innermost: str) -> None:
        """A parenthesis closes one, and ends a pattern of `case`."""
        if innermost == "(":
            self._open.pop()
        elif innermost == "((":
            self._open[-1] = "("

    def quoted(self, path: Path) -> str:
        """The path as the position requires."""
        innermost, text = self._open[-1], str(path)
        if isinstance(innermost, _HereDocument):
            return text if innermost.is_literal else re.sub(r"([\\$`])", r"\\\1", text)
        if innermost == "'":
            return text.replace("'", "'\\''")
        if innermost == "$'":
            return re.sub(r"([\\'])", r"\\\1", text)
        if innermost == '"':
            return re.sub(r'([\\"$`])', r"\\\1", text)
        if innermost == "`":  # bash reads it twice
            return re.sub(r"([\\$`])", r"\\\1", shlex.quote(text))
        return shlex.quote(text)
