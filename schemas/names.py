"""The matching key of a name: what is left of a text when the ways of writing it are taken away.

Pure Python, meant for the distinct texts of an export, never for every row.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: German umlauts have a spelling of two letters; every other accent is only dropped.
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l"})
#: `17ß-Östradiol` is how beta is typed on a German keyboard: no German word has ß after a non-letter.
_SHARP_S_AS_BETA = re.compile(r"(?<![^\W\d_])[ßẞ](?=\W|[^\W\d_])")
#: `b-PEA`, `5a-DHT`, `g-aminobutyric acid`; `B-12` and `GABA-B` stay as they are.
_LETTER_AS_GREEK = re.compile(r"(?<![^\W\d_])([abg])-(?=[^\W\d_])")
_GREEK_OF_LETTER = {"a": "alpha", "b": "beta", "g": "gamma"}
_MARK_BETWEEN_DIGITS = re.compile(r"(?<=\d)[^\w+/]+(?=\d)")
_DROPPED = re.compile(r"[^\w+/,]|_|(?<!\d),|,(?!\d)")


def _greek_spelled_out(text: str) -> str:
    """`text` with each Greek letter replaced by its name: `γ` -> `gamma`."""
    if text.isascii():
        return text
    out = []
    for character in text:
        name = unicodedata.name(character, "")
        out.append(name.split(" WITH ")[0].split()[-1].lower() if name.startswith("GREEK ") else character)
    return "".join(out)


@lru_cache(maxsize=65536)
def folded(text: str) -> str:
    """The key under which `text` is matched; empty when nothing of it can be matched.

    Without regard to case, spacing, accents, `ä`/`ae`, `ß`/`ss`, Greek letters against their names
    (and `b-` for `beta-`), and most punctuation. What counts: letters, digits, `+` (`GABA+` is not
    `GABA`), `/` and `:` between two parts as the mark of a ratio (`Phe:Tyr` is `Phe/Tyr`, never a
    compound), and that two numbers are two (`3,4-` is not `34-`).
    """
    key = _SHARP_S_AS_BETA.sub("beta", unicodedata.normalize("NFC", text))
    key = unicodedata.normalize("NFKC", key).casefold().translate(_UMLAUTS)
    key = unicodedata.normalize("NFKD", key)
    key = "".join(mark for mark in key if unicodedata.category(mark)[0] not in "MC")
    key = _LETTER_AS_GREEK.sub(lambda found: _GREEK_OF_LETTER[found[1]], key)
    key = _greek_spelled_out(key).replace(":", "/")
    key = _MARK_BETWEEN_DIGITS.sub(",", key.replace("_", " "))
    key = _DROPPED.sub("", key)
    return re.sub("/+", "/", key).strip("/")


def without_ratio(key: str) -> str:
    """A folded key of a ratio without the word that says it is one: `phe/tyrratio` -> `phe/tyr`."""
    return re.sub(r"^(ratio|quotient)(of)?|(ratio|quotient|verhaeltnis)$", "", key).strip("/")
