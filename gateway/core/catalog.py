"""What models there are and what they take: the metadata side of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import Caller


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output. ``shape`` has -1 where any size goes; the first is the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's metadata. ``platform`` as Triton names it, ``onnxruntime_onnx``."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class IndexEntry(msgspec.Struct, frozen=True):
    """One version of one model. ``state``: READY or UNAVAILABLE; ``reason`` for the latter.

    What another server tells of its models may have another state, or neither version nor state.
    """

    name: str
    version: str
    state: str
    reason: str = ""


class Catalog(Protocol):
    """Answers questions about models; each tier, and each upstream, is one."""

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata of ``model`` (``version`` empty: of the one that would answer).

        Raises:
            GatewayError: NOT_FOUND, or UNAVAILABLE when no tier that has the model can be reached.
        """
        ...

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether a request for ``model`` would be served now.

        Raises:
            GatewayError: NOT_FOUND.
        """
        ...


class RemoteCatalog(Catalog, Protocol):
    """What another server tells of its models."""

    async def config(self, model: str, version: str) -> bytes:
        """Return a model's configuration, an object of JSON in the names and values of Triton's.

        Raises:
            GatewayError: UNSUPPORTED, NOT_FOUND or INVALID where the server tells none: it may have the model
                nevertheless; else as ``describe``.
        """
        ...

    async def index(self) -> Sequence[IndexEntry]:
        """Return the versions of all models of the server.

        Raises:
            GatewayError: UNSUPPORTED or NOT_FOUND where the server has no such list, or one that is too
                long; UNAVAILABLE.
        """
        ...


class VisibleModels(Catalog, Protocol):
    """The models that one caller may use. Others are as if they were not there.

    ``tenant``: the caller's; empty where there are none.
    """

    @property
    def tenant(self) -> str:  # noqa: D102 - see above
        ...

    async def config(self, model: str, version: str) -> bytes | None:
        """Return the configuration that the server behind this one has, as ``RemoteCatalog`` does.

        None: there is none behind, or it cannot be asked, and this process holds the model itself.

        Raises:
            GatewayError: NOT_FOUND, or UNAVAILABLE when no tier that has the model can be reached.
        """
        ...

    async def index(self) -> Sequence[IndexEntry]:
        """Return what the servers behind this one tell of models that the caller may use."""
        ...

    def runs_here(self, model: str) -> bool:
        """Whether requests of the caller for ``model`` go to this process's own one, if it holds it."""
        ...

    def may_use(self, model: str) -> bool:
        """Whether requests of the caller for ``model`` would be taken, whether or not it exists."""
        ...

    def is_alone(self, model: str) -> bool:
        """Whether nobody but the caller's tenant may use ``model``."""
        ...


class Catalogs(Protocol):
    """The models of a gateway, as each of its callers may see them."""

    def of(self, caller: Caller, *, to_infer: bool = False) -> VisibleModels:
        """Return the models of an identified caller.

        ``to_infer``: a request for a model cannot be read without its metadata. Such questions are not kept
        waiting, or from being asked, by others.
        """
        ...


class AllModels:
    """The models of a tier without a policy: every caller may use each of them."""

    tenant = ""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.describe, self.is_ready = catalog.describe, catalog.is_ready

    def __repr__(self) -> str:
        return f"<AllModels of {self._catalog!r}>"

    def of(self, caller: Caller, *, to_infer: bool = False) -> Self:  # noqa: ARG002 - they are everybody's
        """Return all of them."""
        return self

    async def config(self, model: str, version: str) -> bytes | None:  # noqa: ARG002
        """Return None: no server is behind this one."""
        return None

    async def index(self) -> Sequence[IndexEntry]:
        """Return nothing: no server is behind this one."""
        return ()

    def runs_here(self, model: str) -> bool:  # noqa: ARG002
        """Return that all do."""
        return True

    def may_use(self, model: str) -> bool:  # noqa: ARG002
        """Return that everybody may."""
        return True

    def is_alone(self, model: str) -> bool:  # noqa: ARG002
        """Return that there is but one tenant."""
        return True


def unknown_model(model: str, version: str = "") -> GatewayError:
    """Return the error for a model, or a version of a known one, that nobody here serves.

    The words are Triton's; clients look for them.
    """
    which = f" version {printable(version)}" if version else ""
    message = f"Request for unknown model: '{printable(model)}'{which} is not found"
    return GatewayError(Fault.NOT_FOUND, message)


_: tuple[type[Catalogs], type[VisibleModels]] = (AllModels, AllModels)
