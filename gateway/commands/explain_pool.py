"""What `edgeway policy explain` shows of an endpoint: how it is reached, its members, who is chosen."""

from __future__ import annotations

from typing import Final

from routing.endpoint import Endpoint, LoadBalancing, MemberAddress

_SHOWN: Final = 16
"""A pool may have a thousand members."""

_HASHES: Final = frozenset({"ring_hash", "maglev"})


def rows_of(number: int, name: str, endpoint: Endpoint) -> list[tuple[str, str]]:
    """Return the lines of one endpoint, the ``number``-th that is tried."""
    place = f"{name}: {endpoint.tier} tier of {endpoint.region}, {endpoint.protocol}"
    extras = "".join(f", {extra}" for extra in _extras(endpoint))
    members = endpoint.members
    if not endpoint.addresses:
        return [(f"endpoint {number}", f"{place} {endpoint.address}{extras}")]
    count = "1 member" if len(members) == 1 else f"{len(members)} members"
    rows = [(f"endpoint {number}", f"{place}, {count}{extras}")]
    if len(members) > 1 or not _is_fixed(members[0]):
        rows.append((f"picks {number}", picks(endpoint.load_balancing)))
    rows += [(f"member {number}.{nth}", _member(each)) for nth, each in enumerate(members[:_SHOWN], 1)]
    if len(members) > _SHOWN:
        rows.append((f"member {number}.…", f"and {len(members) - _SHOWN} more"))
    return rows


def picks(balancing: LoadBalancing) -> str:
    """Say in words which member gets a request."""
    if balancing.policy in _HASHES:
        bound = (
            f", at most {balancing.hash_balance_factor} % of the average under way"
            if balancing.hash_balance_factor
            else ", whatever it has under way"
        )
        return f"{balancing.policy} of {balancing.hash_on}{bound}"
    parts: list[str] = [balancing.policy]
    if balancing.policy == "least_request":
        parts = [f"least_request of {balancing.choice_count} drawn, by latency and requests under way"]
    if balancing.zone_aware:
        parts.append("the gateway's own zone first")
    if balancing.slow_start_window_s:
        parts.append(f"slow start {balancing.slow_start_window_s:g} s")
    return ", ".join(parts)


def _extras(endpoint: Endpoint) -> list[str]:
    extras = []
    if endpoint.tls is not None:
        extras.append("mTLS" if endpoint.tls.certificate else "TLS")
    if endpoint.host:
        extras.append(f"as {endpoint.host}")
    if endpoint.path_prefix:
        extras.append(f"below {endpoint.path_prefix}")
    if endpoint.credential is not None:
        extras.append(f"credential in {endpoint.credential.header}")
    if (check := endpoint.health_check) is not None:
        extras.append(f"members checked every {check.interval_s:g} s")
    if endpoint.models:
        more = len(endpoint.models) - _SHOWN
        listed = ", ".join(endpoint.models[:_SHOWN])
        extras.append(f"holds {listed}{f' and {more} more' if more > 0 else ''}")
    if endpoint.capacity_rps is not None:
        extras.append(f"up to {endpoint.capacity_rps:g} requests/s, then the next")
    if endpoint.drain:
        extras.append("drained: nothing new is sent there")
    return extras


def _member(member: MemberAddress) -> str:
    text = member.address
    if member.weight != 1:
        text += f", weight {member.weight}"
    if member.zone:
        text += f", zone {member.zone}"
    return text if _is_fixed(member) else f"{text}: each address of this name"


def _is_fixed(member: MemberAddress) -> bool:
    """Whether it names an address, and not a name that may have several."""
    host = member.address.rpartition(":")[0]
    return host.startswith("[") or host.replace(".", "").isdigit()
