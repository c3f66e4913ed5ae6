"""A layout file that cannot be used is told with its line, its key and the mend."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import load_catalogue
from schemas.layout_errors import LayoutError
from schemas.layout_files import BUILT_IN, load_layouts
from schemas.store import write
from schemas.toml_lines import KeyPath, key_lines
from tasks.bench import Bench
from tests.home import Home

HOMES = ("folder", "bucket")
ROLE = '[[roles]]\ncolumn = "sample"\nmatches = "a"\nrole = "qc"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "x"\n\ntitle = \n', "line 3: not TOML: Invalid value"),
        ('name = "x"\ntitle = "', "line 2: not TOML: Unterminated string"),
        (
            'name = "x"\n# note\nreeder = "table"',
            "line 3: reeder: there is no such key; did you mean 'reader'?",
        ),
        ('name = "x"\n[columns]\nsample = "A"\nsampel = "B"', "line 4: columns.sampel: there is no column"),
        ('name = "x"\n[columns]\nunit = "A"\ndelimiter = ";"', "'delimiter' belongs above the first [table]"),
        (
            'name = "x"\n[values]\nheader_row = 2',
            "line 3: values.header_row: there is no such key; 'header_row' be",
        ),
        ('name = "x"\nencoding = "zip"', "line 2: encoding: 'zip' is no encoding that Python knows"),
        ('name = "x"\n[columns]\nsample = [\n  "A", # one\n  7,\n]', "line 5: columns.sample[2]: "),
        ('name = "x"\n[[roles]]\nmatches = "x"\nrole = "qc"', "line 2: roles[1].column: this key is missing"),
        (f'name = "x"\n{ROLE}\n{ROLE}matches2 = 1', "line 11: roles[2].matches2: there is no such key"),
        ('name = "x"\nvalues = { decimal = ".", thousands = 3 }', "line 2: values.thousands: "),
        ('name = "x"\nvalues.lloq.gaba = "low"', "line 2: values.lloq.gaba: "),
        ('name = "x"\n[values.lloq]\n"5-hiaa" = 1\n"a b" = "low"', 'line 4: values.lloq."a b": '),
        ("name = 'x'\ntitle = '''\n[values]\ndecimal = 1\n'''\nheader_row = 0", "line 6: header_row: "),
        ('name = "x"\ntitle = """\nhe said """""\nheader_row = 0', "line 4: header_row: "),
        ('name = "x"\n[values]\ndecimal = ","\nthousands = ","', "line 2: values: one mark"),
        (
            'name = "x"\nextends = "genric"',
            "line 2: extends: 'genric' is not a layout it can start from; there are",
        ),
    ],
)
def test_a_bad_layout_is_refused_with_line_key_and_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "ours.toml"
    for content in (text, text.replace("\n", "\r\n")):
        path.write_bytes(content.encode())
        with pytest.raises(LayoutError) as error:
            load_layouts(tmp_path)
        assert str(error.value).startswith(f"{tmp_path.name}/ours.toml, line ")
        assert says in str(error.value)


def test_all_errors_of_a_layout_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text('name = "x"\nheader_row = 0\nreeder = 1\n[samples]\nunique = "w"\n')
    with pytest.raises(LayoutError) as error:
        load_layouts(tmp_path)
    found = re.findall(r"line (\d+): (\S+):", str(error.value))
    assert sorted(found) == [("2", "header_row"), ("3", "reeder"), ("5", "samples.unique")]


def test_two_layouts_of_one_name_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / f"{name}.toml").write_text('title = ""\nname = "ours"\n')
    with pytest.raises(LayoutError, match=r"old\.toml, line 2: name: new\.toml beside it has this name too"):
        load_layouts(tmp_path)


def test_the_file_is_named_where_an_inherited_key_stands(tmp_path: Path) -> None:
    (tmp_path / "child.toml").write_text('name = "child"\nextends = "parent"\n[values]\ndecimal = ","\n')
    (tmp_path / "parent.toml").write_text('name = "parent"\n\n[times]\ntimezone = "Nowhere/Land"\n')
    with pytest.raises(LayoutError, match=r"parent\.toml, line 4: times\.timezone: "):
        load_layouts(tmp_path)


def test_a_layout_that_leads_to_what_the_catalogue_lacks_is_told_the_line(tmp_path: Path) -> None:
    text = 'name = "ours"\nextends = "generic"\n[analytes]\n"DA (free)" = "dopamin"\n'
    (tmp_path / "ours.toml").write_text(text, "utf-8-sig")
    with pytest.raises(
        LayoutError, match=r'ours\.toml, line 4: analytes\."DA \(free\)": .dopamin. is no analyte'
    ):
        load_layouts(tmp_path, problems=load_catalogue().problems_of)


def test_bytes_that_are_no_utf_8_are_told_the_line(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_bytes('name = "x"\n\ntitle = "Röhrchen"'.encode("latin-1"))
    with pytest.raises(LayoutError, match=r"line 3: not TOML: not UTF-8"):
        load_layouts(tmp_path)


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_every_key_of_the_built_in_layouts_has_the_line_where_it_stands(path: Path) -> None:
    text = path.read_text("utf-8")
    lines = key_lines(text)
    rows = text.split("\n")
    seen = []

    def walk(part: object, way: KeyPath) -> None:
        inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for name, value in inside:
            here = (*way, name)
            mark = name if isinstance(name, str) else json.dumps(value, ensure_ascii=False)
            if isinstance(name, str) or (isinstance(value, str) and "\\" not in value):
                assert mark in rows[lines[here] - 1] or isinstance(name, int)
            seen.append(here)
            walk(value, here)

    walk(tomllib.loads(text), ())
    assert set(seen) == set(lines)


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
LEAVES = st.one_of(st.integers(-9, 9), st.booleans(), KEYS, st.floats(-5, 5))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def _inline(value: object, breaks: bool) -> str:
    """A value as TOML; lists run over several lines where `breaks`."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{json.dumps(k, ensure_ascii=False)} = {_inline(v, False)}" for k, v in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        gap = "\n  # [not] a = {key}\n" if breaks else " "
        return "[" + ",".join(gap + _inline(part, breaks) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_lines_of_any_keys_are_found(tree: dict) -> None:
    text, expected = "", {}
    for name, value in tree.items():
        expected[(name,)] = text.count("\n") + 1
        text += f"{json.dumps(name, ensure_ascii=False)} = {_inline(value, True)}\n"
    assert tomllib.loads(text) == tree
    lines = key_lines(text)
    assert {path: line for path, line in lines.items() if len(path) == 1} == expected

    def count(part: object) -> int:
        inside = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
        return len(inside) + sum(map(count, inside))

    assert len(lines) == count(tree)


def test_a_layout_of_the_home_is_named_as_it_is_called_there_in_a_folder_and_in_a_bucket(home: Home) -> None:
    content = b'name = "ours"\nreeder = "table"\n'
    write(home.settings.store, "layouts/ours.toml", lambda path: path.write_bytes(content))
    with pytest.raises(LayoutError, match=r"^layouts/ours\.toml, line 2: reeder: "):
        Bench.of(home.settings)
