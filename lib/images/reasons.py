"""Why a product has no picture: a code of our own, never a word of who delivered it (docs/operations.md lists them)."""


class NoPictureError(Exception):
    """A delivery that becomes no picture.

    Attributes:
        code: unsafe_name, missing_file, unreadable_file or too_large of files; not_a_picture, damaged, too_many_pixels,
            too_small, too_many_scans or black of what was delivered.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
