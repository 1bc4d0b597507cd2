"""Nobody reads what we accept as something else; the table of who reads what is printed, captured or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.framing_cases import CASES, Case
from tests.framing import readers, table
from tests.framing.readers import Message, Reading

PAGE = Path(__file__).resolve().parents[2] / "docs" / "framing.md"
PLAIN = Case("plain", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200)
REFUSED = PLAIN._replace(status=400)
MINE = Reading((Message("GET", "/", b""), Message("GET", "/next", b"")), "")


def row(case: Case = PLAIN, ours: Reading = MINE, **others: Reading) -> table.Row:
    return table.Row(case, {"ours": ours, **others})


async def test_framing(capsys):
    """Every case, by every reader that is here."""
    rows = await table.read_all()

    out = PAGE.parent.parent / "out"
    out.mkdir(exist_ok=True)
    (out / "framing.md").write_text(table.markdown(rows))
    with capsys.disabled():
        print("\n" + table.markdown(rows))
        if readers.nginx_binary() is None:
            print(table.NO_NGINX)
    assert len(rows) >= 60
    assert [mistake for row in rows for mistake in row.mistakes()] == []


def test_the_page_knows_every_case():
    """docs/framing.md was made from the cases that there are, and says of us what is tested."""
    lines = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    received = {cells[0].removeprefix("| "): cells[1] for cells in lines}

    assert list(received) == [case.name for case in CASES]
    assert all(received[case.name].startswith(str(case.status)) for case in CASES)


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_reading_in_words():
    assert str(MINE) == "200"
    assert (
        str(Reading((Message("PUT", "/a", b"x"), Message("GET", "/", b"")), "400"))
        == "200 PUT /a 'x', 200, 400"
    )
    assert str(Reading((), "closed")) == "closed"


@pytest.mark.parametrize(
    "bad",
    [
        row(REFUSED),
        row(ours=Reading((), "400")),
        row(REFUSED, Reading((), "500")),
        row(ours=Reading((Message("GET", "/", b""), Message("GET", "/x", b"")), "")),
        row(h11=Reading((Message("GET", "/", b"body"),), "closed")),
        row(h11=Reading((Message("GET", "/", b""),), "waits")),
        row(nginx=Reading((Message("GET", "/", b"", "POST /"),), "closed")),
        row(REFUSED, Reading((), "400"), nginx=Reading((Message("GET", "/admin", b""),), "closed")),
    ],
    ids=["accepted", "refused", "status", "two", "other body", "other end", "mark", "slipped through"],
)
def test_mistakes_are_found(bad):
    """The rules can fail."""
    assert bad.mistakes()


def test_what_is_no_mistake():
    """To refuse what we accept is everybody's right, and so is to accept what we refuse."""
    assert not row(
        h11=Reading((), "400"), nginx=Reading((Message("GET", "/", b"", "GET /"),), "closed")
    ).mistakes()
    assert not row(REFUSED, Reading((), "400"), h11=MINE).mistakes()
