"""Line offsets by stretch agree with reading the file from its start."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.sources.positions import line_starts


@given(st.lists(st.binary(max_size=9), max_size=30), st.integers(1, 25))
def test_stretches_share_the_lines_out_without_gap_or_overlap(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], stretch: int
) -> None:
    content = b"\n".join(pieces)
    file = Path(tmp_path_factory.mktemp("positions")) / "a"
    file.write_bytes(content)
    found = [
        int(start)
        for block in range(0, len(content), stretch)
        for start in line_starts(str(file), block, min(stretch, len(content) - block))
    ]
    expected, offset = [], 0
    for line in content.split(b"\n"):
        expected.append(offset)
        offset += len(line) + 1
    if content.endswith(b"\n") or not content:
        expected.pop()  # nothing follows the last newline
    assert found == expected
