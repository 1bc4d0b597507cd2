"""Cache keys: a keyed hash of everything that the answer depends on, and of nothing else.

Into the hash go the model's identity and the instruction-set class (they change the bits of an
answer), the scope within which answers may be shared, model and version as requested, the requested
outputs, how many of their classes and their parameters, the request's parameters, the headers that the
settings pass on to endpoints, and each input's name, datatype, shape, bytes and parameters.
Two requests for the same outputs in another order are two keys, because the answer lists them in the
order requested. The order of inputs and of parameters means nothing and is sorted away. The request's
id, deadline, attempt, trace and address are not in the key.

The hash is keyed (BLAKE3), so that no tenant can compute a pair of inputs that share a key. All
fields but the tensor bytes are packed with MessagePack, whose encoding no other value's encoding
begins with, and the packed part holds the length of each tensor's bytes that follow: two different
requests cannot feed the hash the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Final

from blake3 import blake3
from msgspec.msgpack import Encoder
from msgspec.structs import replace

from cache.invalidation.epochs import Epochs
from gateway.core.request import IGNORED_PARAMETERS, Parameter, Request
from gateway.core.tensor import Buffer, Tensor

KEY_VERSION: Final = 3
DEFAULT_SECRET: Final = b"edgeway: answers in this cache are not secret from one another"
"""Keys the hashes where ``key_secret`` is not set: then different requests have different keys, but anyone
can compute them."""

_Named = list[tuple[str, Parameter]]
_Described = tuple[str, str, tuple[int, ...], int] | tuple[str, str, tuple[int, ...], int, _Named]

_BY_NAME: Final = attrgetter("name")
_HEADER_NAME: Final = itemgetter(0)
_SHOWN: Final = 15
"""Characters of a digest in a ``repr``: its algorithm and enough to tell it from others."""
_NEVER_MSGPACK: Final = b"\xc1"
"""The one byte that no MessagePack value begins with."""


def derive_secret(key_secret: str | None, purpose: str) -> bytes:
    """Return 32 bytes for one ``purpose`` from ``CacheSettings.key_secret`` (hex)."""
    material = DEFAULT_SECRET if key_secret is None else bytes.fromhex(key_secret)
    return blake3(material, derive_key_context=f"edgeway cache 1 {purpose}").digest()


class RequestHasher:
    """Makes the keys of one model: ``hasher(request)`` returns 32 bytes.

    ``secret`` is 32 bytes. ``identity`` names the artefacts behind the route (their digests),
    ``instruction_set`` the class of CPU whose arithmetic they use. With ``per_tenant`` false, answers
    are shared within a residency class. ``proof`` returns what the artefacts are trusted with: when that
    changes, no answer from before is found again. It is called at every request and must return the same
    object as long as nothing changes; ``str`` does, always the empty string. ``epochs``: what was
    invalidated; where nothing was, keys are as if there were none. ``tags``: the names by which the route's
    answers can be invalidated together.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        identity: str,
        instruction_set: str,
        per_tenant: bool = True,
        proof: Callable[[], str] = str,
        epochs: Epochs | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        self._epochs, self._tags = epochs or Epochs(""), tags
        self._pack = Encoder().encode
        self._per_tenant = per_tenant
        self._identity = identity
        self._instruction_set = instruction_set
        self._secret = secret
        self._proof_now = proof
        self._adopt(proof())

    def __repr__(self) -> str:
        artefacts = "+".join(artefact[:_SHOWN] for artefact in self._identity.split("+"))
        return f"<RequestHasher {artefacts} per {'tenant' if self._per_tenant else 'residency class'}>"

    def __call__(self, request: Request) -> bytes:
        """Return the key of ``request``. About 5 us for 3 KB of input."""
        inputs = request.inputs if len(request.inputs) < 2 else sorted(request.inputs, key=_BY_NAME)
        digest = self._begin(request, _described(inputs))
        for tensor in inputs:
            digest.update(tensor.data)
        return digest.digest()

    def begin(self, request: Request) -> Callable[[], bytes]:
        """Return what ends the key of ``request``: a function that any thread may call."""
        inputs = sorted(request.inputs, key=_BY_NAME)
        digest = self._begin(request, _described(inputs))

        def end() -> bytes:
            for tensor in inputs:
                digest.update(tensor.data)
            return digest.digest()

        return end

    def keys(self, like: Request) -> Callable[[Sequence[Buffer]], bytes]:
        """Return what makes the keys of requests that differ from ``like`` in nothing but id and data.

        It takes the data of their inputs, in their order, of the same sizes.
        """
        order = sorted(range(len(like.inputs)), key=lambda place: like.inputs[place].name)
        described = _described([like.inputs[place] for place in order])
        # Their data must not stay in memory for as long as the path does.
        like = replace(like, inputs=())
        begun = self._begin(like, described)
        proof, proof_now = self._proof, self._proof_now
        epochs = self._epochs
        version = epochs.version

        def key(data: Sequence[Buffer]) -> bytes:
            nonlocal begun, proof, version
            if proof_now() is not proof or epochs.version != version:
                begun, proof, version = self._begin(like, described), self._proof, epochs.version
            digest = begun.copy()
            for place in order:
                digest.update(data[place])
            return digest.digest()

        return key

    def _begin(self, request: Request, described: list[_Described]) -> blake3:
        """Begin a key with everything but data: the inputs as they are described, sorted by name."""
        proof = self._proof_now()
        if proof is not self._proof:
            self._adopt(proof)
        caller = request.caller
        fields: tuple[object, ...] = (
            caller.tenant if self._per_tenant else "",
            caller.residency,
            request.model,
            request.version,
            request.outputs,
            _computing(request) if request.parameters else (),
            described,
        )
        if request.classes or request.output_parameters:
            # The edge may answer with the likeliest class by itself, and not with the three likeliest.
            fields = (*fields, sorted(request.classes.items()), _of_outputs(request))
            # Earlier builds do not know outputs that an endpoint has classified.
            fields = (*fields, "labels") if request.classes else fields
        if request.headers:
            fields = (*fields, "headers", sorted(request.headers, key=_HEADER_NAME))
        if self._epochs.version:
            marks = self._epochs.marks(request.model, caller.tenant if self._per_tenant else None, self._tags)
            fields = (*fields, "epochs", marks) if marks else fields
        digest = self._constant.copy()
        try:
            digest.update(self._pack(fields))
        except (UnicodeEncodeError, OverflowError):
            # A lone surrogate or an integer beyond 64 bits: a Python literal is as unambiguous.
            digest.update(_NEVER_MSGPACK + ascii(fields).encode())
        return digest

    def _adopt(self, proof: str) -> None:
        self._proof = proof
        constant = (KEY_VERSION, self._identity, proof, self._instruction_set, self._per_tenant)
        self._constant = blake3(self._pack(constant), key=self._secret)


def _described(inputs: Sequence[Tensor]) -> list[_Described]:
    return [
        (tensor.name, tensor.datatype, tensor.shape, len(tensor.data), _sorted(tensor.parameters))
        if tensor.parameters
        else (tensor.name, tensor.datatype, tensor.shape, len(tensor.data))
        for tensor in inputs
    ]


def _of_outputs(request: Request) -> list[tuple[str, _Named]]:
    return [(name, _sorted(parameters)) for name, parameters in sorted(request.output_parameters.items())]


def _sorted(parameters: Mapping[str, Parameter]) -> _Named:
    """Return parameters by name. MessagePack tells True, 1, 1.0 and "1" apart."""
    return sorted(parameters.items())


def _computing(request: Request) -> _Named:
    """Return the parameters that say what to compute."""
    return sorted(item for item in request.parameters.items() if item[0] not in IGNORED_PARAMETERS)
