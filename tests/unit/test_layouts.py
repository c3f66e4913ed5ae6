"""The built-in layouts, and what is said of a layout that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.export import TEXT_COLUMNS
from schemas.layout_errors import LayoutError
from schemas.layout_files import load_layouts
from tasks.readers import READERS
from tasks.readers.detect import FAMILIES
from tasks.readers.headers import key

LAYOUTS = load_layouts()
#: headers that one column cannot claim: what stands under them decides
SHARED = {"sampletype", "probentyp", "typedechantillon", "tipodemuestra"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_built_in(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout.reader in READERS or layout.reader in FAMILIES
    assert layout.title
    assert not layout.labs
    assert not set(layout.columns) & set(layout.constants)
    assert set(layout.columns) <= set(TEXT_COLUMNS)


@pytest.mark.parametrize("name", ["generic", "generic-wide"])
def test_a_header_belongs_to_one_column(name: str) -> None:
    seen: dict[str, str] = {}
    for ours, aliases in LAYOUTS[name].columns.items():
        for alias in aliases:
            assert key(alias), alias
            if key(alias) not in SHARED:
                assert key(alias) not in seen, f"{alias!r} stands for {ours} and {seen[key(alias)]}"
            seen[key(alias)] = ours


def test_the_wide_layout_knows_the_headers_of_the_long_one() -> None:
    of_one_result = {"analyte", "code", "value", "lloq", "uloq", "ref_low", "ref_high"}
    long = {k: v for k, v in LAYOUTS["generic"].columns.items() if k not in of_one_result}
    assert LAYOUTS["generic-wide"].columns == long


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not TOML"),
        ('name = "Bad Name"', "name"),
        ('name = "x"\nreeder = "delimited"', "reeder"),
        ('name = "x"\n[columns]\nsampel = ["Sample"]', "sampel"),
        ('name = "x"\n[columns]\nraw = ["Raw"]', "columns.raw"),
        ('name = "x"\n[detect]\nheader = ["Sample"]', "detect.header"),
        ('name = "x"\nheader_row = 0', "header_row"),
        ('name = "x"\n[values]\ndecimal = ";"', "values.decimal"),
        ('name = "x"\n[samples]\nunique = "world"', "samples.unique"),
        ('name = "x"\n[[roles]]\ncolumn = "sample"\nmatches = "QC"\nrole = "quality"', "roles[1].role"),
        ('name = "x"\nextends = "nobody"', "nobody"),
        ('name = "x"\nextends = "x"', "extends"),
    ],
)
def test_a_bad_layout_is_refused_with_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(LayoutError) as error:
        load_layouts(tmp_path)
    assert f"{path.parent.name}/{path.name}" in str(error.value)
    assert says in str(error.value)


def test_a_lab_extends_a_built_in_layout(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(
        'name = "ours"\nextends = "targetlynx-compound"\nlabs = ["north"]\n[constants]\nunit = "nmol/L"\n',
        "utf-8",
    )
    ours = load_layouts(tmp_path)["ours"]
    assert ours.reader == "targetlynx"
    assert ours.columns == LAYOUTS["targetlynx-compound"].columns
    assert ours.constants == {"unit": "nmol/L"}
    assert ours.digest != LAYOUTS["targetlynx-compound"].digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[times]\ntimezone = "Nowhere/Land"', "time zone"),
        ("[times]\nsource = []", "source"),
        ('[times]\nformats = ["%d.%m.%Y %H"]', "no format"),
        ('[times]\nlocale = "klingon"', "no language"),
        ('[[roles]]\ncolumn = "compound"\nmatches = "x"\nrole = "qc"', "no column 'compound'"),
        ('[[roles]]\ncolumn = "sample"\nmatches = "(?=x)"\nrole = "qc"', "regular expression"),
        ('[values]\ndecimal = ","\nthousands = ","', "one mark"),
        ('[samples]\nmethods = ["LC-MS", "LC-MS"]', "twice"),
        ('[detect]\nstarts = "("', "detect.starts: no regular expression"),
        ('[wide]\nheader = "("', "wide.header: no regular expression"),
        ('[wide]\nheader = "(?P<analyte>.*)"', "wide.header: it needs the groups analyte, unit"),
        ('[wide]\nrel_sd = "SD"', "wide.rel_sd: it needs the group analyte"),
        ('[values]\nparts = "(?P<value>"', "values.parts: no regular expression"),
        ('[values]\nparts = "(.*)"', "values.parts: it needs the group value"),
        ("[values]\nlloq = { dopamine = -1 }", "values.lloq.dopamine: "),
        ("[values]\nuloq = { dopamine = nan }", "values.uloq.dopamine: "),
        ('delimiter = ";;"', "delimiter: "),
        ('delimiter = ""', "delimiter: "),
        ('labs = "north"', 'labs: write a list, such as ["one"]'),
    ],
)
def test_a_layout_that_would_fail_on_every_file_is_refused_when_it_is_loaded(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "mine.toml").write_text(f'name = "mine"\n{text}\n')
    with pytest.raises(LayoutError, match=r"mine\.toml") as failed:
        load_layouts(tmp_path)
    assert said in str(failed.value)
