"""The commands of Markdown pages, as bash takes them apart: what stands in blocks, and in code within the text."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from textwrap import dedent

# Bash calls this for each command that it does not find; where PATH names no folder it finds none.
RECORD = 'command_not_found_handle() { local all; printf -v all "%s\\037" "$@"; printf "%s\\n" "$all" >>"$RECORD"; }\n'
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:\A|(?<=\n\n))(?: {4}.*\n|\n(?= {4}))+")
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
HEREDOC = re.compile(r"<<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"(^|[\s/])(htrjand|make|pytest|pip install|python3? -m htrjand)\b")

Command = tuple[str, ...]


def blocks(text: str) -> list[str]:
    """What stands in code blocks: shell, fenced or indented, with a command of ours in it."""
    fenced = [body for kind, body in FENCE.findall(text) if kind == "sh"]
    indented = [dedent(match.group()) for match in INDENTED.finditer(FENCE.sub("", text))]
    return [body for body in (*fenced, *indented) if OURS.search(body)]


def spans(text: str) -> list[str]:
    """Code within the text."""
    found = SPAN.findall(INDENTED.sub("", FENCE.sub("", text)))
    return [" ".join(span.split()) for span in found]


def commands(script: str, folder: Path) -> list[Command]:
    """Every command of a script with its words, variables and loops resolved; nothing is run but bash's own builtins.

    Raises:
        ValueError: it is no bash.
    """
    record = folder / "commands"
    record.write_text("", encoding="utf-8")
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", RECORD + script.replace(".venv/bin/", "")],
        env={"PATH": "/nowhere", "HOME": "/home/you", "HTRJAND_DATA": "/home/you/handwriting", "RECORD": str(record)},
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "syntax error" in done.stderr:
        raise ValueError(f"{done.stderr}\n{script}")
    return [tuple(line.split("\037")[:-1]) for line in record.read_text(encoding="utf-8").splitlines()]


def python_imports(text: str) -> list[tuple[str, str]]:
    """(module, name) of what Python blocks and here-documents import of htrjand."""
    bodies = [body for kind, body in FENCE.findall(text) if kind == "python"]
    bodies += [body for block in blocks(text) for body in HEREDOC.findall(block)]
    nodes = [node for body in bodies for node in ast.walk(ast.parse(body)) if isinstance(node, ast.ImportFrom)]
    return [(str(node.module), alias.name) for node in nodes for alias in node.names]
