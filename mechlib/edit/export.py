"""An edited model as an ordinary Hugging Face folder."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mechlib.edit.delta import Delta, EditError
from mechlib.folders import without_home
from mechlib.models.language_model import LanguageModel

# What the note beside the weights is called.
NOTE = "edit.json"


def export(model: LanguageModel, delta: Delta, folder: Path) -> Path:
    """Write the edited model, its tokenizer and a note (``edit.json``) that says what was changed and under which licence.

    Weights keep the dtype in which the model is loaded. The folder is complete or absent; the model
    itself stays as it was. Raises :class:`EditError` if the folder holds anything, cannot be
    written, or the delta is of another model.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise EditError(f"{folder} exists and is not empty: give another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".exporting-") as scratch:
            target = Path(scratch) / "model"
            delta.edited(model).network.save_pretrained(target)
            model.tokenizer.save_pretrained(target)
            (target / NOTE).write_text(json.dumps(note(model, delta), indent=1) + "\n", encoding="utf-8")
            target.replace(folder)
    except (OSError, SafetensorError) as error:
        raise EditError(f"{folder} cannot be written: {str(error).splitlines()[0]}") from None
    return folder


def note(model: LanguageModel, delta: Delta) -> dict[str, Any]:
    """What the exported model is made of, which the licence requires to be stated."""
    return {
        "model": {"name": model.spec.name, "source": without_home(model.spec.location), "fingerprint": model.fingerprint},
        "licence": model.spec.licence or "that of the original model",
        "modified": f"{delta.size:,} weights were edited by mechlib; the original model's licence and terms of use apply to the result",
        "change": {"weights": delta.size, "norm": delta.norm, "parameters": sorted({block.parameter for block in delta.blocks})},
        "provenance": dict(delta.provenance),
    }
