"""Configs as text, once each: mmengine makes a run's six times, which takes half the time of a run of some steps."""

from unittest import mock

from mmengine.config import Config


def formatted_once():
    """A context in which a config that did not change is not formatted again."""
    formatted = {}
    former = Config.pretty_text.fget

    def pretty_text(self):
        key = repr(self._cfg_dict)
        if key not in formatted:
            formatted.clear()  # only runs that follow each other are alike
            formatted[key] = former(self)
        return formatted[key]

    return mock.patch.object(Config, 'pretty_text', property(pretty_text))
