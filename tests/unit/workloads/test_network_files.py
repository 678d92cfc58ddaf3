"""A user's file of networks: the ways to write it, and faults that name the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError, SpecError
from perfmodel.workloads.networks.library import load_network
from perfmodel.workloads.networks.what_if import find_network, image_fields, is_network

HEAD = "schema: networks/1\nname: mine\nfamily: resnet\nsource: nobody\nverified: false\n"
SMALL = "{block: basic, depths: [1, 1, 1, 1]}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workloads").mkdir()
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path))
    return tmp_path / "workloads"


@pytest.mark.parametrize(
    "body",
    [
        f"variants:\n  my-small: {SMALL}\n",
        f"variants:\n    my-small: {SMALL}\n",
        f'variants:\n  "my-small": {SMALL}\n',
        f"variants: {{my-small: {SMALL}}}\n",
        f"variants:\n  3: {SMALL}\naliases:\n  my-small: 3\n",
    ],
)
def test_ways_to_write_a_variant(body: str, folder: Path) -> None:
    (folder / "mine.yaml").write_text(HEAD + body)
    assert load_network("my-small").family == "resnet"
    assert is_network(str(folder / "mine.yaml"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("variants:\n  my-small: 5\n", "variants.my-small: must be a mapping"),
        ("variants:\n  my-small:\n", "missing 1 required"),
        ("variants:\n  my-small: {depths: abc}\n", "variants.my-small.depths: must be a list"),
        ("variants:\n  my-small: {depths: [-1, 1, 1, 1]}\n", "variants.my-small.depths: must be a number from 0"),
        ("variants:\n  my-small: {depths: [.nan, 1, 1, 1]}\n", "variants.my-small.depths: must be a number from 0"),
        ("variants:\n  my-small: {depths: [1, 1, 1, 1], image: {a: 1}}\n", "variants.my-small.image: must be"),
        (f"variants:\n  my-small: {SMALL}\npublished:\n  my-small: 5\n", "published.my-small: must be a mapping"),
        (f"variants:\n  my-small: {SMALL}\npublished:\n  my-small: {{macs: x}}\n", "published.my-small.macs: must be"),
        (f"variants:\n  my-small: {SMALL}\naliases:\n  other: [1, 2]\n", "aliases names"),
    ],
)
def test_faults_name_the_file_and_the_field(body: str, message: str, folder: Path) -> None:
    (folder / "mine.yaml").write_text(HEAD + body)
    with pytest.raises(SpecError, match=message) as found:
        load_network("my-small")
    assert "mine.yaml" in str(found.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("image", [224, -1]), ("image", True), ("depths", "abc"), ("classes", 10.5), ("norm", 3), ("name", "x"),
     ("depths", [1, 1])],
)  # fmt: skip
def test_changes_that_cannot_be_are_the_users(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"resnet18.* {field}|resnet18.*'{field}'"):
        load_network("resnet18", **{field: value})


def test_depths_beyond_reason_are_refused() -> None:
    with pytest.raises(SpecError, match="more than 100000 layers"):
        load_network("resnet18", depths=[1, 1, 1, 10_000_000])


def test_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.yaml").write_text(HEAD.replace("networks/1", '"networks/1"') + f"variants:\n  my-small: {SMALL}\n")
    monkeypatch.setenv("HOME", str(folder))
    assert is_network("~/mine.yaml")
    assert find_network("~/mine.yaml").name == "my-small"
    assert image_fields("~/mine.yaml", 160) == {"model.image": "160"}
    with pytest.raises(SpecError, match="cannot be read"):
        find_network(str(folder / "none.yaml"))
