import codecs

import pytest
from box_files import SIZE, contents
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.proposals.convert import Choice, import_boxes


@pytest.mark.parametrize(
    ('lines', 'words'),
    [
        ('name,x1\n', 'has no column file_name'),
        (
            'file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5,5\nn01/n01_1.png,0,0,x,5\n',
            'line 3: x1, y1, x2, y2 are not all numbers',
        ),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5\n', 'line 2: it has fewer columns than the first line names; was'),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,,5\n', 'line 2: x1, y1, x2, y2 are not all numbers'),
        (
            'file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5,15\nn01/n01_2.png,0,0,5,1',
            'its last line has no end; was the file cut off',
        ),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5,5\nn01/n01_2.png,9,9,5,5\n', 'line 3: the box .* has no area'),
        (
            'file_name,x1,y1,x2,y2,width,height\nn01/n01_1.png,0,0,5,5,40,30\nn01/n01_1.png,0,0,5,5,40,31\n',
            'line 3: width and height are not those of the lines before',
        ),
        ('file_name,x1,y1,x2,y2,width,height\nn01/n01_1.png,0,0,5,5,inf,30\n', 'line 2: width and height are not'),
        ('file_name,x1,y1,x2,y2,width\nn01/n01_1.png,0,0,5,5,40\n', 'has only one of the columns width and height'),
        (
            'file_name,x1,y1,x2,y2,score\nn01/n01_1.png,0,0,5,5,\nn01/n01_1.png,0,0,5,6,0.5\n',
            '1 scores for 2 boxes',
        ),
    ],
)
def test_broken_csv_files(root, tmp_path, lines, words):
    (tmp_path / 'b.csv').write_text(lines)
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root)


def test_a_csv_of_a_spreadsheet(root, tmp_path):
    """A mark first, columns in another order, some more, scores, no sizes."""
    lines = '\ufeffx1,x2,y1,y2,score,file_name,note\n5,40,6,30,0.2,n01/n01_1.png,a\n0,30,0,20,0.8,n01/n01_1.png,\n'
    (tmp_path / 'b.csv').write_text(lines, 'utf-8')
    import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root, choice=Choice(top=1))
    assert contents(tmp_path / 'a.arrow') == {'n01/n01_1.png': (*SIZE, [[0, 0, 30, 20]])}


def read(root, tmp_path, text, name='b.csv', **options):
    """The boxes of n01/n01_1.png, and what import says."""
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(data)
    done = import_boxes(tmp_path / name, tmp_path / 'a.arrow', root, **options)
    return contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2], done


PLAIN = 'file_name,x1,y1,x2,y2\nn01/n01_1.png,5,6,40,30\n'


@pytest.mark.parametrize(
    'lines',
    [
        PLAIN,
        PLAIN.replace(',', ';'),
        PLAIN.replace(',', '\t'),
        PLAIN.replace(',', '|'),
        'sep=;\r\n' + PLAIN.replace(',', ';').replace('\n', '\r\n'),
        '\n\n' + PLAIN,
        PLAIN.replace('\n', '\r'),
        'file_name, x1, y1, x2, y2\n n01/n01_1.png, 5, 6, 40, 30\n',
        '"file_name", "x1", "y1", "x2", "y2"\n"n01/n01_1.png", "5", "6", "40", "30"\n',
        '"file_name";"x1";"y1";"x2";"y2"\n"n01/n01_1.png";"5,0";"6,0";"40,0";"30,25"\n',
        'file_name;x1;y1;x2;y2\nn01/n01_1.png;5,1;6,20;3,999e1;30\n',
        'filename,width,height,class,xmin,ymin,xmax,ymax\nn01/n01_1.png,40,30,cat,5,6,40,30\n',
        'Image Path,Left,Top,Right,Bottom,label\nn01\\n01_1.png,5,6,40,30,a\n',
        'image_id,bbox_x1,bbox_y1,bbox_x2,bbox_y2\nn01/n01_1,5,6,40,30\n',
        'img,x,y,w,h\nn01/n01_1.png,5,6,35,24\n',
        'path,x,y,width,height\nn01/n01_1.png,5,6,35,24\n',
        'path,x,y,w,h,width,height\nn01/n01_1.png,5,6,35,24,40,30\n',
        'image,bbox_x,bbox_y,bbox_width,bbox_height,width,height\nn01/n01_1.png,5,6,35,24,40,30\n',
        'image,x,y,width,height,img_w,img_h\nn01/n01_1.png,5,6,35,24,40,30\n',
        'image,x_center,y_center,w,h\nn01/n01_1.png,22.5,18,35,24\n',
        'image,x0,y0,x1,y1\nn01/n01_1.png,5,6,40,30\n',
        'n01/n01_1.png,5,6,40,30,cat\n',
        'n01/n01_1.png;5,0;6,0;40,0;30,0;cat\n',
        'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n'
        'n01/n01_1,xclick,/m/01,1,0.125,1,0.2,1,0\nn01/n01_1,xclick,/m/01,1,0.1,1,0.1,1,1\n',
        'ImageID,XMin,XMax,YMin,YMax\nn01/n01_1,5,40,6,30\n',
    ],
)
def test_other_dialects_give_the_same_box(root, tmp_path, lines):
    boxes, _ = read(root, tmp_path, lines)
    assert boxes == [[5, 6, 40, 30]]


def test_what_was_taken_for_what_is_said(root, tmp_path):
    lines = (
        'file;class;xmin;ymin;xmax;ymax;conf\n\n;;;;;;\nn01/n01_1.png;café;5,5;6;40;30;0,9\n'
        'file;class;xmin;ymin;xmax;ymax;conf\nn01/n01_2.png;;;;;;\n'
    )
    _, done = read(root, tmp_path, lines.encode('latin-1'))
    assert done.images == 2 and done.empty == 1
    assert done.notes == [
        'read as separated by semicolons, cp1252; image by file, box by xmin, ymin, xmax, ymax (corners); '
        'score by conf; without use: class',
        '2 empty lines passed over',
        '1 lines that name the columns again passed over',
        'commas in numbers are decimal',
    ]
    lines = 'ImageID,XMin,XMax,YMin,YMax,IsGroupOf\nn01/n01_1,0,1,0,1,0\nn01/n01_1,0,1,0,1,1\n'
    _, done = read(root, tmp_path, lines)
    assert done.notes[0].endswith('in parts of the sides, as Open Images has them')
    assert done.left_out == {'of groups (IsGroupOf)': 1}
    _, done = read(root, tmp_path, 'n01/n01_1.png,5,6,40,30,cat\n')
    assert 'without names of columns, so taken as keras-retinanet has them' in done.notes[0]
    _, done = read(root, tmp_path, PLAIN.replace(',', '\t'), name='b.tsv')
    assert 'separated by tabs' in done.notes[0]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'cp1252'])
def test_encodings(tmp_path, encoding):
    root = tmp_path / 'root'
    root.mkdir()
    Image.new('RGB', SIZE).save(root / 'café.png')
    mark = codecs.BOM_UTF16_BE if encoding == 'utf-16-be' else b''
    (tmp_path / 'b.csv').write_bytes(mark + 'file_name,x1,y1,x2,y2\r\ncafé.png,5,6,40,30\r\n'.encode(encoding))
    done = import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == {'café.png': (*SIZE, [[5, 6, 40, 30]])}
    assert encoding.removesuffix('-be')[:6] in done.notes[0]


@pytest.mark.parametrize(
    ('lines', 'words'),
    [
        ('', 'is empty|has no column file_name'),
        (b'\x89PNG\r\n\0\0\1\2', 'has no column file_name|is not a CSV file'),
        ('a;b;c\n1;2;3\n', 'has no column file_name, nor .* names the columns, and here has'),
        ('file_name,a\nx,1\n', 'has no column x1, nor xmin, ymin, xmax, ymax, nor x, y, w, h; '),
        ('image,bbox\nn01/n01_1.png,"[1, 2, 3, 4]"\n', 'has all numbers of a box in one column'),
        ('image,x1,y1,x2,y2,xmin,ymin,xmax,ymax\n', 'has boxes by x1, y1, x2, y2 and by xmin, ymin, xmax, ymax'),
        ('image,x1,y1,x2,y2,bbox_x1\n', 'has columns that may mean the same, x1 and bbox_x1'),
        ('file_name,image,x1,y1,x2,y2,FileName\n', 'may mean the same, file_name and FileName'),
        ('filename,file_size,region_count,region_shape_attributes,region_attributes\n', 'VGG Image Annotator'),
        ('file_name;x1;y1;x2;y2\nn01/n01_1.png;1,000;2,000;3,000;4,000\n', 'may be fractions or thousands'),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,1,2,3,4,5\n', 'line 2: it has more columns than the first line'),
        ('file_name,x1,y1,x2,y2\n,1,2,3,4\n', 'line 2: it does not name its image'),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0.1,0.2,0.3,0.4\n', 'has no coordinate above 1'),
        (
            'file_name,x1,y1,x2,y2\nn01/n01_1.png,20,20,15,10\nn01/n01_2.png,1,2,9,9\n',
            r'line 2: the box \[20.0, 20.0, 15.0, 10.0\] .* has no area .*fit if its numbers are x, y, w, h',
        ),
        ('sep=;\nfile_name;x1;y1;x2;y2\nn01/n01_1.png;1;2;3;x\n', 'line 3: x1, y1, x2, y2 are not all numbers'),
        (
            'path,x1,y1,x2,y2\nC:\\d\\a.png,1,2,3,4\n',
            r'write paths below that folder, or relative to it, such as a\.png',
        ),
        (
            'file_name,x1,y1,x2,y2\ngone.png,1,2,3,4\n',
            'gone.png, which is not in .* read as separated by commas, utf-8',
        ),
    ],
)
def test_tables_that_hold_something_else(root, tmp_path, lines, words):
    with pytest.raises(UserError, match=words):
        read(root, tmp_path, lines)
    assert not (tmp_path / 'a.arrow').exists()
