"""Which files are images, by their names and first bytes."""

import posixpath
import re

#: Endings of what :func:`~mmsoco.images.decoding.read_image` reads, in whatever case; other files are passed over.
IMAGE_SUFFIXES = frozenset(
    {'.apng', '.avif', '.bmp', '.dds', '.dib', '.gif', '.heic', '.heif', '.hif', '.ico', '.j2k', '.jfif', '.jp2'}
    | {'.jpe', '.jpeg', '.jpg', '.jpx', '.mpo', '.npy', '.pbm', '.pcx', '.pgm', '.png', '.pnm', '.ppm', '.psd', '.qoi'}
    | {'.sgi', '.tga', '.tif', '.tiff', '.webp'}
)
#: Endings of other files that begin like images: of cameras, whose TIFF holds a small copy, and of microscopes.
_NO_IMAGES = frozenset(
    {'.3fr', '.arw', '.cr2', '.cr3', '.dcr', '.dng', '.erf', '.iiq', '.kdc', '.lsm', '.mos', '.mrw', '.ndpi', '.nef'}
    | {'.nrw', '.orf', '.pef', '.raf', '.raw', '.rw2', '.scn', '.srw', '.stk', '.svs'}
)
#: First bytes of images.
_LIKE_AN_IMAGE = re.compile(
    rb'\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0{4}|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|\0\0\0\x0cjP  \r\n|'
    rb'\xff\x4f\xff\x51|.{4}ftyp(avi[fs]|hei[cfsx]|hev[cx]|mif1|msf1)|P[1-6](\s+#[^\n]*)*\s+\d+\s+\d+\s|'
    rb'8BPS\0\x01|DDS |qoif',
    re.DOTALL,
)
#: What systems put beside images, apart from what begins with a dot.
_OF_SYSTEMS = frozenset({'thumbs.db', 'desktop.ini', '__macosx', 'lost+found', '$recycle.bin', '@eadir'})
_OF_SYSTEMS |= {'system volume information'}


def ending_of(name: str) -> str:
    """In lower case, of a name such as ``a.tar.gz`` all of it; ``''`` where there is none."""
    stem, ending = posixpath.splitext(name.lower())
    return '.tar' + ending if stem.endswith('.tar') else ending


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not meant to be seen: begins with a dot, or is made by a system."""
    return name.startswith('.') or name.lower() in _OF_SYSTEMS


def may_be_image(ending: str, first: bytes) -> bool:
    """Whether a file is an image that is called otherwise.

    Args:
        ending: By :func:`ending_of`.
        first: Its first 64 bytes.
    """
    return ending not in _NO_IMAGES and _LIKE_AN_IMAGE.match(first) is not None
