"""What the tests of plans share: a small edit whose bytes can be computed by hand, and a store that needs no weights."""


from mechlib.components import Architecture
from mechlib.edit.config import EditConfig
from mechlib.runs.memory import Memory, PromptBatch, Sizes
from mechlib.runs.store import Store
from mechlib.runs.work import Result

TINY = Sizes(Architecture(3, 4, 2, 32, 8, 48), 100, tied=True)
# One MLP of 3 x 32 x 48 weights in layer 1; every step 20 prompts of 30 tokens, the first 10 the same, and 2 texts of 24.
EDIT = Memory("edit", TINY, "float32", EditConfig(steps=10), PromptBatch(20, 10, 30), text_length=24, trained=4608, layers=2)


def offline(folder, monkeypatch):
    """A store for studies whose models are known by name only."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    monkeypatch.setattr("mechlib.runs.memory.lengths", lambda study: (16, 30))
    return Store(folder)


def finish(store, spec, value=()):
    with store.writing(spec) as folder:
        store.finish(folder, spec, Result(value=dict(value)), 1.0)
