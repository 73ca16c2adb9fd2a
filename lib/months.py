"""Arithmetic on months written 'YYYY-MM'."""


def shift(month: str, by: int) -> str:
    """The month that lies `by` months later (earlier when negative)."""
    year, number = (int(part) for part in month.split("-"))
    index = year * 12 + (number - 1) + by
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def window(month: str, count: int) -> list[str]:
    """`count` months in order, the last of them `month`."""
    return [shift(month, offset) for offset in range(1 - count, 1)]
