"""Writing the page."""

import os
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from mmsoco.files import atomic_path, check_out
from mmsoco.report.content import Content
from mmsoco.report.reading import read_content

TEMPLATE = Path(__file__).parent / 'template.html'


def render(content: Content) -> str:
    """The page, as HTML that needs no other file."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Ours alone is not escaped.
    environment.filters['svg'] = Markup
    environment.filters['whole_options'] = whole_options
    return environment.get_template(TEMPLATE.name).render(c=content)


def whole_options(text: str) -> Markup:
    """A text whose options, and names such as ResNet-18 and v1-v2, are not broken at the end of a line."""
    return Markup(
        re.sub(r'(--[a-z][a-z-]*|ResNet-\d+|v\d+-v\d+)', r'<span class="option">\1</span>', str(escape(text)))
    )


def write_report(folder: str | os.PathLike, out: str | os.PathLike | None = None) -> Path:
    """Write a pretraining's report.

    Args:
        folder: What ``mmsoco pretrain`` wrote, or the work folder of a training.
        out: The file; ``report.html`` in the folder by default.

    Returns:
        The file.

    Raises:
        UserError: The folder holds no pretraining, or the file cannot be written.
    """
    out = Path(out or Path(folder, 'report.html'))
    check_out(out)
    page = render(read_content(Path(folder)))
    with atomic_path(out) as temporary:
        temporary.write_text(page, 'utf-8')
    return out
