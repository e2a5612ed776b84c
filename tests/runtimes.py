"""The runtimes as parameters of tests; a machine that lacks one skips the tests that need it."""

import pytest

RUNTIMES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("docker", "netns")]
