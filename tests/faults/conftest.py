"""One checkout of a tiny project, and what it computes if nothing disturbs it."""

import pytest
from commands import Checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return Checkout.at(tmp_path_factory.mktemp("checkout") / "project")


@pytest.fixture(scope="session")
def undisturbed(checkout, tmp_path_factory):
    """The store of a command that nothing disturbed."""
    store = tmp_path_factory.mktemp("undisturbed")
    running = checkout.start(store)
    assert running.wait() == 0, running.errors
    return store
