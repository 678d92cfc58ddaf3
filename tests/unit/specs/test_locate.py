"""Finding spec files: names, aliases, paths, user folders, collisions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfmodel.errors import SpecError, UnknownNameError
from perfmodel.specs.locate import USER_FOLDERS, find_spec, list_specs, normalise, spec_roots

DEVICE = "schema: device/1\nname: {name}\naliases: {aliases}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(USER_FOLDERS, str(tmp_path))
    return tmp_path


def write(folder: Path, name: str, aliases: str = "[]") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(DEVICE.format(name=name, aliases=aliases))
    return path


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H100 SXM", "h100sxm"),
        ("h100-sxm", "h100sxm"),
        ("H100_SXM", "h100sxm"),
        ("Tesla V100-PCIE-16GB", "v100pcie16gb"),
        ("AMD Instinct MI300X", "mi300x"),
        ("GeForce RTX 3090", "rtx3090"),
        ("NVIDIA", "nvidia"),
    ],
)
def test_case_punctuation_and_vendor_words_do_not_matter(name: str, key: str) -> None:
    assert normalise(name) == key


def test_vendor_words_do_matter_in_model_names() -> None:
    assert normalise("google/gemma-2", "workloads") == "googlegemma2"


def test_a_users_file_hides_the_packaged_one(folder: Path) -> None:
    mine = write(folder, "h100-sxm")
    assert find_spec("hardware_specs", "NVIDIA H100 SXM", "device") == mine


def test_a_user_folder_may_be_split_by_kind(folder: Path) -> None:
    mine = write(folder / "hardware_specs" / "gpu", "my-chip", '["My Chip 9000"]')
    assert find_spec("hardware_specs", "my chip 9000", "device") == mine
    assert "my-chip" in list_specs("hardware_specs", "device")


def test_several_user_folders_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = write(tmp_path / "one", "chip"), write(tmp_path / "two", "chip")
    monkeypatch.setenv(USER_FOLDERS, f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    assert find_spec("hardware_specs", "chip", "device") == first


def test_a_user_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_FOLDERS, "/nowhere/at/all")
    with pytest.raises(SpecError, match="/nowhere/at/all"):
        spec_roots("hardware_specs")


def test_block_aliases_and_comments_are_scanned(folder: Path) -> None:
    path = folder / "chip.yaml"
    path.write_text('schema: device/1\naliases:  # spellings\n  - "Chip One"  # the first\n  - Chip Two\nname: chip\n')
    assert find_spec("hardware_specs", "chip one", "device") == path
    assert find_spec("hardware_specs", "CHIP-TWO", "device") == path


def test_an_alias_claimed_twice_is_an_error(folder: Path) -> None:
    write(folder, "chip-a", "[big chip]")
    write(folder, "chip-b", "[Big-Chip]")
    with pytest.raises(SpecError, match="also claimed by"):
        find_spec("hardware_specs", "big chip", "device")


def test_a_name_in_two_subfolders_is_an_error(folder: Path) -> None:
    write(folder / "a", "chip")
    write(folder / "b", "chip")
    with pytest.raises(SpecError, match="rename one"):
        find_spec("hardware_specs", "chip", "device")


def test_files_of_another_schema_are_not_found(folder: Path) -> None:
    (folder / "gemm.yaml").write_text("schema: calibration/1\n")
    assert "gemm" not in list_specs("hardware_specs", "device")
    assert find_spec("hardware_specs", "gemm", "calibration") == folder / "gemm.yaml"


def test_an_unknown_name_gives_the_three_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_spec("hardware_specs", "h100-smx", "device")
    assert caught.value.nearest[0] == "h100-sxm"
    assert len(caught.value.nearest) == 3
    assert "h100-sxm" in str(caught.value)


def test_only_a_command_that_exists_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="`perfmodel device list` shows all"):
        find_spec("hardware_specs", "nothing", "device")
    with pytest.raises(UnknownNameError, match="those of schema calibration in hardware_specs/"):
        find_spec("hardware_specs", "nothing", "calibration")


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_spec("hardware_specs", str(tmp_path / "x.yaml"), "device") == tmp_path / "x.yaml"
