"""Numbers as transcripts of English and Spanish speech spell them."""

from typing import Final


def _table(words: str, first: int = 0, step: int = 1) -> dict[str, str]:
    numbered = enumerate(words.split())
    return {
        word: str(first + step * at) for at, each in numbered for word in each.split("/") if word
    }


UNITS: Final = {
    **_table("zero/oh/o one two three four five six seven eight nine"),
    **_table("cero uno/una/un dos tres cuatro cinco seis siete ocho nueve"),
}
TEENS: Final = {
    **_table("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10),
    **_table("diez once doce trece catorce quince dieciséis/dieciseis diecisiete", 10),
    **_table("dieciocho diecinueve", 18),
    **_table("veintiuno/veintiún/veintiun veintidós/veintidos veintitrés/veintitres", 21),
    **_table("veinticuatro veinticinco veintiséis/veintiseis veintisiete veintiocho", 24),
    **_table("veintinueve", 29),
}
TENS: Final = {
    **_table("twenty thirty forty/fourty fifty sixty seventy eighty ninety", 20, 10),
    **_table("veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa", 20, 10),
}
TIMES: Final = {
    "double": 2,
    "doble": 2,
    "triple": 3,
    "treble": 3,
    "quadruple": 4,
    "cuádruple": 4,
}
JOINS_TENS: Final = "y"
"""Stands between the tens and the ones of a Spanish number."""

NUMBERS: Final = {**UNITS, **TEENS, **TENS}
