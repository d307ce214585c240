"""A path with blanks and quotes stays one word wherever a command has it, or is inserted as text. Run by bash."""

import subprocess
from pathlib import Path

import pytest

from azdistill.engine.pipeline.expressions import render

NAME = """a b'c $x "q" `w` (p)"""
# Commands with @ for the path of a file whose only line is `in`, and their output with @ for the path.
COMMANDS = {
    "cat @": "in\n",
    'echo "$(wc -l < @)"': "1\n",
    "# don't\ncat @": "in\n",
    "# ends with a backslash, don't \\\ncat @": "in\n",
    'cat <<EOF\n@ it\'s "@"\nEOF\ncat @': '@ it\'s "@"\nin\n',
    "cat <<'EOF'\n@ it's \\\nEOF\ncat @": "@ it's \\\nin\n",
    'cat <<-"E F"\n\t@ it\'s `x`\n\tE F\ncat @': "@ it's `x`\nin\n",
    "cat <<A; cat <<\\B\n1 $(cat @)\nA\n2 @ $(x)\nB\ncat @": "1 in\n2 @ $(x)\nin\n",
    "cat <<< @": "@\n",
    'x=$(cat <<EOF\n@ don\'t\nEOF\n); echo "$x $(cat @)"': "@ don't in\n",
    "echo $((1 << 2)) $(( (1) << 1 )); cat @": "4 2\nin\n",
    "((x = 1 << 3)); echo $x; cat @": "8\nin\n",
    'echo "$( (cat @); (cat @) )"': "in\nin\n",
    'echo "$(case x in a) cat no;; x) cat @;; esac) @"': "in @\n",
    'echo in case of fire; echo "@"': "in case of fire\n@\n",
    "echo $'it\\'s @' @": "it's @ @\n",
    'python3 - <<\'E\'\nprint(open(r"""@""").read(), end=\'\')\nE': "in\n",
    "echo ${#HOME} >/dev/null; cat @ # it's @\ncat @": "in\nin\n",
    "if true; then\n  cat @\nfi && [ -e @ ] && echo yes": "in\nyes\n",
    "cat \\\n  @": "in\n",
    "x='it'\"'\"'s'; cat @": "in\n",
    'f() { cat "$1"; }; f @': "in\n",
    "a=(@ @); echo ${#a[*]}": "2\n",
    'echo `cat @` "`cat @`"': "in in\n",
    "cat <(cat @)": "in\n",
    "[[ -f @ ]] && echo yes": "yes\n",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_is_quoted_as_its_position_requires(tmp_path: Path, command: str) -> None:
    path = tmp_path / NAME
    path.write_text("in\n")
    rendered = render(command.replace("@", "${{inputs.rows}}"), {"inputs.rows": path})
    done = subprocess.run(["bash", "-c", rendered], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, COMMANDS[command].replace("@", str(path)), "")
