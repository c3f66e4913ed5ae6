"""Names of labs made safe for paths."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, unquote


def folder_name(lab: str) -> str:
    """A lab's name as one folder name: percent-encoded, never `.` or `..`, and no longer than a path allows."""
    name = quote(lab, safe=" ")
    if len(name) > 200:
        return f"{name[:150]}~{hashlib.sha256(lab.encode()).hexdigest()[:16]}"
    return name.replace(".", "%2E") if set(name) <= {"."} else name


def lab_of(folder: str) -> str:
    """The lab whose folder in an inbox this is."""
    return unquote(folder)
