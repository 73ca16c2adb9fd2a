"""Months across year ends."""

from hypothesis import given
from hypothesis import strategies as st

from lib.months import shift, window
from schemas.table import is_month


def test_shift_crosses_years() -> None:
    assert shift("2026-12", 1) == "2027-01"
    assert shift("2026-01", -1) == "2025-12"


def test_window_ends_with_its_month() -> None:
    assert window("2026-02", 3) == ["2025-12", "2026-01", "2026-02"]


@given(st.integers(1900, 2100), st.integers(1, 12), st.integers(-500, 500))
def test_shift_is_invertible_and_stays_a_month(year: int, number: int, by: int) -> None:
    month = f"{year:04d}-{number:02d}"
    assert is_month(shift(month, by))
    assert shift(shift(month, by), -by) == month
