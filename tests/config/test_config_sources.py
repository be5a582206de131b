"""Reading from the disk and from a bundle of what was read: both say the same."""

from pathlib import Path

import pytest

from sipagent.config.sources import Bundle, BundleSource, DiskSource, Source, pattern_problem
from sipagent.config.textfile import Unreadable

LIMIT = 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "config"
    for name in (
        "agents.yaml",
        "prompts/a.md",
        "tenants/acme/tenant.yaml",
        "tenants/beta/tenant.yaml",
        "tenants/.hidden/tenant.yaml",
        "tenants/empty/notes.txt",
        "numbers/prod/1.csv",
        "numbers/prod/2.csv",
        "numbers/prod/.3.csv",
        "numbers/test/4.csv",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"text of {name}")
    (tmp_path / "outside.md").write_text("outside")
    return root


def read_all(source: Source, root: Path) -> list[str | Unreadable]:
    paths = [root / "agents.yaml", root / "prompts" / "a.md", root.parent / "outside.md"]
    for pattern in ("tenants/*/tenant.yaml", "numbers/prod/*.csv"):
        paths += source.matching(root, pattern)
    return [source.text(path, LIMIT) for path in paths]


def test_a_bundle_gives_what_the_disk_gave(root: Path) -> None:
    disk = DiskSource(root)
    texts = read_all(disk, root)
    assert len(texts) == 7
    assert not any(isinstance(text, Unreadable) for text in texts)
    bundle = disk.bundle(root / "agents.yaml")
    assert bundle.main_path == root / "agents.yaml"
    assert bundle.files["tenants/acme/tenant.yaml"] == "text of tenants/acme/tenant.yaml"
    assert bundle.files[str(root.parent / "outside.md")] == "outside"
    (root / "agents.yaml").write_text("changed")
    assert read_all(BundleSource(bundle), root) == texts


def test_relative_paths_are_those_of_the_settings(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    disk = DiskSource(Path("config"))
    texts = read_all(disk, Path("config"))
    bundle = disk.bundle(Path("config/agents.yaml"))
    assert (bundle.root, bundle.main) == ("config", "agents.yaml")
    assert read_all(BundleSource(bundle), Path("config")) == texts
    assert read_all(BundleSource(bundle), root) == texts


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("tenants/*/tenant.yaml", ["tenants/acme/tenant.yaml", "tenants/beta/tenant.yaml"]),
        ("tenants/[ab]*/tenant.yaml", ["tenants/acme/tenant.yaml", "tenants/beta/tenant.yaml"]),
        ("tenants/acme/*.yaml", ["tenants/acme/tenant.yaml"]),
        ("numbers/prod/*.csv", ["numbers/prod/1.csv", "numbers/prod/2.csv"]),
        ("numbers/*/?.csv", ["numbers/prod/1.csv", "numbers/prod/2.csv", "numbers/test/4.csv"]),
        ("prompts/a.md", ["prompts/a.md"]),
        ("agents.yaml/*", []),
        ("nothing/*/here", []),
        ("*/../../outside.md", []),
        ("../outside.md", []),
        ("**/*.csv", []),
    ],
)
def test_patterns_match_by_levels(root: Path, pattern: str, found: list[str]) -> None:
    disk = DiskSource(root)
    matching = disk.matching(root, pattern)
    assert [path.relative_to(root).as_posix() for path in matching] == found
    for path in matching:
        disk.text(path, LIMIT)
    assert BundleSource(disk.bundle(root)).matching(root, pattern) == matching


@pytest.mark.parametrize(
    "pattern", ["/etc/*", "../x", "a/../b", "", "a//b", "./a", "a/", "**", "a/**/b", "a\0b"]
)
def test_a_pattern_that_cannot_be_used_is_explained(pattern: str) -> None:
    assert pattern_problem(pattern) is not None


def test_links_are_followed_and_those_that_lead_out_are_left_out(root: Path) -> None:
    (root / "tenants" / "carl").symlink_to("acme")
    (root / "tenants" / "evil").symlink_to(root.parent / "elsewhere")
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere" / "tenant.yaml").write_text("x")
    disk = DiskSource(root)
    names = [path.parent.name for path in disk.matching(root, "tenants/*/tenant.yaml")]
    assert names == ["acme", "beta", "carl"]
    assert disk.escaped == (root / "tenants" / "evil" / "tenant.yaml",)


def test_a_config_map_is_read_once_and_its_hidden_folders_are_not(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    (mount / "..v1").mkdir(parents=True)
    (mount / "..v1" / "agents.yaml").write_text("one")
    (mount / "..data").symlink_to("..v1")
    (mount / "agents.yaml").symlink_to("..data/agents.yaml")
    disk = DiskSource(mount)
    assert disk.matching(mount, "*.yaml") == [mount / "agents.yaml"]
    assert disk.matching(mount, "*/*.yaml") == []
    assert disk.text(mount / "agents.yaml", LIMIT) == "one"
    stored = BundleSource(disk.bundle(mount / "agents.yaml"))
    assert stored.resolve(mount / "agents.yaml") == mount / "..v1" / "agents.yaml"


def test_an_escape_by_a_link_is_seen_in_the_bundle_too(root: Path) -> None:
    acme = root / "tenants" / "acme"
    (acme / "a.md").symlink_to("../beta/tenant.yaml")
    (acme / "b.md").symlink_to("tenant.yaml")
    disk = DiskSource(root)
    for name in ("a.md", "b.md", "tenant.yaml"):
        disk.text(acme / name, LIMIT)
    stored = BundleSource(disk.bundle(root / "agents.yaml"))
    sources: list[Source] = [disk, stored]
    for source in sources:
        inside = [
            source.resolve(acme / name).is_relative_to(source.resolve(acme))
            for name in ("a.md", "b.md", "tenant.yaml", "../beta/tenant.yaml", "missing")
        ]
        assert inside == [False, True, True, False, True]


def test_a_root_that_is_a_link_holds_its_files(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    disk = DiskSource(link)
    disk.text(link / "agents.yaml", LIMIT)
    stored = BundleSource(disk.bundle(link / "agents.yaml"))
    assert stored.resolve(link / "agents.yaml").is_relative_to(stored.resolve(link))


def test_one_reading_sees_one_state_of_a_file(root: Path) -> None:
    disk = DiskSource(root)
    first = disk.text(root / "agents.yaml", LIMIT)
    (root / "agents.yaml").write_text("changed")
    assert disk.text(root / "agents.yaml", LIMIT) == first
    assert DiskSource(root).text(root / "agents.yaml", LIMIT) == "changed"


def test_what_was_asked_for_is_to_be_watched_also_if_it_is_missing(root: Path) -> None:
    disk = DiskSource(root)
    disk.text(root / "agents.yaml", LIMIT)
    assert disk.text(root / "missing.md", LIMIT) == Unreadable("does not exist")
    disk.matching(root, "tenants/*/tenant.yaml")
    watched = {path.relative_to(root).as_posix() for path in disk.watched}
    assert {"agents.yaml", "missing.md", "tenants", "tenants/acme", "tenants/empty"} <= watched
    assert "missing.md" not in disk.bundle(root / "agents.yaml").files


@pytest.mark.parametrize("kind", ["disk", "bundle"])
def test_a_limit_holds_for_every_source(root: Path, kind: str) -> None:
    disk = DiskSource(root)
    disk.text(root / "agents.yaml", LIMIT)
    source = disk if kind == "disk" else BundleSource(disk.bundle(root / "agents.yaml"))
    assert source.text(root / "agents.yaml", 4) == Unreadable("is larger than 0 KiB")


def test_bytes_depend_on_the_content_alone() -> None:
    one = Bundle("/config", "agents.yaml", {"a": "1", "b": "\u00e9"}, {"a": "/x"})
    two = Bundle("/config", "agents.yaml", {"b": "\u00e9", "a": "1"}, {"a": "/x"})
    assert one.to_json() == two.to_json()
    assert Bundle.from_json(one.to_json()) == one
    assert one.fingerprint == two.fingerprint


def test_a_fingerprint_tells_texts_and_not_where_they_lie() -> None:
    one = Bundle("/config", "agents.yaml", {"a": "1"}, {"a": "/x"})
    assert one.fingerprint == Bundle("/other", "agents.yaml", {"a": "1"}).fingerprint
    assert one.fingerprint != Bundle("/config", "agents.yaml", {"a": "2"}).fingerprint


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"format":2}',
        b'{"format":1,"root":1,"main":"x","files":{},"links":{}}',
        b'{"format":1,"root":"/","main":"x","files":[],"links":{}}',
        b'{"format":1,"root":"/","main":"x","files":{"a":1},"links":{}}',
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_bundle_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the sentence is for people
        Bundle.from_json(raw)
