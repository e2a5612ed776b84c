"""Files of other tools become topologies: Docker Compose's and containerlab's.

An import is made once; what comes out is a file to edit. Nothing is lost silently: what has no counterpart is said with
its place, and stands as a comment where it would have been.
"""

from __future__ import annotations

from testbed.importing.importing import Imported, imported

__all__ = ["Imported", "imported"]
