"""What is a value cannot be changed: a dataclass of the library is frozen, or counts as it runs."""

import dataclasses
import importlib

import pytest
from test_house import FILES

COUNTING = {"Progress", "Context", "Chromium", "Tab"}
MODULES = [name.removesuffix(".py").replace("/", ".").removesuffix("__init__") for name in FILES if "__main__" not in name]


@pytest.mark.parametrize("name", MODULES)
def test_dataclasses_are_frozen(name):
    module = importlib.import_module(f"mechlib.{name}".rstrip("."))
    own = [one for one in vars(module).values() if dataclasses.is_dataclass(one) and getattr(one, "__module__", "") == module.__name__]
    loose = {one.__name__ for one in own if isinstance(one, type) and not one.__dataclass_params__.frozen}
    assert loose <= COUNTING
