"""Layout files: those that come with the program and those of a home, each on top of the one that it extends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from schemas.layout import Layout
from schemas.layout_errors import LayoutError, LayoutFile, mend, said_by
from schemas.toml_lines import KeyPath

BUILT_IN = Path(__file__).parent / "layouts"


def _merged(base: dict, over: dict) -> dict:
    """`over` on top of `base`; tables are merged key by key, everything else is replaced."""
    out = dict(base)
    for key, value in over.items():
        out[key] = (
            _merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
        )
    return out


def load_layouts(
    *folders: Path, problems: Callable[[Layout], list[tuple[KeyPath, str]]] | None = None
) -> dict[str, Layout]:
    """All layouts of the built-in folder and then of `folders`; a later name replaces an earlier one.

    `problems`: what else is wrong with a layout, by key; the catalogue knows. Raises LayoutError with file,
    line, key and mend of all that cannot be used in one layout.
    """
    files: dict[str, LayoutFile] = {}
    for folder in (BUILT_IN, *folders):
        for path in sorted(folder.glob("*.toml")):
            file = LayoutFile.load(path)
            name = str(file.data.get("name", path.stem))
            if (same := files.get(name)) is not None and same.path.parent == folder:
                raise LayoutError(file.said(("name",), f"{same.path.name} beside it has this name too"))
            files[name] = file

    def family(name: str) -> list[LayoutFile]:
        """The file of a layout, the one that it extends, and so on."""
        out: list[LayoutFile] = []
        parent: object = name
        while parent is not None:
            file = files.get(parent) if isinstance(parent, str) else None
            if file is None or file in out:
                said = f"{parent!r} is not a layout it can start from"
                raise LayoutError(out[-1].said(("extends",), f"{said}; there are {', '.join(sorted(files))}"))
            out.append(file)
            parent = file.data.get("extends")
        return out

    layouts = {}
    for name in files:
        chain = family(name)
        data: dict = {}
        for file in reversed(chain):
            data = _merged({k: v for k, v in data.items() if k not in ("name", "title", "labs")}, file.data)
        try:
            layout = layouts[name] = Layout.model_validate({"name": name} | data)
        except ValidationError as error:
            wrong = [(found["loc"], mend(found, Layout)) for found in error.errors(include_url=False)]
        else:
            wrong = problems(layout) if problems is not None else []
        if wrong:
            raise LayoutError("\n".join(said_by(chain, path, text) for path, text in wrong))
    return layouts
