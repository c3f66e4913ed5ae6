"""What is said of a layout file that cannot be used: file, line, key, and how to mend it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.toml_lines import KeyPath, key_lines, nearest


class LayoutError(ValueError):
    """A layout file that cannot be used. The message names the file, the line, the key and the mend, one line
    for each error."""


def shown(path: Path) -> str:
    """`layouts/FILE.toml`: the file as it is called in the home, which may stand in a bucket."""
    return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True)
class LayoutFile:
    """One file as it was read."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[KeyPath, int]

    @classmethod
    def load(cls, path: Path) -> LayoutFile:
        """Raises LayoutError, with the line, where the file is not TOML."""
        content = path.read_bytes()
        try:
            text = content.decode("utf-8-sig")  # editors on Windows put a mark before it
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise LayoutError(
                f"{shown(path)}, line {line}: not TOML: not UTF-8; save the file as UTF-8"
            ) from None
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            said = re.fullmatch(
                r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", str(error)
            )
            line = int(said["line"]) if said and said["line"] else text.rstrip().count("\n") + 1
            what = said["what"] if said else str(error)
            raise LayoutError(f"{shown(path)}, line {line}: not TOML: {what}") from None
        return cls(path, data, key_lines(text))

    def said(self, key: KeyPath, text: str) -> str:
        """One line about a key."""
        near = nearest(self.lines, key)
        where = f", line {self.lines[near]}" if near else ""
        return f"{shown(self.path)}{where}: {spelled(key)}: {text}"


def said_by(family: Sequence[LayoutFile], key: KeyPath, text: str) -> str:
    """One line about a key, as the file says it where the key stands: a layout may have it from one that it
    extends. `family`: the layout's own file first."""
    key = tuple(part for part in key if part != "[key]")  # pydantic's mark for the name of a key
    nearness = [len(nearest(file.lines, key)) for file in family]
    return family[nearness.index(max(nearness))].said(key, text)


def spelled(key: KeyPath) -> str:
    """A key as it is written in the file; what stands in a list by its number, from 1 on."""
    out = ""
    for part in key:
        if isinstance(part, int):
            out += f"[{part + 1}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            out += f".{name}" if out else name
    return out


def mend(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    """What is wrong and how to mend it, in the words of somebody who writes a layout. `error`: one of
    pydantic's; `root`: the model of the whole file."""
    key = tuple(part for part in error["loc"] if part != "[key]")
    text = str(error["msg"]).removeprefix("Value error, ")
    name = str(key[-1]) if key else ""
    misplaced = ""
    if len(key) > 1 and name in root.model_fields:
        misplaced = f"; {name!r} belongs above the first [table]"
    if error["type"] == "extra_forbidden":
        table = _model_at(root, key[:-1])
        there = list(table.model_fields) if table is not None else []
        close = difflib.get_close_matches(name, there, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(there)}"
        return f"there is no such key{misplaced or meant}"
    if error["type"] == "missing":
        return "this key is missing"
    if error["type"] == "model_type":
        return "this is a table of keys"
    if error["type"] == "tuple_type":
        return 'write a list, such as ["one"]'
    return text + misplaced


def _model_at(root: type[BaseModel], key: KeyPath) -> type[BaseModel] | None:
    """The model of the table at `key`."""
    model: type[BaseModel] | None = root
    for part in key:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model is not None else None
        model = _model_in(field.annotation) if field is not None else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)
