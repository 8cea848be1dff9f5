"""convsuite: do these backends compute the same convolution, how far apart are they, and how fast is each?

A backend's author needs `Backend`, `Support`, `Numerics` and `Case`; all else is reached through the command line
(`convsuite --help`) or the pytest plugin.
"""

from convsuite.backend import Backend
from convsuite.case import Case, Level, Numerics, Operand, Outcome, Pass, Status, Support
from convsuite.errors import ConvsuiteError

__all__ = ["Backend", "Case", "ConvsuiteError", "Level", "Numerics", "Operand", "Outcome", "Pass", "Status", "Support"]
