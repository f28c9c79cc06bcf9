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
    shape, or that are no finite numbers; for an adapter and for quantized weights; and whatever transformers raises. Tied weights
    and buffers that are not saved are not missing.
    """
    from transformers import AutoModelForCausalLM

    with quiet():
        read: Any = AutoModelForCausalLM.from_pretrained(location, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    network, info = read
    name = options.get("gguf_file", location)
    if getattr(network, "_hf_peft_config_loaded", False):
        raise ModelError(f"{name} holds an adapter: merge it into its model (merge_and_unload) and save that")
    if getattr(network, "is_quantized", False) and "gguf_file" not in options:
        raise ModelError(f"{name} holds quantized weights, which cannot be edited: give the model in float32, bfloat16 or as a GGUF file")
    odd = {word: sorted(map(_name, info[f"{word}_keys"])) for word in ("missing", "unexpected", "mismatched")}
    faults = [f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" for word, keys in odd.items() if keys]
    if faults:
        raise ModelError(f"{name} does not fit its model: of its weights, {', '.join(faults)}")
    if broken := [key for key, weight in network.named_parameters() if not bool(weight.isfinite().all())]:
        raise ModelError(f"{name} is damaged: {len(broken)} of its weights are not all finite numbers ({', '.join(broken[:3])})")
    return network


def _name(key: Any) -> str:
    """The name of a weight, which may come with the two shapes that do not match."""
    return key if isinstance(key, str) else str(key[0])


@contextmanager
def quiet() -> Generator[None]:
    """Transformers warns of odd weights in a table, before they are refused in one line, and draws bars of its progress."""
    # Like all of transformers imported by whoever reads a model: it takes as long as half of torch.
    from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    logger, bars = logging.getLogger("transformers.modeling_utils"), is_progress_bar_enabled()
    logger.addFilter(_is_no_report)
    disable_progress_bar()
    try:
        yield
    finally:
        logger.removeFilter(_is_no_report)
        if bars:
            enable_progress_bar()


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()
