"""What the references of FHIR resources mean, and which panel and report an Observation belongs to."""

from __future__ import annotations

from typing import Any

from tasks.readers.fhir_values import many, some, text_of


class Resources:
    """The resources of a document by what refers to them."""

    def __init__(self) -> None:
        self._by_reference: dict[str, dict] = {}
        self._all: list[dict] = []
        self.panel: dict[int, dict | None] = {}  # identity of an Observation -> the one it is a member of
        self.report: dict[int, dict | None] = {}  # identity of an Observation -> its DiagnosticReport

    def __len__(self) -> int:
        return len(self._by_reference)

    def add(self, resource: dict, url: Any = None) -> None:
        """Remember a resource under its type and id, and its full URL."""
        kind, name = resource.get("resourceType"), text_of(resource.get("id"))
        if isinstance(kind, str) and name:
            self._by_reference[f"{kind}/{name}"] = resource
        if isinstance(url, str):
            self._by_reference[url] = resource
        if kind in ("Observation", "DiagnosticReport"):
            self._all.append(resource)

    def find(self, reference: Any, within: dict | None = None) -> dict | None:
        """The resource that a reference means; `#id` is one contained in `within`."""
        text = text_of(some(reference).get("reference"))
        if text is None:
            return None
        if text.startswith("#"):
            contained = many((within or {}).get("contained"))
            return next((r for r in contained if text_of(r.get("id")) == text[1:]), None)
        if not self._by_reference:
            return None
        text = text.split("/_history/")[0]
        return self._by_reference.get(text) or self._by_reference.get("/".join(text.rsplit("/", 2)[-2:]))

    def forget(self) -> None:
        """Forget who belongs to whom: the next resource may lie where the last one lay."""
        self.panel.clear()
        self.report.clear()

    def link(self, holder: dict | None = None) -> None:
        """Note which Observations are members of a panel and results of a report: among all resources, or of
        the one resource `holder` and what it contains. One that two panels name belongs to neither."""
        among = self._all if holder is None else [holder, *many(holder.get("contained"))]
        for resource in among:
            is_report = resource.get("resourceType") == "DiagnosticReport"
            into = self.report if is_report else self.panel
            for reference in many(resource.get("result" if is_report else "hasMember")):
                member = self.find(reference, holder or resource)
                if member is not None and member is not resource:
                    into[id(member)] = None if into.get(id(member), resource) is not resource else resource
