"""The documentation names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from flows.cli import app
from schemas import outputs
from schemas.catalogue import load_catalogue
from schemas.layout import Detect, Layout, RoleRule, Samples, Times, Values, Wide
from schemas.settings import Lab, Settings
from tasks import intervals
from tests.docs.runner import ROOT, pages

README = (ROOT / "README.md").read_text("utf-8")


def _commands(group: Any, before: str = "") -> dict[str, Any]:
    """Every command by what is typed for it, those of groups included."""
    out: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = (
            _commands(command, f"{before}{name} ")
            if hasattr(command, "commands")
            else {before + name: command}
        )
        out.update(inner)
    return out


COMMANDS = _commands(typer.main.get_command(app))
#: words that begin a command of two words
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}


def _section(text: str, start: str) -> str:
    """The text from `start` to the next heading, or blank-line-separated table, of the same page."""
    assert start in text, f"{start!r} is missing"
    return re.split(r"\n#+ ", text.split(start, 1)[1], maxsplit=1)[0]


def _first_column(text: str) -> list[str]:
    """What stands in backticks in the first column of the first table of `text`."""
    rows: list[str] = []
    for line in text.lstrip().splitlines():
        if not line.startswith("|") and rows:
            break
        if line.startswith("|"):
            rows.append(line.split("|")[1])
    return [name for cell in rows for name in re.findall(r"`([^`]+)`", cell)]


def _options(name: str) -> set[str]:
    return {flag for param in COMMANDS[name].params for flag in param.opts if flag.startswith("--")}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_with_all_its_options(name: str) -> None:
    section = _section((ROOT / "docs" / "commands.md").read_text("utf-8"), f"## neurobalance {name}\n")
    assert set(re.findall(r"^- `(--[a-z-]+)`", section, re.MULTILINE)) == _options(name)


def test_the_pages_name_no_command_and_no_option_that_does_not_exist() -> None:
    named = 0
    for page in pages():
        for line in page.read_text("utf-8").splitlines():
            for said in re.findall(r"(?:^\$ |`|## )neurobalance ([a-z][^`|]*)", line):
                words = said.split()
                name = " ".join(words[: 2 if words[0] in GROUPS else 1])
                named += 1
                assert name in COMMANDS, f"{page.name}: {line}"
                unknown = set(re.findall(r"--[a-z-]+", said)) - _options(name) - {"--help"}
                assert not unknown, f"{page.name}: {line}"
    assert named > 30


def test_every_setting_is_documented() -> None:
    documented = _first_column(_section(README, "**Settings** are environment variables"))
    fields = {f"NEUROBALANCE_{name.upper()}" for name in Settings.model_fields}
    assert set(documented) == fields | {"NEUROBALANCE_DEBUG"}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int) and not isinstance(field.default, bool):
            assert f"| `NEUROBALANCE_{name.upper()}` | `{field.default}` |" in README


def test_every_key_of_labs_toml_is_documented() -> None:
    assert set(_first_column(_section(README, "About each lab, `labs.toml`"))) == set(Lab.model_fields)


def test_every_key_of_a_layout_is_documented() -> None:
    section = _section((ROOT / "docs" / "add-a-layout.md").read_text("utf-8"), "## Keys of a layout")
    assert set(_first_column(section)) == set(Layout.model_fields)
    for part in (Detect, Values, Times, Wide, Samples, RoleRule):
        for key in part.model_fields:
            assert f"`{key}`" in section, f"{part.__name__}.{key}"


def test_everything_that_stands_in_a_home_is_documented(examples_home: Path) -> None:
    documented = {entry.split("/")[0] for entry in _first_column(_section(README, "**The home:**"))}
    there = {entry.name for entry in examples_home.iterdir()}
    assert len(there) > 4
    assert there <= documented


def test_every_dataset_and_every_status_is_documented() -> None:
    analyst = _section(README, "## For the analyst")
    assert _first_column(_section(README, "Six datasets")) == _first_column(analyst)
    assert set(_first_column(analyst)) == set(outputs.datasets(load_catalogue()))
    statuses = {
        intervals.UNCENSORED,
        intervals.BELOW,
        intervals.ABOVE,
        intervals.BOUNDED,
        intervals.UNDETERMINED,
        intervals.ABSENT,
    }
    assert set(_first_column(_section(README, "**Intervals.**"))) == statuses


def test_every_deployment_is_named_as_it_is_deployed() -> None:
    deployed = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text("utf-8"))["deployments"]
    assert deployed
    for deployment in deployed:
        flow = deployment["entrypoint"].replace(":", ".").rsplit(".", 1)[1]
        assert f"`{flow}/{deployment['name']}`" in README


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        assert not anchor or anchor in _anchors(found), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
        waiting += [(page.parent / t).resolve() for t in targets if "://" not in t]
    assert set(pages()) <= reached
