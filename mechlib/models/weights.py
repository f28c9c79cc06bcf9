"""Read a network whose weights are all there: none is left random, none is left over."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from mechlib.models.table import ModelError


def read_network(location: str, **options: Any) -> Any:
    """A causal language model of a folder, GGUF file or hub id, by transformers.

    Raises :class:`ModelError` that names the first weights that are missing, unexpected or of another
    shape, and whatever transformers raises. Tied weights and buffers that are not saved are not missing.
    """
    from transformers import AutoModelForCausalLM

    with _without_report():
        read: Any = AutoModelForCausalLM.from_pretrained(location, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    network, info = read
    odd = {word: sorted(map(_name, info[f"{word}_keys"])) for word in ("missing", "unexpected", "mismatched")}
    faults = [f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" for word, keys in odd.items() if keys]
    if faults:
        raise ModelError(f"{options.get('gguf_file', location)} does not fit its model: of its weights, {', '.join(faults)}")
    return network


def _name(key: Any) -> str:
    """The name of a weight, which may come with the two shapes that do not match."""
    return key if isinstance(key, str) else str(key[0])


@contextmanager
def _without_report() -> Generator[None]:
    """Transformers warns of odd weights in a table, before they are refused in one line."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_no_report)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_report)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()
