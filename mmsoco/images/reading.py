"""How the samples of files become the images of a data set: the same in the search, in training and in drawings."""

from dataclasses import dataclass

from mmsoco.errors import UserError

#: Ways to find the values that become 0 and 255; see :class:`Reading`.
VALUE_RANGES = ('file', 'type', 'percentiles')


@dataclass(frozen=True)
class Reading:
    """What an image is read as: (H, W, ``channels``) uint8.

    Args:
        channels: 1 for grey, 3 for RGB, or another number for files that have as many. To one channel, colours
            are mixed by their luma; to three, grey is repeated, and alpha is dropped.
        value_range: Which values become 0 and 255, of samples of more than 8 bits:

            - ``'file'``: those that the file declares (bits, maxval, MinSampleValue and MaxSampleValue of a TIFF). A
              file that declares nothing but its type: of whole numbers the fewest bits, of 8, 10, 12, 14, 16, 24 and
              32, that hold its largest value; of floats 0 to 1 where all lie in there; else the smallest and the
              largest value.
            - ``'type'``: the smallest and the largest of the type: 0 to 65,535 for uint16; of floats, 0 to 1.
            - ``'percentiles'``: the 2nd and the 98th of each channel of each image, as maps are often drawn.
            - (low, high): these, for all images alike.

        triple: The channels that the search, and drawings, take for red, green and blue, counted from 1. None: all of
            three channels; of others the three principal components of the image.

    Raises:
        UserError: A value is none of these.
    """

    channels: int = 3
    value_range: str | tuple[float, float] = 'file'
    triple: tuple[int, int, int] | None = None

    def __post_init__(self):
        if self.channels < 1:
            raise UserError(f'images of {self.channels} channels are none; give 1 or more')
        if isinstance(self.value_range, str):
            if self.value_range not in VALUE_RANGES:
                raise UserError(
                    f"value_range '{self.value_range}' is unknown; give {', '.join(VALUE_RANGES)}, or two numbers"
                )
        else:
            # Lists, as JSON and configs have them, are equal to nothing else.
            object.__setattr__(self, 'value_range', tuple(map(float, self.value_range)))
            if len(self.value_range) != 2 or not self.value_range[0] < self.value_range[1]:
                raise UserError(f'value_range {self.value_range} is no range; give a low and a high value')
        if self.triple is not None:
            object.__setattr__(self, 'triple', tuple(self.triple))
            if len(self.triple) != 3 or not all(1 <= number <= self.channels for number in self.triple):
                raise UserError(f'triple {self.triple} is not three of the channels 1 to {self.channels}')

    @classmethod
    def of(cls, header: dict) -> 'Reading':
        """Of a proposal file's header; files of earlier versions say nothing, and are of RGB."""
        return cls(**(header.get('reading') or {}))

    def describe(self) -> dict:
        """For the header of a proposal file; nothing for RGB by the files' own ranges, as in earlier versions."""
        if self == Reading():
            return {}
        low_high = self.value_range if isinstance(self.value_range, str) else list(self.value_range)
        triple = None if self.triple is None else list(self.triple)
        return {'reading': {'channels': self.channels, 'value_range': low_high, 'triple': triple}}
