"""What is shown to an endpoint: where it comes from, and that it is nowhere else."""

from __future__ import annotations

import pytest

from gateway.http.client.small_file import OwnFileError
from gateway.upstreams.credential import ClientCredential, CredentialSettings


def none(_name: str) -> str:
    return ""


def test_a_file_without_its_line_break(tmp_path):
    """As editors end it; the scheme comes before it, unless there is none."""
    file = tmp_path / "token"
    file.write_text(" s3cret-token \n")
    credential = ClientCredential(CredentialSettings(file=str(file)), none)
    assert credential.pair == ("authorization", "Bearer s3cret-token")
    bare = ClientCredential(CredentialSettings(file=str(file), header="x-api-key", scheme=""), none)
    assert bare.pair == ("x-api-key", "s3cret-token")
    assert "s3cret" not in repr(credential)
    assert credential.hidden("no such token: s3cret-token!") == "no such token: \N{HORIZONTAL ELLIPSIS}!"


def test_a_variable_of_the_environment():
    """By its name."""
    credential = ClientCredential(CredentialSettings(env="TOKEN"), {"TOKEN": "abcd"}.__getitem__)
    assert credential.value == "abcd"


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"\xff\xfe", b"a\0b", "schlüssel".encode()])
def test_what_no_header_can_carry_is_refused(tmp_path, content):
    """Without being quoted."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(OwnFileError) as caught:
        ClientCredential(CredentialSettings(file=str(file)), none)
    assert "two" not in str(caught.value)
    with pytest.raises(OwnFileError, match="TOKEN"):
        ClientCredential(CredentialSettings(env="TOKEN"), none)


async def test_another_one_is_taken_without_restart(tmp_path):
    """As long as there is one: a file that is empty for a moment leaves the one in use."""
    file = tmp_path / "token"
    file.write_text("first-token")
    credential = ClientCredential(CredentialSettings(file=str(file)), none)
    file.write_text("second-token")
    await credential.refresh()
    assert credential.pair[1] == "Bearer second-token"


async def test_a_server_that_quotes_the_one_before_is_not_passed_on(tmp_path):
    """A request that is under way while the file changes has shown the former."""
    file = tmp_path / "token"
    file.write_text("first-token")
    credential = ClientCredential(CredentialSettings(file=str(file)), none)
    file.write_text("second-token")
    await credential.refresh()
    assert credential.hidden("first-token expired") == "\N{HORIZONTAL ELLIPSIS} expired"
    assert credential.hidden("second-token expired") == "\N{HORIZONTAL ELLIPSIS} expired"


@pytest.mark.parametrize("length", [4, 8, 15])
@pytest.mark.parametrize("end", ["", "..."])
def test_the_beginning_of_one_at_the_cut_of_a_message_is_hidden(length, end):
    credential = ClientCredential(CredentialSettings(env="TOKEN"), {"TOKEN": "s3cret-token-abc"}.__getitem__)
    said = "x" * 200 + "s3cret-token-abc"[:length] + end
    assert credential.hidden(said) == "x" * 200 + "\N{HORIZONTAL ELLIPSIS}"
    assert credential.hidden("all is well...") == "all is well..."
    assert credential.hidden("s3c") == "s3c"
