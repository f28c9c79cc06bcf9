"""Models: the table of names, loading, and the one forward pass."""

from mechlib.models.language_model import LanguageModel
from mechlib.models.loading import fingerprint, load, on_disk
from mechlib.models.self_check import wrap
from mechlib.models.table import KNOWN, ModelError, ModelSpec, resolve

__all__ = ["KNOWN", "LanguageModel", "ModelError", "ModelSpec", "fingerprint", "load", "on_disk", "resolve", "wrap"]
