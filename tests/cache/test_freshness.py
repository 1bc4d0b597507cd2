"""Lifetimes by provenance, the early refresh, and when stale may stand in."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.freshness import Freshness, Lifetime
from cache.settings import CacheSettings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from tests.cache.build import FixedChance, entry

NOW = 1_000.0


def freshness(draw: float = 0.5, digests: frozenset[str] = frozenset(), **settings: Any) -> Freshness:
    return Freshness(CacheSettings(**settings), FixedChance(draw), digests)


def test_certified_answers_live_for_the_ttl_and_are_shared() -> None:
    """A certified answer is fresh for ttl_s and of use for stale_if_error_s more."""
    rules = freshness(ttl_s=100, stale_if_error_s=20)

    lifetime = rules.lifetime(Provenance("central"), NOW)

    assert lifetime == Lifetime(1100.0, 1120.0, shared=True)


@pytest.mark.parametrize(("draw", "ttl_s"), [(0.0, 90), (0.5, 100), (0.999999, 109.9999)])
def test_ttl_is_jittered_once(draw: float, ttl_s: float) -> None:
    """The soft expiry lies within ttl times U(0.9, 1.1)."""
    lifetime = freshness(draw, ttl_s=100).lifetime(Provenance("edge"), NOW)

    assert lifetime is not None
    assert lifetime.soft_expiry == pytest.approx(NOW + ttl_s)
    assert lifetime.hard_expiry - lifetime.soft_expiry == pytest.approx(60)


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_uncertified_answers_live_five_seconds_at_most(draw: float) -> None:
    """Jitter never lengthens the life of an uncertified answer, and it is neither stale nor shared."""
    lifetime = freshness(draw).lifetime(Provenance("edge", certified=False), NOW)

    assert lifetime == Lifetime(NOW + 5, NOW + 5, shared=False)


def test_uncertified_answers_may_be_refused_altogether() -> None:
    """uncertified_ttl_s of 0 keeps none."""
    assert freshness(uncertified_ttl_s=0).lifetime(Provenance("edge", certified=False), NOW) is None


def test_stale_answers_are_not_kept_again() -> None:
    """An answer served stale by somebody else would otherwise live for ever."""
    assert freshness().lifetime(Provenance("central", stale=True), NOW) is None


@pytest.mark.parametrize(("digest", "is_kept"), [("a", True), ("b", True), ("c", False), ("", False)])
def test_only_expected_artefacts_are_kept(digest: str, is_kept: bool) -> None:
    """An answer of another artefact than the key speaks for is not kept; unknown is denied."""
    rules = freshness(digests=frozenset({"a", "b"}))

    assert (rules.lifetime(Provenance("edge", digest=digest), NOW) is not None) == is_kept


def test_compute_time_is_bounded() -> None:
    """One outlier of a computation cannot keep an answer always due, nor a zero never."""
    lifetime = Lifetime(NOW + 100, NOW + 160, shared=True)

    assert freshness().compute_s(0.0, lifetime, NOW) == 0.001
    assert freshness().compute_s(0.5, lifetime, NOW) == 0.5
    assert freshness().compute_s(500.0, lifetime, NOW) == 25.0


@given(draw=st.floats(0, 1, exclude_max=True), compute_s=st.floats(0.001, 10), left_s=st.floats(0.001, 1000))
def test_due_follows_xfetch_exactly(draw: float, compute_s: float, left_s: float) -> None:
    """An answer is due when -ln(1 - random) times its compute time reaches over its expiry."""
    held = entry(now=NOW, fresh_s=left_s, compute_s=compute_s)

    is_due = freshness(draw).is_due(held, NOW)

    assert is_due == (NOW - compute_s * math.log(1 - draw) >= held.soft_expiry)


@given(compute_s=st.floats(0.001, 10), left_s=st.floats(0, 1000), beta=st.floats(0, 10))
def test_out_of_reach_is_never_due(compute_s: float, left_s: float, beta: float) -> None:
    """Beyond reach times compute_s no draw whatsoever makes an answer due: the filter need not draw."""
    largest = math.nextafter(1.0, 0.0)
    rules = freshness(largest, early_beta=beta)
    held = entry(now=NOW, fresh_s=left_s, compute_s=compute_s)

    if NOW + compute_s * rules.reach < held.soft_expiry:
        assert not rules.is_due(held, NOW)


def test_a_draw_of_zero_is_harmless() -> None:
    """random() may return 0 and comes near to 1; neither meets ln(0)."""
    held = entry(now=NOW, fresh_s=1.0, compute_s=0.1)

    assert not freshness(0.0).is_due(held, NOW)
    assert freshness(1 - 2**-53).is_due(held, NOW)


def test_share_of_early_refreshes_is_exponential() -> None:
    """One compute time before the expiry, a hit refreshes with probability 1/e."""
    rules = Freshness(CacheSettings(), random.Random(3))
    held = entry(now=NOW, fresh_s=0.5, compute_s=0.5)

    share = sum(rules.is_due(held, NOW) for _ in range(20_000)) / 20_000

    assert share == pytest.approx(1 / math.e, abs=0.01)


def test_beta_zero_switches_early_refresh_off() -> None:
    """With beta 0 nothing is due before its expiry."""
    rules = freshness(1 - 2**-53, early_beta=0)

    assert rules.reach == 0
    assert not rules.is_due(entry(now=NOW, fresh_s=0.001, compute_s=10), NOW)


@pytest.mark.parametrize(
    ("error", "is_served"),
    [
        (GatewayError(Fault.UNAVAILABLE, ""), True),
        (GatewayError(Fault.OVERLOADED, ""), True),
        (GatewayError(Fault.DEADLINE, ""), True),
        (GatewayError(Fault.INTERNAL, ""), True),
        (GatewayError(Fault.NOT_FOUND, "", retryable=True), True),
        (GatewayError(Fault.NOT_FOUND, ""), False),
        (GatewayError(Fault.INVALID, ""), False),
        (GatewayError(Fault.FORBIDDEN, ""), False),
    ],
    ids=str,
)
def test_stale_stands_in_for_an_outage_only(error: GatewayError, is_served: bool) -> None:
    """A refusal is an answer; only what may pass lets a stale one stand in."""
    held = entry(now=NOW, fresh_s=-1, stale_s=10)

    assert freshness().may_stand_in(held, error, NOW) == is_served
    assert not freshness().may_stand_in(held, error, NOW + 9)


def test_repr_tells_the_times() -> None:
    """The repr tells all times."""
    assert repr(freshness()) == (
        "<Freshness 3600 s, edge 3600 s, uncertified 5 s, stale 60 s, while revalidating 0 s>"
    )


def test_uncertified_answers_of_another_cache_are_not_kept_again() -> None:
    """Their few seconds have begun elsewhere; a second cache would give them a few more."""
    provenance = Provenance("edge", certified=False, level="l1")

    assert freshness().lifetime(provenance, NOW) is None
    assert freshness().lifetime(Provenance("edge", level="l1"), NOW) is not None


@pytest.mark.parametrize(("origin", "is_kept"), [("central", True), ("edge", False)])
def test_a_central_tier_that_names_no_digest_is_believed(origin: str, is_kept: bool) -> None:
    """Triton and KServe name none: there the policy's word is all there is. Our own tiers always do."""
    rules = freshness(digests=frozenset({"a", "b"}))

    assert (rules.lifetime(Provenance(origin), NOW) is not None) == is_kept


@pytest.mark.parametrize(("fresh_s", "is_believed"), [(109, True), (111, True), (112, False), (3700, False)])
def test_what_is_fresh_for_longer_than_can_be_is_stale(fresh_s: float, is_believed: bool) -> None:
    """Its writer's clock was ahead, or ours was set back: it may stand in, and no longer than any other."""
    found = entry(now=NOW, fresh_s=fresh_s)

    believed = freshness(ttl_s=100, jitter=0.1, stale_if_error_s=20).believed(found, NOW)

    assert (believed is found) is is_believed
    if not is_believed:
        assert (believed.soft_expiry, believed.hard_expiry) == (NOW, NOW + 20)


def test_a_shared_level_holds_only_what_may_be_put_there() -> None:
    """Certified, and by an artefact that the key speaks for; what a level of this process holds is ours."""
    rules = freshness(digests=frozenset({"sha256:ed", "sha256:ce"}))

    assert rules.keeps(Provenance("edge", digest="sha256:ed"), shared=True)
    assert rules.keeps(Provenance("central"), shared=True), "a central tier that names no digest"
    assert not rules.keeps(Provenance("edge"), shared=True)
    assert not rules.keeps(Provenance("edge", digest="sha256:other"), shared=True)
    assert not rules.keeps(Provenance("edge", digest="sha256:ed", certified=False), shared=True)
    assert rules.keeps(Provenance("edge", digest="sha256:ed", certified=False), shared=False)
