"""The metrics as SQL, written from the formulas of the catalogue."""

from __future__ import annotations

from benchmarks.metric_plan import CREATININE, PER_CREATININE, Plan, natural_range

Slots = dict[tuple[str, str], int]


def literal(text: str | None) -> str:
    """A text as SQL."""
    return "NULL::VARCHAR" if text is None else "'" + text.replace("'", "''") + "'"


def wide(specimen: str, slots: Slots) -> str:
    """One row per sample of a specimen, two columns per analyte and unit."""
    ends = ",\n".join(
        f"max(low) FILTER (slot = {n}) AS l{n}, max(high) FILTER (slot = {n}) AS h{n}" for n in slots.values()
    )
    creatinine = slots.get(CREATININE)
    low, high = (f"{end}{creatinine} * 113.12 / 1e6" for end in "lh")
    flag = "NULL::VARCHAR"
    if creatinine is not None and specimen.startswith("urine"):
        flag = f"CASE WHEN {high} < 0.3 OR {low} > 3.0 THEN 'creatinine outside 0.3 to 3.0 g/L' END"
    return f"""
        CREATE TABLE wide_{specimen} AS
        WITH w AS (SELECT sid, {ends} FROM winners WHERE specimen = {literal(specimen)} GROUP BY sid),
        p AS (SELECT sid, map_from_entries(list((analyte, problem))) AS problems FROM problems GROUP BY sid)
        SELECT s.sid, w.* EXCLUDE (sid), p.problems, {flag} AS flag
        FROM (SELECT sid FROM samples WHERE specimen = {literal(specimen)}) s
        LEFT JOIN w USING (sid) LEFT JOIN p USING (sid)
    """


class _Columns:
    """The ends of an analyte in a unit as SQL."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def end(self, analyte: str, unit: str, end: str) -> str:
        n = self.slots.get((analyte, unit))
        return "NULL::DOUBLE" if n is None else f"{end}{n}"

    def per_volume(self, analyte: str, end: str) -> str:
        direct = self.end(analyte, "umol/L", end)
        converted = f"{self.end(analyte, PER_CREATININE, end)} * ({self.end(*CREATININE, end)} / 1000)"
        both = f"coalesce({direct}, {converted})"
        return f"CASE WHEN isnan({both}) THEN 'inf'::DOUBLE ELSE {both} END" if end == "h" else both

    def whole(self, components: list[str], unit: str, converted: bool) -> str:
        if not converted:
            return " AND ".join(f"{self.end(c, unit, 'l')} IS NOT NULL" for c in components)
        return " AND ".join(f"({self.per_volume(c, 'l')}) IS NOT NULL" for c in components)

    def anywhere(self, analyte: str) -> str:
        mine = [f"l{n} IS NOT NULL" for (a, _), n in self.slots.items() if a == analyte]
        return "(" + " OR ".join(mine) + ")" if mine else "false"


def _chosen(plan: Plan, columns: _Columns, names: list[str], end: str) -> str:
    """The sum of `names` in the first basis in which every component is there."""
    if not plan.choices or not names:
        return "NULL::DOUBLE"
    parts = []
    for index, (unit, _, converted) in enumerate(plan.choices):
        ends = [columns.per_volume(n, end) if converted else columns.end(n, unit, end) for n in names]
        parts.append(f"WHEN {index} THEN " + " + ".join(f"({e})" for e in ends))
    return "CASE choice " + " ".join(parts) + " END"


def _divided(n: tuple[str, str], d: tuple[str, str]) -> tuple[str, str]:
    low = f"CASE WHEN {n[0]} = 0 OR isinf({d[1]}) THEN 0.0 ELSE {n[0]} / {d[1]} END"
    high = (
        f"CASE WHEN {n[1]} = 0 THEN CASE WHEN {d[1]} = 0 THEN 'inf'::DOUBLE ELSE 0.0 END "
        f"WHEN {d[0]} = 0 OR isinf({n[1]}) THEN 'inf'::DOUBLE ELSE {n[1]} / {d[0]} END"
    )
    return f"CASE WHEN choice IS NOT NULL THEN {low} END", f"CASE WHEN choice IS NOT NULL THEN {high} END"


def one_metric(plan: Plan, slots: Slots, specimen: str) -> str:
    """SELECT of one metric of all samples of a specimen."""
    columns, about = _Columns(slots), plan.about
    numerator, denominator = list(about["numerator"]), list(about["denominator"])
    shared = set(numerator) & set(denominator)
    scale = f"{about['scale']!r}::DOUBLE"
    choice = " ".join(
        f"WHEN {columns.whole(plan.components, unit, converted)} THEN {index}"
        for index, (unit, _, converted) in enumerate(plan.choices)
    )
    choice = f"CASE {choice} END" if choice else "NULL::INTEGER"
    sides = {"n": numerator, "d": denominator}
    if shared:
        whole, part = (denominator, numerator) if shared == set(numerator) else (numerator, denominator)
        sides |= {"r": [name for name in whole if name not in shared], "p": part}
    sums = ", ".join(
        f"{_chosen(plan, columns, names, end)} AS {side}{end}"
        for side, names in sides.items()
        for end in "lh"
    )
    low, high = _divided(("rl", "rh"), ("pl", "ph")) if shared else _divided(("nl", "nh"), ("dl", "dh"))
    if shared == set(numerator):
        low, high = f"1 / (1 + {high})", f"1 / (1 + {low})"
    elif shared:
        low, high = f"1 + {low}", f"1 + {high}"
    missing = ", ".join(
        f"CASE WHEN NOT {columns.anywhere(c)} THEN coalesce(problems[{literal(c)}], 'missing component') || {literal(': ' + c)} END"
        for c in plan.components
    )
    basis = " ".join(f"WHEN {i} THEN {literal(basis)}" for i, (_, basis, _) in enumerate(plan.choices))
    unit = " ".join(f"WHEN {i} THEN {literal(unit)}" for i, (unit, _, _) in enumerate(plan.choices))
    lowest, highest = (f"'{end}'::DOUBLE" for end in natural_range(about))
    return f"""
        SELECT sid, {literal(about["metric"])} AS metric, {literal(about["name"])} AS name,
            CASE WHEN reason IS NULL AND low = high THEN low END AS value,
            CASE WHEN reason IS NULL THEN low END AS low, CASE WHEN reason IS NULL THEN high END AS high,
            {literal(about["unit"])} AS unit,
            CASE WHEN reason IS NOT NULL THEN 'absent' WHEN low = high THEN 'uncensored'
                WHEN low <= {lowest} AND high >= {highest} THEN 'undetermined' WHEN low <= {lowest} THEN 'below'
                WHEN high >= {highest} THEN 'above' ELSE 'bounded' END AS status,
            reason, {f"CASE choice {basis} END" if basis else "NULL::VARCHAR"} AS basis,
            nl AS numerator_low, nh AS numerator_high, dl AS denominator_low, dh AS denominator_high,
            {f"CASE choice {unit} END" if unit else "NULL::VARCHAR"} AS component_unit,
            {literal(about["studied_in"])} AS studied_in, {literal(about["evidence_grade"])} AS evidence_grade,
            {literal(about["citation"])} AS citation, flag
        FROM (
            SELECT *, coalesce({literal(plan.refused)}, nullif(missing, ''),
                CASE WHEN low IS NULL THEN 'different basis' WHEN isinf(low) THEN 'zero denominator' END) AS reason
            FROM (
                SELECT *, ({low}) * {scale} AS low, ({high}) * {scale} AS high FROM (
                    SELECT sid, flag, choice, concat_ws('; ', {missing}) AS missing, {sums}
                    FROM (SELECT *, {choice} AS choice FROM wide_{specimen})
                )
            )
        )
    """
