"""Makes TensorFlow look as if it were not installed, in every process that finds this first."""

import sys

sys.modules["tensorflow"] = None  # `import` raises ModuleNotFoundError, `find_spec` finds nothing
