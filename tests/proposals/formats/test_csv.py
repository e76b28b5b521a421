import pytest
from box_files import SIZE, contents

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
        ('file_name,x1,y1,x2,y2,width\nn01/n01_1.png,0,0,5,5,40\n', 'line 2: width, height are not all numbers'),
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
