"""The page on which people answer a sheet: one file that asks nothing of any network.

Every value is escaped: names, malls and categories are strangers' text. The page runs the one script and the one style
whose hashes its Content-Security-Policy names, shows pictures that it holds itself, and may fetch or send nothing; the
answers leave it as a file that the person saves.
"""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(**values: object) -> str:
    """The page as HTML.

    Args:
        values: what templates/form.html shows: title, blind, columns, none_fits, offers, categories.
    """
    loader = PackageLoader("lib.review")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    script, style = (loader.get_source(environment, name)[0] for name in ("form.js", "form.css"))
    policy = (
        f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("form.html")
    return page.render(script=Markup(script), style=Markup(style), policy=policy, **values)  # noqa: S704 our own files


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
