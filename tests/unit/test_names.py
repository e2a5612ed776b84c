import pytest

from testbed.errors import UsageError
from testbed.names import checked


@pytest.mark.parametrize("name", ["a", "lossy", "two-networks", "lossy-a1b2c3-12", "Run_1.2"])
def test_names(name):
    assert checked(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-rf", ".hidden", "a b", "a/b", "a\n", "a\0b", "é", "x" * 101])
def test_invalid_names_are_refused(name):
    with pytest.raises(UsageError, match="bad-name"):
        checked(name)
