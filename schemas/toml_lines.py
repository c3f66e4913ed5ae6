"""On which line of a TOML text each key stands; the standard library tells lines of syntax errors only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

#: the way to a key or to an element of a list: ("roles", 0, "column")
KeyPath = tuple[str | int, ...]

_TOKEN = re.compile(
    r'''
      (?P<blank>[ \t\r]+ | \#[^\n]*)
    | (?P<string>""" (?:\\.|[^\\])*? "{3,5} | \'\'\' .*? \'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<mark>[\[\]{}=,.\n])
    | (?P<bare>[^\s\[\]{}=,.#"']+)
    ''',
    re.VERBOSE | re.DOTALL,
)
_ENDS_VALUE = {",", "]", "}", "\n", ""}


class _Scanner:
    """Walks through a text that `tomllib` has read: what it holds is known to be in order."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, int]] = []  # the token, the line where it begins
        line = 1
        for found in _TOKEN.finditer(text):
            if found.lastgroup != "blank":
                self.tokens.append((found[0], line))
            line += found[0].count("\n")
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.lists: dict[KeyPath, int] = {}  # `[[table]]` -> how many there are so far

    @property
    def here(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def skip(self, *marks: str) -> None:
        while self.here and self.here in marks:
            self.at += 1

    def dotted(self, end: str) -> list[str]:
        """The parts of a key up to the mark `end`, which is passed too."""
        parts = []
        while self.here not in (end, ""):
            token = self.here
            if token[0] in "\"'":
                parts.append(tomllib.loads(f"key = {token}")["key"])
            elif token != ".":
                parts.append(token)
            self.at += 1
        self.at += 1
        return parts

    def note(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)

    def document(self) -> None:
        table: KeyPath = ()
        self.skip("\n")
        while self.here:
            if self.here == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip("\n")

    def header(self) -> KeyPath:
        line = self.tokens[self.at][1]
        self.at += 1
        repeated = self.here == "["
        self.skip("[")
        parts = self.dotted("]")
        self.skip("]")
        path: KeyPath = ()
        for part in parts[:-1]:
            path += (part,)
            self.note(path, line)
            if path in self.lists:
                path += (self.lists[path] - 1,)
        path += (parts[-1],)
        self.note(path, line)
        if repeated:
            self.lists[path] = self.lists.get(path, 0) + 1
            path += (self.lists[path] - 1,)
            self.note(path, line)
        return path

    def pair(self, table: KeyPath) -> None:
        line = self.tokens[self.at][1]
        path = table
        for part in self.dotted("="):
            path += (part,)
            self.note(path, line)
        self.value(path)

    def value(self, path: KeyPath) -> None:
        if self.here == "[":
            self.at += 1
            number = 0
            self.skip("\n", ",")
            while self.here not in ("]", ""):
                self.note((*path, number), self.tokens[self.at][1])
                self.value((*path, number))
                number += 1
                self.skip("\n", ",")
            self.at += 1
        elif self.here == "{":
            self.at += 1
            self.skip("\n", ",")
            while self.here not in ("}", ""):
                self.pair(path)
                self.skip("\n", ",")
            self.at += 1
        else:
            while self.here not in _ENDS_VALUE:
                self.at += 1


def key_lines(text: str) -> dict[KeyPath, int]:
    """Each key, table and element of a list -> the 1-based line where it begins. `text` is valid TOML."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def nearest(lines: Mapping[KeyPath, int], path: KeyPath) -> KeyPath:
    """`path`, or what stands nearest above it and has a line; empty where nothing has."""
    while path and path not in lines:
        path = path[:-1]
    return path
