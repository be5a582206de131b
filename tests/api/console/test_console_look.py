"""What the style sheet promises: words that can be read in both themes, and one dark theme."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "src/sipagent/api/console/static"
CSS = (STATIC / "console.css").read_text(encoding="utf-8")
PLACES = ("ground", "surface", "raised")
WORDS = [
    *((word, place) for word in ("text", "dim", "accent") for place in PLACES),
    *((word, place) for word in ("caller", "agent", "tool", "wrong") for place in PLACES[:2]),
    *((look, f"{look}-ground") for look in ("live", "good", "warn", "wrong", "plain")),
    ("on-accent", "accent"),
    ("ground", "text"),
]
EDGES = [("field", place) for place in PLACES[:2]] + [("focus", place) for place in PLACES]


def themes() -> dict[str, dict[str, str]]:
    """The colours of each theme: of a block, or of the system's wish."""
    blocks = {
        "light": r":root \{",
        "dark": r':root\[data-theme="dark"\] \{',
        "system": r':root:not\(\[data-theme="light"\]\) \{',
    }
    found = {}
    for name, opening in blocks.items():
        match = re.search(opening + r"(.*?)\}", CSS, re.DOTALL)
        assert match is not None, name
        found[name] = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", match[1]))
    return found


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read(theme: str) -> None:
    colours = themes()[theme]
    for word, place in WORDS:
        assert contrast(colours[word], colours[place]) >= 4.5, (word, place)
    for edge, place in EDGES:
        assert contrast(colours[edge], colours[place]) >= 3.0, (edge, place)


def test_the_dark_theme_is_one_whoever_chooses_it() -> None:
    found = themes()
    assert found["dark"] == found["system"]
    assert set(found["dark"]) == set(found["light"])


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_scripts_of_ours_stay_small() -> None:
    for name in ("theme.js", "console.js"):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert len(text) < 12_000, name
        assert not re.search(r"innerHTML|eval\(|new Function|document\.write", text), name
