"""Mechanistic Unlearning (Guo et al., ICML 2025) as a reproducible paper.

One path runs through the library: a fact is asked as a prompt (``facts``), a model answers it
(``models``), patching scores its components (``patching``), a localization chooses some
(``localize``), an edit trains their weights (``edit``), evaluations write down what changed
(``evals``), a store keeps it all (``runs``), and pages show it (``report``).
"""

import logging

# It says at every import that an optional kernel is missing. Set here, as whatever of the library comes first may bring it.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

__version__ = "0.1.0"
