"""JSON as it was written: numbers stay the text they are, and what cannot be parsed is a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.export import Reading, Unreadable
from tasks.readers.text import open_lines, prove

#: the largest file that is parsed as a whole; as objects it takes some six times as much memory
MAX_BYTES = 1 << 28
#: JSON can escape it, and no text can hold it
HALF = "a character that does not exist: half of a surrogate pair"
NOT_JSON = "not valid JSON: cut off or damaged"
Hook = Callable[[list[tuple[str, Any]]], Any]


def loads(text: str, hook: Hook | None = None) -> Any:
    """The value that `text` spells, with numbers as text. Raises Unreadable.

    `hook` makes an object of its (key, value) pairs; without it, of a key that stands twice the last counts.
    """
    reason = NOT_JSON
    try:
        return json.loads(text, object_pairs_hook=hook, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError:
        reason = "JSON nested too deeply"
    except ValueError:
        pass
    raise Unreadable(reason)  # outside the handler: the parser's error holds the whole text


def load(path: Path, encoding: str | None, reading: Reading, hook: Hook | None = None) -> Any:
    """The value of a whole file, as `loads` gives it; notes its encoding. Raises Unreadable, for a file of more
    than `MAX_BYTES` too."""
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(f"JSON of more than {MAX_BYTES >> 20} MiB in one piece")
    text = prove(path, encoding)
    reading.notes += [note for note in text.notes if "line end" not in note]  # JSON says itself where it ends
    with open_lines(path, text.encoding) as lines:
        return loads(lines.read(), hook)


def as_text(value: Any) -> str:
    """A cell as text: nothing for null, the JSON of what is no text."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
