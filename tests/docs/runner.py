"""Finds the code blocks of the documentation and runs them as a reader would.

    ```python              runs, in the folder that holds `data` and `examples`
    ```sql                 runs in DuckDB
    ```text output         what the block before it prints
    ```console             commands after `$ `, and lines that they print, in order (`...`: and more)
    ```toml file=PATH      is saved as PATH (any language); `append=PATH` adds to what is there
    <!-- not run: why -->  in the line before: the block is left alone

`neurobalance` runs in this process: the real command, but for the flow, which stands in `plain.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rich.console import Console

ROOT = Path(__file__).parents[2]
#: languages that are pictures, or files when they say so
SHOWN = {"mermaid", "text", "toml", "csv"}
_FENCE = re.compile(r"^```(?P<info>[^`]*)$")
_LEFT_ALONE = re.compile(r"^<!-- not run: (?P<why>.+) -->$")


def pages() -> list[Path]:
    """Every page of documentation, generated or not."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str
    not_run: str | None

    def told(self, word: str) -> str | None:
        """What the block's first line says after `word=`."""
        return next((w.removeprefix(f"{word}=") for w in self.words if w.startswith(f"{word}=")), None)

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(ROOT)}, line {self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    start, info = 0, ""
    body: list[str] = []
    lines = page.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if start and line == "```":
            language, *words = info.split() or [""]
            before = next((lines[at] for at in range(start - 2, -1, -1) if lines[at].strip()), "")
            alone = _LEFT_ALONE.match(before)
            text = "\n".join(body) + "\n"
            found.append(Block(page, start, language, tuple(words), text, alone["why"] if alone else None))
            start = 0
        elif start:
            body.append(line)
        elif fence:
            start, info, body = number, fence["info"].strip(), []
    assert not start, f"{page.name}: the block of line {start} does not end"
    return found


def neurobalance(*words: str) -> tuple[int, str]:
    """The command in this process: its exit status and what it prints."""
    import flows.cli
    from flows import views

    printed = io.StringIO()
    status = 0
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, "argv", ["neurobalance", *words]),
        mock.patch.object(views, "console", Console(highlight=False, width=160)),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            flows.cli.main()
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
    return status, printed.getvalue()


def plain(text: str) -> list[str]:
    """The lines of a text without what depends on the width of a terminal; blank lines are left out."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


class Reader:
    """Somebody who follows one page in the folder `folder`, which becomes the working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, object] = {"__name__": "page"}
        self.printed = ""

    def follow(self, page: Path) -> int:
        """Run the blocks of a page; how many of them did something."""
        return sum(self.run(block) for block in blocks(page))

    def run(self, block: Block) -> bool:
        """Run one block; AssertionError where it does not do what the page says."""
        if block.not_run:
            return False
        if saved := block.told("file") or block.told("append"):
            path = self.folder / saved
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if block.told("append") else "w", encoding="utf-8") as file:
                file.write(block.text)
        elif block.language == "python":
            self._python(block)
        elif block.language == "sql":
            self._sql(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "text" and "output" in block.words:
            assert plain(self.printed) == plain(block.text), f"{block.where}: printed was\n{self.printed}"
        else:
            assert block.language in SHOWN, f"{block.where}: nobody knows how to run {block.language!r}"
            return False
        return True

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, block.where, "exec"), self.names)
        self.printed = printed.getvalue()

    def _sql(self, block: Block) -> None:
        import duckdb

        with duckdb.connect() as connection:
            self.printed = str(connection.sql(block.text))

    def _console(self, block: Block) -> None:
        command = ""
        expected: list[str] = []
        for line in [*block.text.splitlines(), "$ "]:
            if line.startswith("$ "):
                if command:
                    self._command(block, command, expected)
                command, expected = line[2:], []
            else:
                expected.append(line)

    def _command(self, block: Block, command: str, expected: list[str]) -> None:
        if command.split()[0] == "neurobalance":
            status, printed = neurobalance(*shlex.split(command)[1:])
        else:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            status, printed = done.returncode, done.stdout + done.stderr
        assert status == 0, f"{block.where}: `{command}` ended with {status}\n{printed}"
        left = plain(printed)
        for line in plain("\n".join(expected)):
            if line == "...":
                continue
            begins = line.removesuffix("...").rstrip()
            fits = [said == line or (begins != line and said.startswith(begins)) for said in left]
            assert any(fits), (
                f"{block.where}: `{command}` does not print {line!r} (here); it printed\n{printed}"
            )
            left = left[fits.index(True) + 1 :]
