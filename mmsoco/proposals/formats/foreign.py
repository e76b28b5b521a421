"""Files of boxes that are known, but not read: what they are, and what to do."""

import re
from collections.abc import Callable

from mmsoco.proposals.formats.base import BoxFile

_COCO = 'save it as COCO JSON (one file for all images) and convert that'


def _is_via(value: dict) -> bool:
    files = value.get('_via_img_metadata', value)
    return isinstance(files, dict) and any(
        isinstance(entry, dict) and {'filename', 'regions'} <= entry.keys() for entry in files.values()
    )


#: Whether a JSON object is of a kind, and what that is; of a list, the first entry is looked at.
_JSON: tuple[tuple[Callable[[dict], bool], str], ...] = (
    (
        lambda value: {'shapes', 'imagePath'} <= value.keys(),
        f"LabelMe's annotation of one image; {_COCO}, by labelme2coco for instance",
    ),
    (_is_via, f'a project of the VGG Image Annotator (VIA); {_COCO}: Annotation, Export Annotations (COCO format)'),
    (
        lambda value: 'predicted_iou' in value and not {'image_id', 'image'} & value.keys(),
        "of Segment Anything's mask generator, which does not say which image its masks are of; write {"
        '"image": {"file_name": ..., "width": ..., "height": ...}, "annotations": [the masks]}, one file an image',
    ),
    (
        lambda value: 'data' in value and bool({'annotations', 'completions'} & value.keys()),
        f"Label Studio's export of tasks; {_COCO}: Export, COCO",
    ),
    (
        lambda value: 'name' in value and isinstance(value.get('labels'), list),
        f"BDD100K's or Scalabel's labels; {_COCO}, by bdd100k.label.to_coco for instance",
    ),
    (
        lambda value: {'objects', 'size'} <= value.keys(),
        f"Supervisely's annotation of one image; {_COCO}",
    ),
    (
        lambda value: value.get('type') == 'FeatureCollection',
        'GeoJSON, with places on the earth and not in an image; write boxes in pixels as COCO JSON or CSV',
    ),
    (
        lambda value: 'annotations' in value and isinstance(value['annotations'], list),
        'like COCO annotations, but without its list of images; give the file that has both',
    ),
)
_XML = {
    rb'<annotation\b': "Pascal VOC's annotation of one image",
    rb'<annotations\b': "CVAT's annotations",
    rb'<dataset\b': "dlib's annotations",
}
_BINARY = {
    **{'.mat': 'a MATLAB file', '.npy': 'a numpy array', '.npz': 'numpy arrays', '.h5': 'an HDF5 file'},
    **{'.hdf5': 'an HDF5 file', '.parquet': 'a Parquet file', '.tfrecord': 'a TFRecord file', '.xlsx': 'an Excel file'},
    **{'.zip': 'an archive', '.tar': 'an archive', '.gz': 'an archive', '.tgz': 'an archive'},
}


def what_it_is(file: BoxFile) -> str | None:
    """What a file, or a folder of such files, is, and what to do; None where it is not known.

    Raises:
        UserError: A file called .json is none.
    """
    path = file.path
    if path.is_dir():
        inside = next((path for path in sorted(path.rglob('*.*')) if path.suffix.lower() in _BY_ENDING), None)
        if inside is None:
            return 'a folder without files of boxes; name a file, or a folder of JSON files as of SA-1B'
        words = what_it_is(BoxFile(inside))
        return None if words is None else f'a folder of files such as {inside.name}, which is {words}'
    find = _BY_ENDING.get(path.suffix.lower())
    return None if find is None or not path.is_file() else find(file)


def _of_json(file: BoxFile) -> str | None:
    value = file.json
    if isinstance(value, list) and value:
        value = value[0]
    return next((words for test, words in _JSON if isinstance(value, dict) and test(value)), None)


def _of_xml(file: BoxFile) -> str:
    with file.path.open('rb') as content:
        begin = content.read(4096)
    kind = next((kind for pattern, kind in _XML.items() if re.search(pattern, begin)), 'an XML file')
    return f'{kind}; {_COCO}'


def _of_text(file: BoxFile) -> str:
    with file.path.open('rb') as content:
        first = content.readline(1000)
    if re.fullmatch(rb'\d+( +[\d.e+-]+){4,}\s*', first):
        return (
            "YOLO's labels of one image: class, centre and sides in parts of the image; "
            f'{_COCO}, by fiftyone or ultralytics for instance'
        )
    return 'a text file; name it .csv if it has a box a line, with a first line that names the columns'


def _of_lines(file: BoxFile) -> str:
    return f'JSON a line; {_COCO}'


def _of_binary(file: BoxFile) -> str:
    kind = _BINARY[file.path.suffix.lower()]
    what = 'unpack it' if kind == 'an archive' else 'save its boxes as CSV (file_name, x1, y1, x2, y2) or as COCO JSON'
    return f'{kind}; {what}'


_BY_ENDING = {
    **dict.fromkeys(_BINARY, _of_binary),
    '.json': _of_json,
    '.xml': _of_xml,
    '.txt': _of_text,
    '.jsonl': _of_lines,
    '.ndjson': _of_lines,
}
