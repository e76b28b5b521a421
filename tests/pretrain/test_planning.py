import torch
from plans import a_plan

from mmsoco.pretrain.choice import Search
from mmsoco.pretrain.planning import search_time, this_machine, tiles_an_image


def test_a_cpu_that_is_asked_for():
    assert this_machine('cpu').gpus == 0 and this_machine('cpu').kind == 'cpu'
    assert this_machine(None).gpus == torch.cuda.device_count()


def test_tiles_are_images_of_their_own():
    assert tiles_an_image(a_plan().facts, Search(100, 20)) == 1
    assert tiles_an_image(a_plan().facts, Search(100, 20, tile=200)) == 2 * 3


def test_the_time_of_a_search_counts_the_start_once():
    marks = [(100.0, 0), (104.0, 2), (105.0, 4), (106.0, 6)]
    assert search_time(marks, 1002) == 4 + 1000 * 0.5
    assert search_time([(0.0, 0), (2.0, 4)], 40) == 20
    assert search_time([(0.0, 0), (2.0, 4), (3.0, 4)], 40) == 30
