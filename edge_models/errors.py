"""What may go wrong with a model before the first request: the process does not start."""

from __future__ import annotations


class ModelError(Exception):
    """A model, or the repository around it, cannot be served; the message names the file or the model."""


class ForeignModelError(ModelError):
    """A model is another backend's, which is nobody's mistake: it runs elsewhere."""


class ProviderError(ModelError):
    """A model does not run on what the settings require: the process must not start without it."""
