"""Steps of a pipeline that do not come back, as of a network disk that does not answer."""

import signal
import time

from mmsoco.datasets.transforms.formatting import LoadImage
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HangingLoad(LoadImage):
    """Hangs at some images, and hears of no SIGTERM."""

    def __init__(self, at):
        self.at = at

    def transform(self, results):
        if results['index'] in self.at:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)
        return super().transform(results)
