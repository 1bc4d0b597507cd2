"""Settings of looked-up features: which online stores there are, and how long their vectors are kept."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from cache.features.vectors import Format

NAME: Final = r"^[A-Za-z0-9_.-]{1,64}$"
_HTTP: Final = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?\Z"


class KnownIdsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a store lists the entities that it has, so that it is never asked for others."""

    set: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """Redis: a set of all ids. Absent: the keys that begin with ``prefix`` are gone through (SCAN), which
    costs the store more; with ``hash``, its fields."""

    path: Annotated[str, Meta(pattern=r"^/[!-~]*\Z")] | None = None
    """HTTP: what is asked by GET, and answers ``{"ids": [...], "cursor": "..."}`` until no cursor is left."""

    refresh_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    """Seconds from one listing to the next. An entity that is new to the store is taken to be absent for so
    long at most. Three of them without a listing, and the store is asked for everything again."""

    most: Annotated[int, Meta(ge=1000, le=100_000_000)] = 10_000_000
    """Ids at most; with more there is no filter. One takes about 3 bytes, twice while they are listed."""


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An online store of vectors: one of ``redis`` and ``http``."""

    redis: Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")] | None = None
    """``redis://[[user]:password@]host:port/db``. It is only read: GET, HGET, and for ``known_ids`` a script
    (EVAL) of SCAN, SSCAN or HSCAN."""

    http: Annotated[str, Meta(pattern=_HTTP)] | None = None
    """The URL that vectors are asked from by POST; for ``protocol: feast`` that of the feature server."""

    region: str = ""
    """Where it is, a region of the policy; absent, that of this gateway. Requests that may not be seen there
    get no vectors from it."""

    key_prefix: Literal["tenant", "none"] = "tenant"
    """``tenant``: ids are asked for as ``TENANT:ID``, so that no tenant gets the vectors of another's
    entities. ``none``: the entities are everybody's who may use the model."""

    prefix: Annotated[str, Meta(max_length=256)] = ""
    """Redis: what its keys begin with, before the id."""

    field: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """Redis: each entity is a hash, and this field of it has the vector. Absent, each is a string."""

    hash: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """Redis: one hash has all entities, their ids are its fields."""

    format: Format = "float32"
    """Redis: how a vector is written. ``float32``: raw, little-endian; ``msgpack`` or ``json``: a list."""

    protocol: Literal["vectors", "feast"] = "vectors"
    """HTTP: ``vectors`` is docs/operating.md's, ``feast`` that of Feast's feature server."""

    entity: Annotated[str, Meta(min_length=1, max_length=256)] = "id"
    """Feast: the join key of the entity."""

    entity_type: Literal["string", "int"] = "string"
    """Feast: of which type the join key is."""

    features: tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...] = ()
    """Feast: the features, ``VIEW:FEATURE``, whose values follow each other in the vector."""

    timeout_ms: Annotated[int, Meta(ge=1, le=1000)] = 30
    """Milliseconds that a request waits for the store."""

    connect_timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    """Milliseconds that a connection may take; no request waits longer for it than ``timeout_ms``."""

    max_connections: Annotated[int, Meta(ge=2, le=256)] = 16
    """Connections at most."""

    max_batch: Annotated[int, Meta(ge=1, le=512)] = 512
    """Entities of one round trip at most."""

    max_vector_bytes: Annotated[int, Meta(ge=4, le=1 << 20)] = 64 << 10
    """Bytes of one vector, as the store writes it, at most. Default 64 KiB."""

    ttl_s: Annotated[float, Meta(gt=0, le=86400)] = 60.0
    """Seconds that a vector stays fresh, before jitter."""

    negative_ttl_s: Annotated[float, Meta(ge=0, le=300)] = 10.0
    """Seconds that it is remembered that an entity is not there, before jitter. 0: not at all."""

    stale_if_error_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    """Seconds past its freshness that a vector may still be used while the store cannot be asked."""

    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Each time to live is multiplied once by U(1 - jitter, 1 + jitter)."""

    known_ids: KnownIdsSettings | None = None
    """Absent: the store is asked for every entity that is not remembered."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if (self.redis is None) == (self.http is None):
            raise ValueError("a store has one of redis and http")
        self._check_fields()
        if self.field is not None and self.hash is not None:
            raise ValueError("field and hash: either each entity is a hash, or one hash has them all")
        if self.hash is not None and self.prefix:
            raise ValueError("prefix and hash: the fields of a hash have no prefix")
        if self.protocol == "feast" and not self.features:
            raise ValueError("features is missing: name those of Feast, as VIEW:FEATURE")
        if self.entity_type == "int" and self.key_prefix == "tenant":
            raise ValueError(
                "entity_type int: ids with the tenant before them are no numbers (`key_prefix: none`)"
            )
        known = self.known_ids
        if known is not None and self.http is not None and known.path is None:
            raise ValueError("known_ids.path is missing: say what lists the ids")

    def _check_fields(self) -> None:
        of_redis = {"prefix": self.prefix, "field": self.field, "hash": self.hash}
        of_http = {"features": self.features}
        if self.known_ids is not None:
            of_redis["known_ids.set"] = self.known_ids.set
            of_http["known_ids.path"] = self.known_ids.path  # type: ignore[assignment] # either is shown
        others, kind = (of_redis, "redis") if self.http is not None else (of_http, "http")
        for name, value in others.items():
            if value:
                raise ValueError(f"{name} is of stores with {kind}, and this one has none")

    def __repr__(self) -> str:
        # The URL may hold a password.
        return (
            f"<StoreSettings {'redis' if self.redis else 'http'}, {self.timeout_ms} ms, ttl {self.ttl_s:g} s>"
        )


class FeaturesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Looked-up features: the stores from which inputs of models are filled (``enrich.json``)."""

    stores: dict[Annotated[str, Meta(pattern=NAME)], StoreSettings] = {}
    """Stores by the names that ``from`` in ``enrich.json`` has."""

    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 64 << 20
    """Bytes of vectors that are kept in memory, of each store. Default 64 MiB."""

    max_negative_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 34)] = 4 << 20
    """Bytes in which is remembered which entities are not there, of each store. Default 4 MiB."""

    max_entities: Annotated[int, Meta(ge=1, le=2048)] = 1024
    """Entities that one input of a request may name."""
