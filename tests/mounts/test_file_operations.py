"""File operations on real mounts. docs/mounts.md lists them."""

import pytest

from tests.mounts.file_operations import OPERATIONS
from tests.mounts.observed import observe
from tests.mounts.record import recorded, works

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

MINIMUM = 30


def test_a_mount_does_what_the_page_says_and_what_our_code_relies_on(node, container, tmp_path):
    results = observe(node, container, tmp_path / "local")
    assert results == recorded()
    used = [name for name, operation in OPERATIONS.items() if operation.used_by]
    assert [name for name in used if not works(results[name])] == []
    assert sum(map(works, results.values())) >= MINIMUM
