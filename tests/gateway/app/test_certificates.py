"""The certificates of models: read, and kept while the new file cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

from edge_models.certificate import save_certificate
from gateway.app.certificates import MISSING, UNREADABLE, Unusable, keep_usable, read_certificates
from tests.scenarios.world import certificate


def test_each_model_has_a_certificate_or_a_reason(tmp_path: Path) -> None:
    """One that is there, one that is not, one that cannot be used."""
    save_certificate(tmp_path / "good.json", certificate())
    (tmp_path / "bad.json").write_text("{")

    found = read_certificates(tmp_path, ["good", "bad", "absent"])

    assert found["good"] == certificate()
    assert found["absent"] == MISSING
    bad = found["bad"]
    assert isinstance(bad, Unusable)
    assert (bad.reason, "bad.json" in bad.detail) == (UNREADABLE, True)
    assert read_certificates(None, ["good"]) == {"good": MISSING}


def test_a_file_that_cannot_be_read_leaves_the_certificate_in_use(caplog) -> None:
    """It may be in the middle of being written; a file that is gone is gone."""
    bad = Unusable(UNREADABLE, "cut short")
    proof = certificate()

    assert keep_usable({"m": proof}, {"m": bad}) == {"m": proof}
    assert "cut short" in caplog.text
    assert "the certificate in use for m stays" in caplog.text
    assert keep_usable({"m": proof}, {"m": MISSING}) == {"m": MISSING}
    assert keep_usable({}, {"m": bad}) == {"m": bad}
    assert keep_usable({"m": MISSING}, {"m": bad}) == {"m": bad}
    assert keep_usable({"m": MISSING}, {"m": proof}) == {"m": proof}
    assert keep_usable({"m": proof, "other": bad}, {}) == {"m": proof, "other": bad}


def test_what_is_no_file_of_the_folder(tmp_path: Path) -> None:
    """Nobody waits for a pipe, and what lies elsewhere proves nothing; links as Kubernetes has them are fine."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    save_certificate(tmp_path / "elsewhere.json", certificate())
    save_certificate(folder / "data.json", certificate())
    os.mkfifo(folder / "pipe.json")
    (folder / "link.json").symlink_to(tmp_path / "elsewhere.json")
    (folder / "device.json").symlink_to("/dev/zero")
    (folder / "huge.json").touch()
    os.truncate(folder / "huge.json", 1 << 40)
    (folder / "good.json").symlink_to("data.json")

    found = read_certificates(folder, ["pipe", "link", "device", "huge", "good"])

    assert found.pop("good") == certificate()
    words = {
        name: bad.detail.partition(".json: ")[2] for name, bad in found.items() if isinstance(bad, Unusable)
    }
    assert words == {
        "pipe": "is a named pipe, and not a file",
        "link": "lies behind a link that leads out of 'certificates'",
        "device": "is a device, and not a file",
        "huge": "has 1,048,576 MiB, and no more than 16 MiB are read",
    }


def test_what_is_in_use_does_not_change() -> None:
    """The result is another mapping: nothing in force changes before the swap."""
    in_use = {"m": MISSING}

    keep_usable(in_use, {"m": certificate()})

    assert in_use == {"m": MISSING}
