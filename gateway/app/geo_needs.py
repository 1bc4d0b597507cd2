"""What a policy asks of clients' places that nobody here can know: policies are shared, files are local."""

from __future__ import annotations

from collections.abc import Iterator

from routing.geo_records import ASN, COUNTRY, SUBDIVISION
from routing.networks import Network
from routing.place import country_of
from routing.policy import Policy


def unmet(policy: Policy, knows: frozenset[str]) -> tuple[str, ...]:
    """Return what no geo database and no entry of the policy's ``networks`` can tell, a sentence for each.

    ``knows``: what the geo databases hold (``routing.geo_records``); empty: there is none.
    """
    known = knows.union(_of_table(policy))
    sentences = []
    if policy.places and COUNTRY not in known:
        sentences.append("no geo database has countries: every rule of `places` holds for every client")
    # Most of thousands have neither: the loop waits meanwhile.
    matches = [(route.name, m) for route in policy.routes if (m := route.match).asns or m.places]
    wanted = {
        ASN: [name for name, match in matches if match.asns],
        COUNTRY: [name for name, match in matches if any(not country_of(each) for each in match.places)],
        SUBDIVISION: [name for name, match in matches if any(map(country_of, match.places))],
    }
    for what, names in wanted.items():
        if names and what not in known:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            field = "asns" if what == ASN else "places"
            sentences.append(
                f"no geo database has {what}: no request meets `{field}` of route '{names[0]}'{others}"
            )
    return tuple(sentences)


def _of_table(policy: Policy) -> Iterator[str]:
    for given in policy.networks.values():
        entry = Network(place=given) if isinstance(given, str) else given
        if entry.asn is not None:
            yield ASN
        if entry.place is not None:
            yield COUNTRY
            if country_of(entry.place):
                yield SUBDIVISION
