"""Which folders of a model are versions, and what is said of those that look like one."""

from __future__ import annotations

import pytest

from edge_models.configuration.reading import parse_text
from edge_models.errors import ModelError
from edge_models.version_folders import version_remarks, versions_in


def test_versions_are_numbers_from_one_on(tmp_path):
    """In the order of their numbers; whatever looks like one and is none is named."""
    for name in ("10", "2", "007", "-1", "+3", "0", str(1 << 70), "draft", "2 ", "\u0663", "v4"):
        (tmp_path / name).mkdir()
    (tmp_path / "00").touch()

    versions = versions_in(tmp_path)

    assert versions == ["2", "10"]
    found = list(version_remarks(tmp_path, versions, None))
    assert {each.where for each in found} == {"007", "-1", "+3", "0", str(1 << 70)}
    assert {each.severity for each in found} == {"warning"}


@pytest.mark.parametrize(
    ("policy", "missing"),
    [("specific { versions: [ 2, 7, -3 ] }", [7, -3]), ("latest { num_versions: 9 }", []), ("all { }", [])],
)
def test_a_version_that_is_specified_and_not_there_is_named(tmp_path, policy, missing):
    """As in Triton the others are served."""
    (tmp_path / "2").mkdir()
    config = parse_text(f"\nversion_policy {{ {policy} }}".encode())

    assert [str(each) for each in version_remarks(tmp_path, ["2"], config)] == [
        f"config.pbtxt:2: version {version} is specified, and its folder is not there" for version in missing
    ]


def test_a_folder_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match="absent: cannot be read: No such file"):
        versions_in(tmp_path / "absent")
