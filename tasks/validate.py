"""What is accepted, defined once: reason -> expression. Everything else is made from this table.

`judge` evaluates all rules in one pass and gives each row all its reasons; `model` makes the
Pandera schema whose checks are the same expressions, negated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from tasks.codes import by_text, texts_of

if TYPE_CHECKING:
    import pandera.polars as pa

#: No dissolved substance reaches this amount; pure water is 55.5 mol/L (umol/L).
LARGEST_UMOL_PER_L = 6.0e7
#: No amount in any other unit reaches this one: a litre of water is 1e9 ug, a mole 1e9 nmol.
LARGEST_NUMBER = 1.0e12
#: A longer text is a broken file, not a name or a value (characters).
LONGEST_TEXT = 32_768

_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_TEXTS = ("subject", "sample", "site", "visit", "timepoint", "replicate", "method", "run", "item",
          "sent_analyte", "sent_code", "sent_value", "sent_unit", "sent_specimen", "sent_collected_at")  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One reason for quarantine: when it applies (true or null-safe false), and how to mend it."""

    applies: pl.Expr
    mend: str


_is_sample = (pl.col("role") == "sample").fill_null(True)
_measures_value = (pl.col("status") != "withdrawn").fill_null(True)
_whole = pl.col("defect").is_null()
#: a standard is labelled, and a qualifier named after its transition: neither needs to be an analyte
_names_analyte = ~pl.col("role").is_in(["internal standard", "qualifier"]).fill_null(False)


def _says(column: str, problem: str) -> pl.Expr:
    return pl.col(column).eq_missing(pl.lit(problem))


def _says_either(problem: str) -> pl.Expr:
    return _says("time_problem", problem) | _says("report_problem", problem)


_needed = _whole & _names_analyte
_valued = _needed & _measures_value
_placed = _whole & _is_sample

RULES: dict[str, Rule] = {
    "wrong number of fields": Rule(
        _says("defect", "wrong number of fields"),
        "correct the record in the export: it has more or fewer fields than the header",
    ),
    "unreadable record": Rule(
        pl.col("defect").is_not_null() & ~_says("defect", "wrong number of fields"),
        "correct the record in the export: it cannot be cut into fields",
    ),
    "unknown analyte": Rule(
        _needed & _says("analyte_problem", "unknown analyte"),
        "name it in the layout under [analytes], or add it to a catalogue of your own",
    ),
    "ambiguous analyte": Rule(
        _needed & _says("analyte_problem", "ambiguous analyte"),
        "say in the layout which one is meant: [analytes], or a vocabulary",
    ),
    "name and code disagree": Rule(
        _needed & _says("analyte_problem", "name and code disagree"),
        "correct the code or the name in the export, or decide in the layout under [analytes]",
    ),
    "not defined in this specimen": Rule(
        _needed & _says("analyte_problem", "not defined in this specimen"),
        "the catalogue has this ratio for other specimens only; correct the specimen, or send its components",
    ),
    "no value": Rule(_valued & _says("number_problem", "no value"), "nothing was measured, or the export lost it"),
    "unreadable value": Rule(
        _valued & _says("number_problem", "unreadable value"),
        "say in the layout under [values] what the text means: decimal, thousands, below, not_detected, missing",
    ),
    "ambiguous number": Rule(
        _valued & _says("number_problem", "ambiguous number"),
        "say in the layout under [values] which mark is decimal and which stands between thousands",
    ),
    "impossible value": Rule(
        _valued
        & (
            (pl.col("low") < 0)
            | (pl.col("high") < 0)
            | ((pl.col("high") <= 0) & (pl.col("censoring") == "below"))
            | ((pl.col("low") > LARGEST_UMOL_PER_L) & (pl.col("unit") == "umol/L"))
            | (pl.col("low") > LARGEST_NUMBER)
        ).fill_null(False),
        "an amount cannot be negative, below zero or larger than a pure liquid's; correct value or unit at the source",
    ),
    "no unit": Rule(_valued & _says("unit_problem", "no unit"), "name the unit in the layout under [constants]"),
    "unknown unit": Rule(
        _valued & _says("unit_problem", "unknown unit"), "translate it in the layout under [units], for example to umol/L"
    ),
    "unit without its basis": Rule(
        _valued & _says("unit_problem", "unit without its basis"),
        "say per what in the layout under [units], for example ug/g{creat} or nmol/g{wet}",
    ),
    "unit cannot be converted": Rule(
        _valued & _says("unit_problem", "unit cannot be converted"),
        "the unit does not measure this analyte; correct unit or analyte at the source",
    ),
    "unit does not fit the specimen": Rule(
        _valued & _says("unit_problem", "unit does not fit the specimen"),
        "for example per creatinine is for urine only; correct unit or specimen",
    ),
    "unknown specimen": Rule(
        _placed & _says("specimen_problem", "unknown specimen"), "translate it in the layout under [specimens]"
    ),
    "no specimen": Rule(
        _placed & _says("specimen_problem", "no specimen"), "name the specimen in the layout under [constants]"
    ),
    "specimen and code disagree": Rule(
        _placed & _says("specimen_problem", "specimen and code disagree"),
        "the LOINC code names another specimen; correct either at the source, or map the code in the layout",
    ),
    "no sample id": Rule(
        _placed & pl.col("sample").is_null(), "map the column with the sample id in the layout under [columns]"
    ),
    "no run": Rule(
        _placed & pl.col("sample").is_not_null() & pl.col("sample_key").is_null() & pl.col("specimen").is_not_null(),
        "the layout says that sample ids are unique in a run; map the column with the run",
    ),
    "no collection time": Rule(
        _placed & _says("time_problem", "no collection time"),
        "map it in the layout under [columns], or allow another time under [times] source",
    ),
    "unreadable time": Rule(
        _placed & _says("time_problem", "unreadable time"), "give its format in the layout under [times] formats"
    ),
    "no time zone": Rule(
        _placed & _says_either("no time zone"),
        "name the lab's time zone in labs.toml, or in the layout under [times]",
    ),
    "clock time does not exist or is twice": Rule(
        _placed & _says_either("clock time does not exist or is twice"),
        "the clocks changed in that hour; send the offset with the time",
    ),
    "unreadable report time": Rule(
        _placed & _says("report_problem", "unreadable report time"), "give its format in the layout under [times] formats"
    ),
    "collected in the future": Rule(
        _placed
        & (
            pl.col("collected_local") > pl.col("received_at").dt.replace_time_zone(None) + pl.duration(hours=14)
        ).fill_null(False),
        "the collection time is after the export arrived; correct it at the source",
    ),
    "reported in the future": Rule(
        _placed & (pl.col("reported_at") > pl.col("received_at") + pl.duration(hours=14)).fill_null(False),
        "the report time is after the export arrived; correct it at the source",
    ),
    "unknown status": Rule(_whole & pl.col("status").is_null(), "use preliminary, final, corrected or withdrawn"),
    "unknown role": Rule(_whole & pl.col("role").is_null(), "say what it is in the layout under [[roles]]"),
    "control character": Rule(pl.col("has_control"), "remove the control character at the source"),
    "text too long": Rule(pl.col("is_long"), f"no field may have more than {LONGEST_TEXT} bytes"),
}  # fmt: skip


def faulty_texts(frame: pl.DataFrame) -> list[pl.Series]:
    """`has_control` and `is_long`: whether any text of a row has a control character, or is too long."""

    def any_text(name: str, faulty: Callable[[pl.Series], pl.Series]) -> pl.Series:
        found = pl.Series(name, [False], pl.Boolean).new_from_index(0, frame.height)
        for text in frame.select(_TEXTS):
            if not isinstance(text.dtype, pl.Enum):
                found |= faulty(text).fill_null(False)
            elif faulty(texts_of(text)).any():
                found |= by_text(text, faulty).fill_null(False)
        return found

    return [
        any_text("has_control", lambda texts: texts.str.contains(_CONTROL)),
        any_text("is_long", lambda texts: texts.str.len_bytes() > LONGEST_TEXT),
    ]


def judge(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with `reasons` (list of rule names, in the order of the table) and `accepted`."""
    names = list(RULES)
    # one boolean column per rule, and the list is built only where something applies
    flags = frame.select(rule.applies.fill_null(False).alias(name) for name, rule in RULES.items())
    bad = flags.select(pl.any_horizontal(names).alias("bad"))["bad"]
    marked = flags.filter(bad).select(
        pl.concat_list(pl.when(pl.col(name)).then(pl.lit(name)) for name in names)
        .list.drop_nulls()
        .alias("reasons")
    )["reasons"]
    index = pl.DataFrame(
        {"_at": bad.arg_true(), "reasons": marked}, schema={"_at": pl.UInt32, "reasons": pl.List(pl.String)}
    )
    out = bad.to_frame().with_row_index("_at").join(index, on="_at", how="left", maintain_order="left")
    return frame.with_columns(
        (~bad).alias("accepted"), out["reasons"].fill_null(pl.lit([], pl.List(pl.String)))
    )


def model() -> pa.DataFrameSchema:
    """The Pandera schema of an accepted result, made from `RULES`: one check per reason."""
    import pandera.polars as pa

    def check(rule: Rule) -> pa.Check:
        return pa.Check(lambda data: data.lazyframe.select(~rule.applies.fill_null(False)))

    return pa.DataFrameSchema(
        checks=[_named(check(rule), name) for name, rule in RULES.items()],
        strict=False,
        name="accepted result",
    )


def _named(check: pa.Check, name: str) -> pa.Check:
    check.name, check.error = name, name
    return check
