"""Assembly of looked-up features, and what a start or an order refuses."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cache.features.settings import FeaturesSettings, StoreSettings
from edge_models.errors import ModelError
from edge_models.settings import ModelsSettings
from gateway.app.errors import StartError
from gateway.app.features import Features, open_features
from gateway.app.foundation import open_foundation
from gateway.config.settings import Settings
from routing.policy import Match, Route
from tests.gateway.app.workshop import Workshop

ENTRY = {"from": "users", "key": "id", "input": "user", "default": [0.0]}
STORES = {"users": StoreSettings(redis="redis://127.0.0.1:1/0", known_ids=None)}


def declare(repository: Path, model: str, **changes: Any) -> None:
    (repository / model).mkdir(parents=True, exist_ok=True)
    (repository / model / "enrich.json").write_text(json.dumps({"enrich": [{**ENTRY, **changes}]}))


def settings_of(repository: Path, **changes: Any) -> Settings:
    return Settings(
        role="edge",
        region="here",
        policy="policy.yaml",
        models=ModelsSettings(repository=str(repository)),
        **{"features": FeaturesSettings(stores=STORES), **changes},
    )


async def opened(repository: Path, lifetimes: AsyncExitStack, **changes: Any) -> Features | None:
    return open_features(open_foundation(settings_of(repository, **changes), lifetimes), lifetimes)


async def test_routes_have_the_layer_if_one_of_their_models_is_filled(tmp_path: Path) -> None:
    """By name or by pattern; a route without such a model has none, and pays nothing."""
    declare(tmp_path, "shop")
    declare(tmp_path, "shop-2")
    (tmp_path / "plain").mkdir()
    workshop = Workshop()
    async with AsyncExitStack() as lifetimes:
        lifetimes.push_async_callback(workshop.aclose)
        features = await opened(tmp_path, lifetimes)
        assert features is not None

        def shown(pattern: str) -> str:
            route = Route(name="r", match=Match(model=pattern))
            return " ".join(f"{each.role}: {each.filter}" for each in features.layers(workshop.parts, route))

        assert "shop.user" in shown("shop")
        assert "shop-2" not in shown("shop")
        assert "shop-2.user" in shown("shop*")
        assert shown("plain") == shown("other*") == ""


async def test_an_order_reads_a_folder_anew(tmp_path: Path) -> None:
    declare(tmp_path, "shop")
    async with AsyncExitStack() as lifetimes:
        features = await opened(tmp_path, lifetimes)
        assert features is not None
        declare(tmp_path, "shop", default=[1.0])
        features.put("shop", features.read("shop"))
        assert features.enriched["shop"][0].default == (1.0,)
        (tmp_path / "shop" / "enrich.json").unlink()
        features.put("shop", features.read("shop"))
        assert not features.enriched
        declare(tmp_path, "shop", **{"from": "user"})
        with pytest.raises(ModelError, match="did you mean 'users'"):
            features.read("shop")


async def test_without_settings_and_files_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    async with AsyncExitStack() as lifetimes:
        assert await opened(tmp_path, lifetimes, features=None) is None


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, r"unknown store 'users'.*features.stores"),
        (FeaturesSettings(stores={"items": STORES["users"]}), "unknown store 'users'"),
        (
            FeaturesSettings(stores={"users": StoreSettings(redis="redis://:secret@h:port")}),
            "features.stores.users.redis cannot be used",
        ),
    ],
)
async def test_what_a_start_refuses(tmp_path: Path, features: Any, message: str) -> None:
    declare(tmp_path, "shop")
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=message) as caught:
            await opened(tmp_path, lifetimes, features=features)
    assert "secret" not in str(caught.value)


async def test_an_edge_without_a_repository_has_stores_alone() -> None:
    features = Features(FeaturesSettings(stores=STORES), "here")
    assert features.read("shop") == ()
    features.read_all()
    assert not features.enriched
