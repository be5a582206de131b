"""Entries of `hours`: what they mean, what is wrong with them, and what editors are told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.config.findings import Complaint
from sipagent.config.hours import HOURS_SCHEMA, compile_hours
from sipagent.routing.hours import WEEKDAYS, Hours

PAGE = Path(__file__).parent.parent.parent / "docs" / "hours.md"

NEVER = "; ".join(f"{day} closed" for day in WEEKDAYS)
ALWAYS = NEVER.replace("closed", "00:00-24:00")
OFFICE = {"mon-fri": "09:00-18:00"}
OFFICE_TEXT = NEVER.replace("closed", "09:00-18:00", 5)
HOLIDAYS = ("holidays US", "holiday 07-04", "holiday 12-24..12-25")


def on(*days: str, spans: str = "09:00-18:00") -> str:
    return "; ".join(f"{day} {spans if day in days else 'closed'}" for day in WEEKDAYS)


GOOD: list[tuple[Any, str]] = [
    ("24/7", ALWAYS),
    ({"daily": "00:00-24:00"}, ALWAYS),
    ({"mon-sun": "0:00 - 24:00"}, ALWAYS),
    ({"daily": "closed"}, NEVER),
    (OFFICE, OFFICE_TEXT),
    ({"mon": "9:00-18:00"}, on("mon")),
    ({"sat-sun": "09:00-18:00"}, on("sat", "sun")),
    ({"fri-mon": "09:00-18:00"}, on("fri", "sat", "sun", "mon")),
    ({"mon,wed, fri": "09:00-18:00"}, on("mon", "wed", "fri")),
    ({"mon-tue,sat": "09:00-18:00"}, on("mon", "tue", "sat")),
    ({"tue-mon": "09:00-18:00"}, on(*WEEKDAYS)),
    ({"mon": "18:00-02:00"}, on("mon", spans="18:00-02:00")),
    ({"mon": "18:00-00:00"}, on("mon", spans="18:00-24:00")),
    ({"mon": "18:00-24:00"}, on("mon", spans="18:00-24:00")),
    ({"mon": "13:00-18:00, 08:00-12:00"}, on("mon", spans="08:00-12:00,13:00-18:00")),
    ({"mon": ["08:00-12:00", "12:00-18:00"]}, on("mon", spans="08:00-12:00,12:00-18:00")),
    ({**OFFICE, "sat": "closed"}, OFFICE_TEXT),
    ({**OFFICE, "holidays": "US"}, f"{OFFICE_TEXT}; holidays US closed"),
    ({**OFFICE, "holidays": {"country": "US"}}, f"{OFFICE_TEXT}; holidays US closed"),
    (
        {"holidays": {"country": "US", "hours": "10:00-12:00", "dates": "07-04, 12-24..12-25"}},
        NEVER + "".join(f"; {days} 10:00-12:00" for days in HOLIDAYS),
    ),
    ({**OFFICE, "holidays": {"dates": ["07-04"]}}, f"{OFFICE_TEXT}; holiday 07-04 closed"),
    ({**OFFICE, "closed": "2026-12-24"}, f"{OFFICE_TEXT}; closed 2026-12-24"),
    (
        {**OFFICE, "closed": ["12-24..01-02", "2026-12-01 .. 2026-12-02"]},
        f"{OFFICE_TEXT}; closed 2026-12-01..2026-12-02; closed 01-01..01-02; closed 12-24..12-31",
    ),
    (
        {"open": {"2026-12-23": "10:00-12:00", "12-23": ["20:00-02:00"], "02-29": "09:00-10:00"}},
        f"{NEVER}; open 2026-12-23 10:00-12:00; open 02-29 09:00-10:00; open 12-23 20:00-02:00",
    ),
    ({**OFFICE, "timezone": "Europe/Berlin"}, f"{OFFICE_TEXT}; in Europe/Berlin"),
]


@pytest.mark.parametrize(("data", "text"), GOOD, ids=lambda value: json.dumps(value)[:60])
def test_what_an_entry_means(data: Any, text: str) -> None:
    hours = compile_hours(data)
    assert isinstance(hours, Hours), hours
    assert hours.text == text


TIMES = 'hours and minutes, as in "09:00-18:00"'
DATES = 'as in "2026-12-24", "12-24" for every year, or "2026-12-27..2027-01-01"'
SHOWN = 'an end after midnight is written as clocks show it, as in "18:00-02:00"'
KEY = "a day has one key"
NO_DAY = 'write days, as in {mon-fri: "09:00-18:00"}, or daily: closed'
KNOWN = "known here: days such as mon-fri, holidays, closed, open, timezone"
ENTRY = 'as in {mon-fri: "09:00-18:00"}'
OPEN = 'as in {"2026-12-23": "10:00-12:00"}'
OWN = "list them under `dates` of `holidays`, without a country"
LETTERS = "must be a country's two capital letters, not"
COUNTRY = "as in US, GB or DE"
BERLIN = "as in Europe/Berlin"

BAD: list[tuple[Any, tuple[str | int, ...], str, str | None]] = [
    (None, (), 'must be a mapping of days or "24/7", not nothing', ENTRY),
    ("mon", (), 'must be a mapping of days or "24/7", not the text "mon"', ENTRY),
    ({}, (), "says of no day when it is open", NO_DAY),
    ({"holidays": "US"}, (), "says of no day when it is open", NO_DAY),
    (
        {"mon-mon": "closed"},
        ("mon-mon",),
        "begins and ends with mon",
        "write mon, or daily for all days",
    ),
    ({**OFFICE, "fri": "closed"}, ("fri",), 'fri stands under "mon-fri" already', KEY),
    ({**OFFICE, "daily": "closed"}, ("daily",), 'mon stands under "mon-fri" already', KEY),
    ({"mon,mon-tue": "closed"}, ("mon,mon-tue",), "mon stands twice in this key", KEY),
    ({"mon": None}, ("mon",), "must be times or closed, not nothing", "write closed"),
    ({"mon": False}, ("mon",), "must be times or closed, not false", "write closed"),
    ({"mon": []}, ("mon",), "must be times or closed, not an empty list", "write closed"),
    ({"mon": 9}, ("mon",), "must be times or closed, not the number 9", TIMES),
    ({"mon": {}}, ("mon",), "must be times or closed, not a mapping", "write closed"),
    ({"mon": [9]}, ("mon", 0), "must be text, not the number 9", TIMES),
    ({"mon": ["closed"]}, ("mon", 0), 'must be times, not "closed"', "closed stands alone"),
    ({"mon": "9am-5pm"}, ("mon",), 'must be times, not "9am-5pm"', TIMES),
    ({"mon": "9-17"}, ("mon",), 'must be times, not "9-17"', TIMES),
    ({"mon": "09:00-10:00,"}, ("mon",), 'must be times, not ""', TIMES),
    ({"mon": "18:00-26:00"}, ("mon",), "26:00 is no time of day", SHOWN),
    ({"mon": "18:00-24:01"}, ("mon",), "24:01 is no time of day", SHOWN),
    ({"mon": "09:60-10:00"}, ("mon",), "09:60 is no time of day", None),
    (
        {"mon": "24:00-02:00"},
        ("mon",),
        "nothing begins at 24:00",
        "the beginning of a day is 00:00",
    ),
    (
        {"mon": "09:00-09:00"},
        ("mon",),
        '"09:00-09:00" begins and ends at the same time',
        "a whole day is 00:00-24:00",
    ),
    ({"mon": "09:00-12:00, 11:00-13:00"}, ("mon",), "09:00-12:00 and 11:00-13:00 overlap", None),
    ({"mon": "18:00-02:00, 23:00-23:30"}, ("mon",), "18:00-02:00 and 23:00-23:30 overlap", None),
    (
        {"mon": [f"{n // 2:02}:{n % 2}0-{n // 2:02}:{n % 2}5" for n in range(25)]},
        ("mon",),
        "must have at most 24 items",
        None,
    ),
    ({**OFFICE, "closed": "24.12."}, ("closed",), '"24.12." is no date', DATES),
    ({**OFFICE, "closed": "2026-02-30"}, ("closed",), "there is no day 2026-02-30", None),
    ({**OFFICE, "closed": "2026-02-29"}, ("closed",), "there is no day 2026-02-29", None),
    ({**OFFICE, "closed": ["12-24", "13-01"]}, ("closed", 1), "there is no day 13-01", None),
    (
        {**OFFICE, "closed": "1926-12-24"},
        ("closed",),
        "1926-12-24 is not between 2000 and 2099",
        None,
    ),
    (
        {**OFFICE, "closed": "12-24..2026-12-25"},
        ("closed",),
        "one end has a year and the other has none",
        DATES,
    ),
    (
        {**OFFICE, "closed": "2026-12-27..2026-01-01"},
        ("closed",),
        "2026-01-01 is before 2026-12-27",
        None,
    ),
    (
        {**OFFICE, "closed": []},
        ("closed",),
        "must be a date or a list of dates, not an empty list",
        DATES,
    ),
    (
        {**OFFICE, "closed": None},
        ("closed",),
        "must be a date or a list of dates, not nothing",
        DATES,
    ),
    (
        {**OFFICE, "open": "12-24"},
        ("open",),
        'must be a mapping from dates to times, not the text "12-24"',
        OPEN,
    ),
    (
        {"open": {"12-24": "closed"}},
        ("open", "12-24"),
        "must be times, not closed",
        "closed dates stand under `closed`",
    ),
    (
        {"open": {"2026-12-20..2026-12-24": "09:00-10:00", "2026-12-24": "10:00-11:00"}},
        ("open",),
        "2026-12-20..2026-12-24 and 2026-12-24 overlap with other times",
        "write each date once",
    ),
    ({**OFFICE, "holidays": "us"}, ("holidays",), f'{LETTERS} "us"', COUNTRY),
    (
        {**OFFICE, "holidays": "UK"},
        ("holidays",),
        "the public holidays of UK are not known",
        "the United Kingdom is GB",
    ),
    ({**OFFICE, "holidays": "IN"}, ("holidays",), "the public holidays of IN are not known", OWN),
    (
        {**OFFICE, "holidays": False},
        ("holidays",),
        "must be a country or a mapping, not false",
        "as in US",
    ),
    (
        {**OFFICE, "holidays": {}},
        ("holidays",),
        "has neither a country nor dates",
        "as in {country: US}",
    ),
    (
        {**OFFICE, "holidays": {"country": None}},
        ("holidays", "country"),
        f"{LETTERS} nothing",
        COUNTRY,
    ),
    (
        {**OFFICE, "timezone": "Europe/Berlln"},
        ("timezone",),
        'there is no time zone "Europe/Berlln"',
        BERLIN,
    ),
    ({**OFFICE, "timezone": "America"}, ("timezone",), 'there is no time zone "America"', BERLIN),
    (
        {**OFFICE, "timezone": "../etc/passwd"},
        ("timezone",),
        'there is no time zone "../etc/passwd"',
        BERLIN,
    ),
    ({**OFFICE, "timezone": ""}, ("timezone",), 'there is no time zone ""', BERLIN),
    ({**OFFICE, "timezone": 1}, ("timezone",), "must be text, not the number 1", BERLIN),
]

AT_KEY = {"begins and ends with mon", KEY}


@pytest.mark.parametrize(
    ("data", "steps", "message", "hint"), BAD, ids=lambda value: json.dumps(value)[:60]
)
def test_what_is_wrong_with_an_entry(
    data: Any, steps: tuple[str | int, ...], message: str, hint: str | None
) -> None:
    at_key = bool({message, hint} & AT_KEY)
    assert compile_hours(data) == (Complaint(steps, message, hint, at_key),)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("Mon-Fri", 'did you mean "mon-fri"?'),
        ("mo-fr", 'did you mean "mon-fri"?'),
        ("Wednesday", 'did you mean "wed"?'),
        ("monday, thursday", 'did you mean "mon, thu"?'),
        ("weekdays", "write mon-fri"),
        ("everyday", "write daily"),
        ("dayly", 'did you mean "daily"?'),
        ("holliday", 'did you mean "holidays"?'),
        ("close", 'did you mean "closed"?'),
        ("time_zone", 'did you mean "timezone"?'),
        ("mon-fri-sun", KNOWN),
        ("mon,", KNOWN),
        ("", KNOWN),
        ("x" * 100, KNOWN),
    ],
)
def test_an_unknown_key(key: str, hint: str) -> None:
    complaint = Complaint((key,), "unknown key", hint, at_key=True)
    assert compile_hours({key: "09:00-18:00"}) == (complaint,)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    data = {
        "mon": ["9", "25:00-26:00"],
        "open": {"24.12.": "09:00-10:00", "2026-12-25": "x"},
        "holidays": {"hour": "closed", "dates": ["y", "12-24"]},
        "timezone": None,
    }
    complaints = compile_hours(data)
    assert isinstance(complaints, tuple)
    assert [(complaint.steps, complaint.at_key) for complaint in complaints] == [
        (("mon", 0), False),
        (("mon", 1), False),
        (("open", "24.12."), True),
        (("open", "2026-12-25"), False),
        (("holidays", "hour"), True),
        (("holidays", "dates", 0), False),
        (("timezone",), False),
    ]
    assert complaints[4].hint == 'did you mean "hours"?'


def test_suggestions_come_from_the_caller_and_secrets_are_not_repeated() -> None:
    assert compile_hours({"close": "12-24"}, lambda word, words: None) == (
        Complaint(("close",), "unknown key", KNOWN, at_key=True),
    )
    secret = "sk-" + "a" * 20
    assert secret not in str(compile_hours({"mon": secret, "timezone": secret}))


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """JSON Schema, as far as the schema of an entry uses it."""
    checks = [
        "anyOf" not in schema or any(accepts(option, value) for option in schema["anyOf"]),
        "const" not in schema or value == schema["const"],
        "type" not in schema
        or isinstance(value, {"string": str, "array": list, "object": dict}[schema["type"]]),
    ]
    if isinstance(value, str):
        checks.append(re.search(schema.get("pattern", ""), value) is not None)
        checks.append(len(value) >= schema.get("minLength", 0))
    if isinstance(value, list):
        checks.append(len(value) >= schema.get("minItems", 0))
        checks += [accepts(schema.get("items", {}), item) for item in value]
    if isinstance(value, dict) and schema.get("type") == "object":
        checks += [accepts_key(schema, key, inner) for key, inner in value.items()]
    return all(checks)


def accepts_key(schema: dict[str, Any], key: str, value: Any) -> bool:
    found = [inner for name, inner in schema["properties"].items() if name == key]
    patterns = schema["patternProperties"].items()
    found += [inner for pattern, inner in patterns if re.search(pattern, key)]
    return bool(found) and all(accepts(inner, value) for inner in found)


@pytest.mark.parametrize("data", [data for data, _ in GOOD], ids=lambda value: json.dumps(value))
def test_the_schema_accepts_what_is_right(data: Any) -> None:
    assert accepts(HOURS_SCHEMA, data)


BEYOND_SHAPE = re.compile(
    "overlap|stands|same time|begins|no day|between|before|one end|not known|neither|no time zone"
    "|at most|says of"
)


@pytest.mark.parametrize(
    "data",
    [data for data, _, message, _ in BAD if not BEYOND_SHAPE.search(message)],
    ids=lambda value: json.dumps(value),
)
def test_the_schema_refuses_what_has_the_wrong_shape(data: Any) -> None:
    assert not accepts(HOURS_SCHEMA, data)


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(json.dumps(HOURS_SCHEMA))
    keys = schema["anyOf"][1]["properties"] | schema["anyOf"][1]["patternProperties"]
    assert all(inner["description"].endswith(".") for inner in keys.values())
    described = PAGE.read_text("utf-8")
    assert not [key for key in schema["anyOf"][1]["properties"] if f"`{key}`" not in described]


words = st.sampled_from(
    [
        *("mon", "mon-fri", "sat,sun", "daily", "open", "closed", "holidays", "timezone"),
        *("country", "dates", "hours", "US", "24/7", "09:00-18:00", "18:00-02:00", "99:99-00:00"),
        *("12-24", "2026-12-24", "2026-12-24..2026-12-26", "12-30..01-02", "Europe/Berlin"),
        *("\0", "/"),
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(anything | st.dictionaries(words, words | st.lists(words, max_size=3), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_entry_breaks_the_compiler(data: Any) -> None:
    compiled = compile_hours(data)
    assert isinstance(compiled, Hours) or compiled
    if isinstance(compiled, Hours):
        assert accepts(HOURS_SCHEMA, data)
        assert compile_hours(data) == compiled


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", examples())
def test_the_examples_of_the_page_are_right(text: str) -> None:
    data = yaml.safe_load(text)
    assert data["hours"]
    for entry in data["hours"].values():
        assert isinstance(compile_hours(entry), Hours), compile_hours(entry)
        assert accepts(HOURS_SCHEMA, entry)


def test_the_page_has_an_example_of_every_key() -> None:
    text = "".join(examples())
    assert all(f"{key}:" in text for key in ("holidays", "closed", "open", "timezone", "dates"))
    assert len(examples()) >= 4
