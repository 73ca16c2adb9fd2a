"""HTML as a tree, for a bounded time and memory whatever the page holds.

HTML's own rules cost the square of a page's size when elements are nested without end or a tag has attributes without
end, and more memory than there is when formatting elements are left open: each paragraph opens all of them anew. Lexbor
follows these rules, so a page of half a megabyte could hold a fetching task for minutes or end it.
"""

import re

from selectolax.lexbor import LexborHTMLParser

# A list of 100 offers has some 10,000. As many nested elements take Lexbor about a second.
MOST_TAGS = 20_000
LONGEST_PAGE = 4 << 20
# A longer tag is none that a page needs: addresses end at 2,048 characters.
WINDOW = 2048
# A comment, and the end of a tag wherever in the tag it stands: in a value of either quotes, a name or between them.
TAG_END = "<!\"'>"
_FORMATTING = re.compile(r"<(/?)(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])", re.IGNORECASE)


def html_tree(text: str) -> LexborHTMLParser:
    """The page's elements; of one past the bounds its beginning. Formatting elements are called `x` in it."""
    kept = text[:LONGEST_PAGE]
    if kept.count("<") > MOST_TAGS:
        kept = "<".join(kept.split("<", MOST_TAGS)[:MOST_TAGS])
    return LexborHTMLParser(_with_tag_ends(_FORMATTING.sub(r"<\1x", kept)))


def _with_tag_ends(text: str) -> str:
    """The text with a TAG_END in each window, before its first tag so that no tag of usual length is cut."""
    made: list[str] = []
    for start in range(0, len(text), WINDOW):
        piece = text[start : start + WINDOW]
        place = max(piece.find("<"), 0)
        made += (piece[:place], TAG_END, piece[place:])
    return "".join(made)
