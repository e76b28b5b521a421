"""Transforms and views in order, as configs give them."""

from collections.abc import Mapping, Sequence

#: Configs of transforms or views: a list, or a dict of named ones, so that a child
#: config changes one by its name or, by None, leaves it out.
Steps = Sequence[dict] | Mapping[str, dict | None]


def in_order(steps: Steps) -> list[dict]:
    """The configs of a list, or those of a dict that are not None."""
    return [step for step in steps.values() if step is not None] if isinstance(steps, Mapping) else list(steps)
