"""The run-time type checker of the tests: beartype, which takes an int for a float as every other checker does."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
